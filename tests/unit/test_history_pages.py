"""Pages of the conversation so far: whole records, in the order in which they were shown, and nothing twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.wire.frames import MAX_FRAME_BYTES, encode_frame
from shared.conversation.history_pages import LINES, PAGE_BYTES, RecordedMessages


def message(role: str, number: int, *content: Any, kind: str | None = None, **custom: Any) -> dict[str, Any]:
    notes = {**({"bidi": {"kind": kind, "status": "complete"}} if kind else {}), **custom}
    return {
        "role": role,
        "content": [{"text": one} if isinstance(one, str) else one for one in content],
        "tracking_id": f"m{number}",
        "metadata": {"custom": notes},
    }


def recorded(*messages: dict[str, Any], **authors: tuple[str, int]) -> RecordedMessages:
    return RecordedMessages(messages, lambda tracking_id: int(tracking_id[1:]), authors.get)


def texts(page: Any) -> list[Any]:
    return [line.text or line.name or line.kind for line in page.lines]


LONG = recorded(*(message("assistant" if number % 2 else "user", number, f"line {number}") for number in range(120)))


def test_the_newest_page_comes_first_and_older_ones_join_it():
    pages, before = [], None
    while not pages or pages[-1].more:
        pages.append(LONG.page("c", before))
        assert len(pages[-1].lines) <= LINES
        assert pages[-1].before == before
        before = pages[-1].lines[0].place
    assert [line.text for page in reversed(pages) for line in page.lines] == [f"line {number}" for number in range(120)]
    assert [len(page.lines) for page in pages] == [50, 50, 20]
    assert LONG.page("c", 0).lines == ()
    assert LONG.page("c", 0).more is False


def test_each_kind_of_line_and_the_record_that_it_shows():
    use = {"toolUse": {"toolUseId": "t", "name": "clock", "input": {}}}
    result = {"toolResult": {"toolUseId": "t", "content": [], "status": "error"}}
    image = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    history = recorded(
        message("user", 0, "what is it", kind="transcript"),
        message("assistant", 1, use),
        message("user", 2, result, kind="tool_dispatch"),
        message("assistant", 3, use),
        message("user", 4, result, kind="tool_result"),
        message("assistant", 5, "Noon.", kind="transcript"),
        message("user", 6, "look", image),
        m6=("c", 7),
    )
    page = history.page("c", None)
    assert [(line.record, line.role, line.kind, line.text, line.status, line.input) for line in page.lines] == [
        (0, "user", "transcript", "what is it", None, None),
        (1, "assistant", "tool", None, "started", None),
        (4, "assistant", "tool", None, "error", None),
        (5, "assistant", "transcript", "Noon.", None, None),
        (6, "user", "text", "look", None, 7),
        (6, "user", "image", None, None, 7),
    ]
    assert {line.name for line in page.lines if line.kind == "tool"} == {"clock"}
    assert [line.input for line in history.page("another", None).lines if line.input] == []
    assert texts(history.page("c", 5)) == ["what is it", "clock", "clock"]
    assert history.page("c", 5).lines[-1].name == "clock", "its use is before the page"


def test_a_shortened_answer_stands_where_it_was_first_shown():
    history = recorded(
        message("user", 0, "count", kind="transcript"),
        message("assistant", 4, "one", kind="transcript", segue={"replaces": 1}),
        message("user", 2, "stop", kind="transcript"),
    )
    assert texts(history.page("c", None)) == ["count", "one", "stop"]
    assert [line.place for line in history.page("c", None).lines] == [0, 1, 2]
    assert texts(history.page("c", 2)) == ["count", "one"]


def test_a_message_that_was_redacted_later_stays_where_it_is_and_falls_between_no_two_pages():
    numbers = {"m10": 500, "m11": 501, "m119": 502}
    history = RecordedMessages(LONG.messages, lambda one: numbers.get(one, int(one[1:])), lambda _: None)
    pages, before = [], None
    while not pages or pages[-1].more:
        pages.append(history.page("c", before))
        before = min(line.place for line in pages[-1].lines)
    assert [line.text for page in reversed(pages) for line in page.lines] == [f"line {number}" for number in range(120)]


def test_records_that_clients_will_be_shown_are_in_no_page():
    assert texts(LONG.page("c", None, {119, 118, None}))[-1] == "line 117"


@pytest.mark.parametrize("size", [700, 7_000, 40_000])
def test_a_page_is_bounded_in_bytes_and_has_a_line_in_any_case(size):
    history = recorded(*(message("assistant", number, "x" * size) for number in range(60)))
    page = history.page("c", None)
    assert page.lines
    assert page.more
    assert sum(len(msgspec.json.encode(line)) for line in page.lines) <= PAGE_BYTES + 2_000
    assert len(encode_frame(page).encode()) <= MAX_FRAME_BYTES


def test_of_a_record_with_more_lines_than_a_page_holds_the_first_are_shown():
    uses = [{"toolUse": {"toolUseId": f"t{number:040}", "name": "clock" * 12, "input": {}}} for number in range(300)]
    page = recorded(message("user", 0, "go"), message("assistant", 1, *uses)).page("c", None)
    assert 50 < len(page.lines) < 300
    assert page.more
    assert len(encode_frame(page).encode()) <= MAX_FRAME_BYTES


def test_an_older_page_looks_at_no_content_of_what_is_newer():
    newer = [{"role": "user", "tracking_id": f"m{number}"} for number in range(120, 200)]
    history = RecordedMessages([*LONG.messages, *newer], LONG.record_of, LONG.author_of)
    assert texts(history.page("c", 60)) == [f"line {number}" for number in range(10, 60)]


def test_an_older_page_has_what_was_shortened_and_redacted_beside_its_end():
    numbers = {"m57": 300, "m59": 301, "m61": 302}  # redacted, all three
    shortened = message("assistant", 303, "short", segue={"replaces": 58})
    messages = [*LONG.messages[:58], shortened, *LONG.messages[59:]]
    history = RecordedMessages(messages, lambda one: numbers.get(one, int(one[1:])), lambda _: None)
    assert texts(history.page("c", 60))[-3:] == ["line 56", "line 57", "short"], "59 is behind what begins at 60"
    assert texts(history.page("c", 58))[-1] == "line 56"
