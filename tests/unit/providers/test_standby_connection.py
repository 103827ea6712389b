"""A connection that is opened in advance: who goes on with it, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest
from strands.bidi.models import ConnectionTimeoutError

from shared.provider_errors import AdditionRefused, ProviderRefusal
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import AddingModel
from worker.providers.continuous_model import ContinuousModel
from worker.providers.settings import Settings


def message(role: str, text: str) -> Any:
    return {"role": role, "content": [{"text": text}], "tracking_id": text}


def called(use_id: str) -> list[Any]:
    use = {"toolUse": {"toolUseId": use_id, "name": "weather", "input": {}}}
    result = {"toolResult": {"toolUseId": use_id, "status": "success", "content": [{"text": "sunny"}]}}
    return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]


TOOLS: Any = [{"name": "weather", "description": "", "inputSchema": {"json": {}}}]
BEFORE = [message("user", "one"), message("assistant", "Yes, one")]
SINCE = [message("user", "two"), *called("t1"), message("assistant", "Yes, two")]


def model(**variables: str) -> ContinuousModel:
    return ContinuousModel(AddingModel(), Settings.from_environment({"SEGUE_PROVIDER": "offline", **variables}))


def inner(of: ContinuousModel) -> Any:
    return of.inner


@pytest.fixture
async def opened() -> ContinuousModel:
    first = model()
    await first.open_ahead("prompt", TOOLS, list(BEFORE))
    return first


async def next_of(earlier: ContinuousModel, other: ContinuousModel | None = None) -> ContinuousModel:
    """A model that goes on from an earlier one, which is stopped, as the standby that it was of is."""
    later = other or model()
    later.go_on_from(earlier)
    await earlier.stop()
    return later


async def test_the_agent_that_opened_a_standby_connection_starts_on_it_and_sends_nothing(opened):
    await opened.start("prompt", TOOLS, list(BEFORE))
    assert inner(opened).started_with == [BEFORE]
    assert (inner(opened).added, inner(opened).sent, inner(opened).stops) == ([], [], 0)


async def test_additions_are_given_to_the_next_model_in_order(opened):
    later = await next_of(opened)
    await later.open_ahead("prompt", TOOLS, [*BEFORE, *SINCE])
    last = await next_of(later)
    await last.start("prompt", TOOLS, [*BEFORE, *SINCE, message("user", "three")])
    assert inner(last) is inner(opened)
    assert inner(last).started_with == [BEFORE]
    assert inner(last).added == [SINCE, [message("user", "three")]]
    assert inner(last).sent == [], "an addition is nothing that is to be answered"
    assert inner(last).stops == 0
    await last.stop()
    assert inner(last).stops == 1


CHANGED = {
    "a message was replaced": ("prompt", TOOLS, [BEFORE[0], message("assistant", "[redacted]"), *SINCE]),
    "a message is gone": ("prompt", TOOLS, BEFORE[:1]),
    "another prompt": ("other", TOOLS, BEFORE),
    "other tools": ("prompt", [], BEFORE),
    "a tool's result without its use": ("prompt", TOOLS, [*BEFORE, called("t9")[1]]),
}


@pytest.mark.parametrize("given", CHANGED.values(), ids=CHANGED)
async def test_a_history_that_does_not_continue_a_standbys_goes_to_another_connection(opened, given):
    system_prompt, tools, messages = given
    later = await next_of(opened)
    await later.start(system_prompt, tools, messages)
    assert inner(later) is not inner(opened)
    assert inner(later).started_with == [messages]
    await eventually(lambda: inner(opened).stops == 1)
    assert inner(opened).added == []


async def test_the_same_model_is_connected_again_if_it_is_to_be_told_something_else(opened):
    await opened.start("other", TOOLS, list(BEFORE))
    assert (len(inner(opened).started_with), inner(opened).stops) == (2, 1)


async def test_another_models_connection_is_not_gone_on_with(opened):
    later = await next_of(opened, model(SEGUE_VOICE="another"))
    await later.start("prompt", TOOLS, list(BEFORE))
    assert inner(later) is not inner(opened)
    await eventually(lambda: inner(opened).stops == 1)


async def test_a_model_that_takes_no_additions_is_connected_anew_unless_nothing_was_said():
    first, second = model(), model()
    for each in (first, second):
        inner(each)._model_id = "offline-without-additions"
    assert not first.takes_additions
    await first.open_ahead("prompt", TOOLS, list(BEFORE))
    second = await next_of(first, second)
    await second.open_ahead("prompt", TOOLS, list(BEFORE))
    assert inner(second) is inner(first)
    third = model()
    inner(third)._model_id = "offline-without-additions"
    third = await next_of(second, third)
    await third.start("prompt", TOOLS, [*BEFORE, *SINCE])
    assert inner(third).started_with == [[*BEFORE, *SINCE]]
    await eventually(lambda: inner(first).stops == 1)


@pytest.mark.parametrize("refusal", [ValueError("no"), ConnectionResetError()], ids=repr)
async def test_an_addition_that_is_refused_leads_to_a_connection_that_is_told_everything(opened, refusal):
    inner(opened).add_failure = refusal
    later = await next_of(opened)
    await later.start("prompt", TOOLS, [*BEFORE, *SINCE])
    assert inner(later).started_with == [[*BEFORE, *SINCE]]
    assert inner(later) is not inner(opened)
    await eventually(lambda: inner(opened).stops == 1)


async def test_an_addition_that_is_refused_later_leads_to_a_restart_with_everything(opened):
    later = await next_of(opened)
    await later.start("prompt", TOOLS, [*BEFORE, *SINCE])
    inner(later).emit([AdditionRefused("invalid_value", "addition")])

    async def read() -> None:
        async for _ in later.receive():
            pass

    with pytest.raises(ConnectionTimeoutError):
        await promptly(read(), 5)
    await later.restart("prompt", TOOLS, [*BEFORE, *SINCE])
    assert inner(later).started_with[-1] == [*BEFORE, *SINCE], "and not with a half of it"
    assert len(inner(later).started_with) == 2


async def test_a_connection_opened_before_the_first_message_is_told_all_messages():
    first = model()
    await first.open_ahead("prompt", TOOLS, [])
    later = await next_of(first)
    await later.start("prompt", TOOLS, list(BEFORE))
    assert inner(later) is inner(first)
    assert inner(later).told == ["one", "Yes, one"]
    assert len(inner(later).started_with) == 1


async def test_a_connection_whose_provider_took_no_history_is_not_used_when_there_is_more(monkeypatch):
    first = model()
    start = inner(first).start

    async def refuse(prompt: Any, tools: Any, messages: Any, **options: Any) -> None:
        if messages:
            raise ProviderRefusal("invalid_value", "history")
        await start(prompt, tools, messages, **options)

    monkeypatch.setattr(inner(first), "start", refuse)
    await first.open_ahead("prompt", TOOLS, list(BEFORE))
    assert inner(first).started_with == [[]]
    later = await next_of(first)
    await later.start("prompt", TOOLS, [*BEFORE, *SINCE])
    assert inner(later).started_with == [[*BEFORE, *SINCE]]
    await eventually(lambda: inner(first).stops)


async def test_a_standby_connection_that_is_not_used_is_closed(opened):
    await opened.stop()
    assert inner(opened).stops == 1


async def test_a_model_that_never_started_closes_the_connection_it_was_given(opened):
    later = await next_of(opened)
    assert inner(opened).stops == 0
    await later.stop()
    assert inner(opened).stops == 1


async def test_the_age_of_a_standby_connection_counts_from_its_opening():
    """It is renewed before the provider ends it, however long it waited for its agent."""
    clock = [0.0]
    settings = Settings.from_environment({"SEGUE_PROVIDER": "offline"})
    first, second = (ContinuousModel(AddingModel(), settings, lambda: clock[0]) for _ in range(2))
    await first.open_ahead("prompt", TOOLS, list(BEFORE))
    clock[0] = 20.0
    second = await next_of(first, second)
    await second.open_ahead("prompt", TOOLS, [*BEFORE, *SINCE])
    clock[0] = 40.0
    await second.start("prompt", TOOLS, [*BEFORE, *SINCE])
    assert second._activity.age() == 40.0
