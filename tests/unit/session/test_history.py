"""Folding of records into a history."""

from __future__ import annotations

from typing import Any

import msgspec
from strands.types.session import encode_bytes_values

from segue.history.fold import fold, under_way
from segue.journal.records import Record, decode_record, encode_record
from segue.journal.values import with_markers


def message(tracking_id: str, text: str, before: str | None = None) -> Record:
    content = {"role": "user", "content": [{"text": text}], "tracking_id": tracking_id}
    return Record(kind="message", data={"message": content, **({"before": before} if before else {})})


def replaced(kind: str, tracking_id: str, text: str) -> Record:
    return Record(kind=kind, data=message(tracking_id, text).data)


def tool(phase: str, **more: Any) -> Record:
    return Record(kind="tool", data={"tool_use_id": "t1", "name": "clock", "phase": phase, **more})


def texts(*records: Record, upto: int | None = None, agent: str = "default") -> list[str]:
    return [each["content"][0]["text"] for each in fold(records, upto).agents[agent].messages]


def test_messages_are_in_the_order_of_their_records() -> None:
    assert texts(message("a", "one"), message("b", "two")) == ["one", "two"]


def test_a_message_that_began_earlier_goes_before_a_later_one() -> None:
    records = [message("a", "one"), message("c", "three"), message("b", "two", before="c")]

    assert texts(*records) == ["one", "two", "three"]
    assert texts(*records, message("d", "end", before="gone")) == ["one", "two", "three", "end"]


def test_an_update_replaces_the_newest_message_of_its_id_and_a_redaction_all() -> None:
    # A prompt that was tried again is in the history twice.
    twice = [message("a", "secret"), message("b", "no"), message("a", "secret")]

    assert texts(*twice, replaced("update", "a", "changed")) == ["secret", "no", "changed"]
    assert texts(*twice, replaced("redact", "a", "[redacted]")) == ["[redacted]", "no", "[redacted]"]


def test_an_update_or_redaction_of_a_dropped_message_does_not_bring_it_back() -> None:
    gone = [message("a", "one"), message("b", "two"), Record(kind="window", data={"keep": ["b"]})]

    assert texts(*gone, replaced("update", "a", "back")) == ["two"]
    assert texts(*gone, replaced("redact", "a", "[redacted]")) == ["two"]


def test_a_window_names_what_is_left_and_in_what_order() -> None:
    records = [message("a", "one"), message("b", "two"), message("c", "sum")]

    assert texts(*records, Record(kind="window", data={"keep": ["c", "b", "c"]})) == ["sum", "two", "sum"]


def test_the_numbers_are_those_of_the_records_that_last_determined_a_message() -> None:
    records = [message("a", "one"), message("b", "two"), replaced("update", "a", "1"), replaced("redact", "b", "-")]

    assert fold(records).agents["default"].numbers == {"a": 2, "b": 3}


def test_a_history_up_to_a_point_uses_the_records_before_it() -> None:
    records = [message("a", "one"), message("b", "two"), replaced("update", "a", "1")]

    assert [texts(*records, upto=upto) for upto in (1, 2, 3)] == [["one"], ["one", "two"], ["1", "two"]]


def test_a_rewind_makes_everything_what_it_was() -> None:
    records = [
        message("a", "one"),
        Record(kind="state", data={"mood": "good"}),
        message("b", "two"),
        Record(kind="state", data={"mood": "bad"}),
        Record(kind="rewind", data={"to": 2}),
        message("c", "three"),
    ]

    history = fold(records).agents["default"]
    assert texts(*records) == ["one", "three"]
    assert history.state == {"mood": "good"}
    assert texts(*records, Record(kind="rewind", data={"to": 4})) == ["one", "two"]


def test_bytes_are_bytes_again() -> None:
    image = {"image": {"source": {"bytes": b"\x00\x01"}}}
    record = Record(kind="message", data={"message": {"role": "user", "content": [image], "tracking_id": "a"}})

    (found,) = fold([decode_record(encode_record(record))]).agents["default"].messages
    assert found["content"][0]["image"]["source"]["bytes"] == b"\x00\x01"


def test_bytes_are_written_as_strands_writes_them() -> None:
    assert with_markers({"content": [{"bytes": b"\x00"}]}) == encode_bytes_values({"content": [{"bytes": b"\x00"}]})


def test_a_tool_is_under_way_until_it_ended_and_again_when_it_is_tried_again() -> None:
    ended = tool("ended", status="error", ms=7)

    def runs(*records: Record) -> list[str]:
        return [run["tool_use_id"] for run in under_way(fold(records).agents["default"].tools)]

    assert runs(tool("started")) == ["t1"]
    assert runs(tool("started"), ended) == []
    assert runs(tool("started"), ended, tool("started")) == ["t1"]
    assert fold([tool("started"), ended]).agents["default"].tools["t1"]["ms"] == 7


def test_a_tool_is_known_to_have_begun_and_ended_when_its_records_say() -> None:
    def when(*runs: tuple[str, int]) -> tuple[Any, Any]:
        records = [msgspec.structs.replace(tool(phase), at=at) for phase, at in runs]
        run = fold(records).agents["default"].tools["t1"]
        return run.get("started_at"), run.get("ended_at")

    assert when(("started", 100)) == (100, None)
    assert when(("started", 100), ("ended", 250)) == (100, 250)
    assert when(("started", 100), ("ended", 250), ("started", 300)) == (300, None), "tried again"
