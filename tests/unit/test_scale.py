"""The simulated load behind docs/scale.md."""

from pathlib import Path

import pytest

from benchmarks import scale
from infra.settings import Conversations, Workers

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


@pytest.fixture(scope="module")
def load():
    return scale.simulate(10_000)


def test_the_page_is_current():
    page = PAGE.read_text(encoding="utf-8")

    assert page == scale.written(page), "run `python -m benchmarks.scale --docs docs/scale.md`"


def test_the_same_seed_gives_the_same_load(load):
    assert scale.simulate(10_000).seconds == load.seconds
    assert scale.simulate(10_000, seed=2).seconds != load.seconds


def test_people_talk_as_assumed(load):
    # 6 of 13 seconds the assistant speaks; two turns in 13 seconds are two messages.
    assert load.mean("speaking") / 10_000 == pytest.approx(6 / 13, rel=0.03)
    messages = load.mean("commits") / scale.MEASURED["commits a message"]
    assert messages / 10_000 == pytest.approx(2 / 13, rel=0.03)
    assert load.mean("messages") / 10_000 == pytest.approx(10 + 6 / 13 * 5 + 0.5, rel=0.02)
    assert load.mean("connects") == pytest.approx(10_000 / 300, rel=0.1)


def test_the_assumptions_are_the_defaults_of_a_deployment():
    capacity = Workers.model_fields["worker_capacity"].default

    assert scale.ASSUMED["sessions a task"] == pytest.approx(0.7 * capacity)
    assert scale.ASSUMED["heartbeat, s"] == Conversations.model_fields["heartbeat_seconds"].default


def test_more_than_is_simulated_is_multiplied():
    large, small = scale.simulate(scale.SIMULATED * 10), scale.simulate(scale.SIMULATED)

    assert large.mean("puts") == pytest.approx(10 * small.mean("puts"))


def test_what_binds_first_at_each_size():
    first = {
        size: [quota.key for quota, used in scale.binding(scale.simulate(size)) if used >= 1] for size in scale.SIZES
    }

    assert first[100] == ["streams"]
    assert first[10_000] == ["streams", "messages", "environments"]
    assert set(first[1_000_000]) == {quota.key for quota in scale.QUOTAS}


def test_a_heartbeat_a_worker_is_what_the_table_needs(load):
    assert load.mean("beats") > 3 * load.mean("commits")
    assert load.mean("beats") / load.mean("beats_a_worker") == pytest.approx(scale.ASSUMED["sessions a task"])


def test_costs_are_sums_of_their_parts(load):
    voice, text = scale.voice_hour(load, 10_000), scale.text_turn()

    assert max(voice, key=voice.__getitem__) == "API Gateway: messages"
    # 12.8 messages a second, an hour, a dollar a million.
    assert voice["API Gateway: messages"] == pytest.approx(12.8 * 3600 / 1e6, rel=0.02)
    assert 0.05 < sum(voice.values()) < 0.1
    assert sum(text.values()) < 0.001
