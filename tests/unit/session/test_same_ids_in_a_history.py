"""Uses of one id in a history: each has one result, and numbers are never used again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.history.fold import fold, under_way
from segue.history.repair import INTERRUPTED, repair
from segue.journal.records import Record
from tests.unit.session.same_ids import result, results, said, use

NOTE = {"metadata": {"custom": {"bidi": {"kind": "tool_dispatch"}}}}


def test_a_message_with_two_uses_of_one_id_keeps_both_results() -> None:
    messages = [said("assistant", use("a", "1"), use("a", "2")), said("user", result("a", "one"), result("a", "two"))]

    fixed, report = repair(messages)

    assert fixed == messages
    assert not report


def test_a_use_without_a_result_gets_one_beside_another_use_of_its_id() -> None:
    messages = [said("assistant", use("a", "1"), use("a", "2")), said("user", result("a", "one"))]

    fixed, report = repair(messages)

    assert results(fixed) == ["one", INTERRUPTED]
    assert report.interrupted == ("a",)


def test_a_note_is_closed_by_its_own_result_only() -> None:
    began = said("user", result("a", "started"), **NOTE)
    first = [said("assistant", use("a", "1")), began, said("assistant", use("a", "1")), said("user", result("a"))]
    second = [said("assistant", use("a", "2")), began]

    assert results(repair([*first, *second])[0]) == ["started", "ok", INTERRUPTED]
    assert results(repair([*second, *first])[0]) == [INTERRUPTED, "started", "ok"]
    # Two run at once, and the later one has ended.
    at_once = [*first[:2], *second, said("assistant", use("a", "2")), said("user", result("a", "two"))]
    assert results(repair(at_once)[0]) == [INTERRUPTED, "started", "two"]


BLOCKS = st.lists(st.sampled_from(["a", "b"]), max_size=3)


@pytest.mark.slow
@given(st.lists(st.tuples(BLOCKS, BLOCKS, st.booleans()), min_size=1, max_size=6))
def test_every_use_has_one_result_however_often_ids_are_used(
    exchanges: list[tuple[list[str], list[str], bool]],
) -> None:
    messages: list[Any] = []
    for uses, answers, note in exchanges:
        messages.append(said("assistant", {"text": "hm"}, *map(use, uses)))
        messages.append(said("user", {"text": "so"}, *map(result, answers), **(NOTE if note else {})))

    fixed, _ = repair(messages)

    for before, after in pairwise([*fixed, said("user")]):
        asked = sorted(block["toolUse"]["toolUseId"] for block in before["content"] if "toolUse" in block)
        answered = sorted(block["toolResult"]["toolUseId"] for block in after["content"] if "toolResult" in block)
        if asked or answered:
            assert asked == answered
    assert repair(fixed)[0] == fixed, "once is enough"


def test_runs_of_one_id_are_kept_apart_and_numbers_are_never_used_again() -> None:
    def run(phase: str, **more: Any) -> Record:
        return Record(kind="tool", data={"tool_use_id": "a", "name": "pay", "phase": phase, **more})

    records = [
        run("started", message="m1"),
        run("ended", status="success", ms=1),
        run("started", message="m2", use=2),
        Record(kind="rewind", data={"to": 2}),
        run("started", message="m3", use=3),
    ]
    agent = fold(records).agents["default"]

    assert agent.uses == {"a": ["m1", "m2", "m3"]}
    assert {key: run.get("status") for key, run in agent.tools.items()} == {"a": "success", "a#3": None}
    assert [run["use"] for run in under_way(agent.tools)] == [3]


@pytest.mark.parametrize("number", [0, -1, "2", True, 10**9])
def test_an_invalid_use_number_is_corrupt(number: Any) -> None:
    record = Record(kind="tool", data={"tool_use_id": "a", "name": "pay", "phase": "started", "use": number})
    wrong: list[Any] = []

    fold([record], damaged=wrong)

    assert [error.record for error in wrong] == [0]
