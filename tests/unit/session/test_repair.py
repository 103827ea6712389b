"""A restored history is one that every provider accepts."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from segue.history.repair import INTERRUPTED, RepairReport, fit, repair

NOTHING = RepairReport()


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def use(*ids: str, text: str | None = None) -> dict[str, Any]:
    uses = [{"toolUse": {"toolUseId": use_id, "name": "clock", "input": {}}} for use_id in ids]
    return {"role": "assistant", "content": [*([{"text": text}] if text else []), *uses]}


def result(*ids: str, text: str | None = None) -> dict[str, Any]:
    results = [
        {"toolResult": {"toolUseId": use_id, "status": "success", "content": [{"text": f"result of {use_id}"}]}}
        for use_id in ids
    ]
    return {"role": "user", "content": [*results, *([{"text": text}] if text else [])]}


def dispatch(*ids: str) -> dict[str, Any]:
    return {**result(*ids), "metadata": {"custom": {"bidi": {"kind": "tool_dispatch"}}}}


def placeholder() -> dict[str, Any]:
    pending = {"kind": "transcript", "status": "pending"}
    return {"role": "assistant", "content": [], "metadata": {"custom": {"bidi": pending}}}


def interrupted(*ids: str) -> list[dict[str, Any]]:
    return [
        {"toolResult": {"toolUseId": use_id, "status": "error", "content": [{"text": INTERRUPTED}]}} for use_id in ids
    ]


WHOLE = [
    [],
    [said("Hi"), said("Hello", "assistant")],
    [said("Hi"), use("a"), result("a"), said("Done", "assistant")],
    [said("Hi"), use("a", "b"), result("a", "b"), said("Done", "assistant")],
    [said("Hi"), use("a", "b"), result("b", "a"), said("Done", "assistant")],
    [said("Hi"), use("a", text="Let me look."), result("a", text="and by the way"), said("Done", "assistant")],
    [said("Hi"), use("a"), dispatch("a"), said("Wait"), use("a"), result("a"), said("Done", "assistant")],
    [said("One"), said("Two"), said("Yes?", "assistant")],
]


@pytest.mark.parametrize("history", WHOLE)
def test_a_whole_history_is_left_as_it_is(history: list[Any]) -> None:
    assert repair(history) == (history, NOTHING)


def test_placeholders_are_dropped() -> None:
    fixed, report = repair([said("Hi"), placeholder(), said("Hello", "assistant"), placeholder()])

    assert fixed == [said("Hi"), said("Hello", "assistant")]
    assert report == RepairReport(placeholders=2)


@pytest.mark.parametrize("blank", ["", " \n", None])
def test_blank_text_is_dropped_because_converse_refuses_it(blank: str | None) -> None:
    silence = {"role": "user", "content": [{"text": blank}]}
    mixed = use("a")
    mixed["content"].insert(0, {"text": blank})

    fixed, report = repair([silence, mixed, result("a")])

    assert fixed == [use("a"), result("a")]
    assert report.placeholders == 1


def test_a_tool_use_without_a_result_gets_a_synthetic_one() -> None:
    fixed, report = repair([said("Hi"), use("a"), said("Are you there?")])

    assert fixed[2] == {"role": "user", "content": interrupted("a")}
    assert fixed[3] == said("Are you there?")
    assert report == RepairReport(interrupted=("a",))


def test_a_trailing_tool_use_gets_a_synthetic_result() -> None:
    fixed, report = repair([said("Hi"), use("a", "b")])

    assert fixed[-1] == {"role": "user", "content": interrupted("a", "b")}
    assert report.interrupted == ("a", "b")


def test_a_missing_result_of_several_is_filled_in() -> None:
    fixed, report = repair([said("Hi"), use("a", "b"), result("b"), said("Done", "assistant")])

    assert fixed[2]["content"] == [*interrupted("a"), *result("b")["content"]]
    assert report.interrupted == ("a",)


def test_results_without_a_use_are_dropped() -> None:
    fixed, report = repair([result("x"), said("Hi"), result("y", text="And this"), said("Hello", "assistant")])

    assert fixed == [said("Hi"), said("And this"), said("Hello", "assistant")]
    assert report == RepairReport(orphans=2)


def test_a_result_that_answers_another_use_is_an_orphan() -> None:
    fixed, report = repair([said("Hi"), use("a"), result("x")])

    assert fixed == [said("Hi"), use("a"), {"role": "user", "content": interrupted("a")}]
    assert report == RepairReport(interrupted=("a",), orphans=1)


def test_a_dispatch_whose_result_never_came_says_so() -> None:
    # "Tool call started. Its result will follow" would have the model wait for ever.
    fixed, report = repair([said("Hi"), use("a", "b"), dispatch("a", "b"), use("b"), result("b")])

    assert fixed[2]["content"] == [*interrupted("a"), *dispatch("b")["content"]]
    assert report.interrupted == ("a",)


def test_a_crash_between_the_second_use_and_its_result_leaves_pairs() -> None:
    fixed, report = repair([said("Hi"), use("a"), dispatch("a"), said("Wait"), use("a")])

    assert fixed[-1]["content"] == interrupted("a")
    assert fixed[2]["content"] == interrupted("a")
    assert report.interrupted == ("a",)


def test_the_input_is_left_alone() -> None:
    history = [said("Hi"), use("a", "b"), dispatch("a"), placeholder(), use("c")]
    before = copy.deepcopy(history)

    repair(history)

    assert history == before


def test_repairing_twice_changes_nothing_more() -> None:
    for seed in range(300):
        once, _ = repair(any_history(seed))
        assert repair(once)[0] == once, seed


def test_a_repaired_history_is_fit_to_use_for_any_cut() -> None:
    for seed in range(300):
        history = any_history(seed)
        fixed, _ = repair(history)
        assert unfit(fixed) == [], seed
        texts = [block["text"] for message in fixed for block in message["content"] if "text" in block]
        assert texts == [block["text"] for message in history for block in message["content"] if "text" in block], seed


def any_history(seed: int) -> list[Any]:
    """A history cut off and mixed up as crashes, and older versions, may leave it."""
    choice = random.Random(seed)
    pieces = [
        lambda n: [said(f"user {n}")],
        lambda n: [said(f"assistant {n}", "assistant")],
        lambda n: [use(f"a{n}"), result(f"a{n}")],
        lambda n: [use(f"b{n}", f"c{n}"), result(f"c{n}", f"b{n}")],
        lambda n: [use(f"d{n}"), dispatch(f"d{n}"), use(f"d{n}"), result(f"d{n}")],
        lambda n: [placeholder()],
    ]
    messages = [message for n in range(choice.randrange(8)) for message in choice.choice(pieces)(n)]
    for _ in range(choice.randrange(4)):
        if messages:
            messages.pop(choice.randrange(len(messages)))
    return messages[: choice.randrange(len(messages) + 1)] if choice.random() < 0.3 else messages


def unfit(messages: list[Any]) -> list[str]:
    """Return the faults that a provider would refuse: Converse wants every use answered in the very next message."""
    problems = [f"{index} is empty" for index, message in enumerate(messages) if not message["content"]]
    asked: list[str] = []
    for index, message in enumerate([*messages, said("end")]):
        answered = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
        if sorted(answered) != sorted(asked):
            problems.append(f"{index} answers {answered} of {asked}")
        asked = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]
    return problems


TURNS = [
    [said("one"), said("1", "assistant")],
    [said("two"), use("a"), result("a"), said("2", "assistant")],
    [said("three"), use("b"), dispatch("b"), use("b"), result("b"), said("3", "assistant")],
    [said("four")],
]
LONG = [message for turn in TURNS for message in turn]


@pytest.mark.parametrize(("limit", "kept"), [(100, 4), (13, 4), (12, 3), (11, 3), (7, 2), (6, 1), (1, 1), (0, 1)])
def test_whole_turns_are_dropped_oldest_first(limit: int, kept: int) -> None:
    fitted, report = fit(LONG, NOTHING, max_messages=limit)

    assert fitted == [message for turn in TURNS[4 - kept :] for message in turn]
    assert report.dropped == len(LONG) - len(fitted)
    assert unfit(fitted) == []


def test_bytes_are_counted_as_json_with_images_as_base64() -> None:
    picture = {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"\x00" * 3000}}}]}
    history = [picture, said("A cat.", "assistant"), said("And now?"), said("A dog.", "assistant")]

    assert fit(history, NOTHING, max_bytes=5000)[0] == history
    assert fit(history, NOTHING, max_bytes=4000)[0] == history[2:]


def test_the_newest_turn_stays_though_it_is_over_the_limit() -> None:
    history = [said("old"), said("x" * 10_000)]

    assert fit(history, NOTHING, max_bytes=100)[0] == history[1:]


def test_no_limits_drop_nothing() -> None:
    assert fit(LONG, NOTHING) == (LONG, NOTHING)


def test_the_report_is_true_only_if_something_was_done() -> None:
    assert not NOTHING
    assert RepairReport(dropped=1)
