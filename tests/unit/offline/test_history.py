from __future__ import annotations

from typing import Any

import pytest

from segue.testing.offline import HistoryRejected
from segue.testing.offline.history import SpokenTurn, check, read, tool_names


def text(words: str, role: str = "user", **rest: Any) -> Any:
    return {"role": role, "content": [{"text": words}], **rest}


def streamed(status: str, content: list[Any], role: str = "assistant") -> Any:
    return {
        "role": role,
        "content": content,
        "metadata": {"custom": {"bidi": {"kind": "transcript", "status": status}}},
    }


def use(*ids: str) -> Any:
    return {
        "role": "assistant",
        "content": [{"toolUse": {"toolUseId": i, "name": f"tool_{i}", "input": {}}} for i in ids],
    }


def result(*ids: str) -> Any:
    results = [{"toolResult": {"toolUseId": i, "status": "success", "content": [{"text": "ok"}]}} for i in ids]
    return {"role": "user", "content": results}


PENDING = streamed("pending", [])

GOOD = [
    text("My name is Alice", tracking_id="1"),
    streamed("complete", [{"text": "Hello Alice."}]),
    streamed("incomplete", [{"text": "[Transcript unavailable.]"}]),
    streamed("incomplete", [{"text": ""}]),
    use("a", "b"),
    result("b", "a"),
    use("a", "b"),
    result("a", "b"),
    {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "hm"}}}]},
    text("So?", tracking_id="2"),
]


def test_a_history_as_strands_stores_it_is_accepted_and_read() -> None:
    check(GOOD, restarting=False)
    assert read(GOOD) == [
        SpokenTurn("user", "My name is Alice"),
        SpokenTurn("assistant", "Hello Alice."),
        SpokenTurn("user", "So?"),
    ]
    assert tool_names(GOOD) == {"a": "tool_a", "b": "tool_b"}


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([PENDING], "message 0 is the placeholder"),
        ([text("x"), {"role": "user", "content": []}], "message 1 has no content"),
        ([{"role": "user"}], "no content"),
        ([{"role": "user", "content": [{}]}], "no content"),
        ([{"role": "system", "content": [{"text": "x"}]}], "role 'system'"),
        ([text("  ")], "blank"),
        ([streamed("complete", [{"text": ""}])], "blank"),
        ([text("x", tracking_id="1"), text("x", tracking_id="1")], "twice"),
        ([use("a")], "no toolResult"),
        ([use("a"), text("x")], "asked for"),
        ([use("a"), text("x"), result("a")], "asked for"),
        ([result("a")], "asked for"),
        ([use("a", "b"), result("a")], "asked for"),
        ([use("a"), result("a"), result("a")], "asked for"),
        ([use("a"), use("a"), result("a")], "asked for"),
        ([use("a", "a"), result("a", "a")], "two results of one toolUseId"),
        ([{**use("a"), "role": "user"}], "does not belong"),
        ([use("a"), {**result("a"), "role": "assistant"}], "does not belong"),
    ],
)
def test_a_history_that_a_provider_would_refuse_is_rejected(messages: list[Any], why: str) -> None:
    with pytest.raises(HistoryRejected, match=why):
        check(messages, restarting=False)


def test_a_restart_may_show_what_is_still_under_way() -> None:
    check([text("x"), PENDING, use("a")], restarting=True)
    assert read([text("x"), PENDING]) == [SpokenTurn("user", "x")]
    with pytest.raises(HistoryRejected, match="asked for"):
        check([use("a"), text("x")], restarting=True)
