from __future__ import annotations

from datetime import UTC, datetime

import pytest

from segue.errors import SessionNotFound
from segue.history.fold import fold
from segue.history.points import Point, as_redacted, find, history_at, points, read_at
from segue.journal.blocks import unpack
from segue.journal.reader import read_unheld
from segue.journal.records import Record, encode_record
from segue.journal.redaction import redacted, replacement_of

KEY = "alice/notes"
SECRET = {"role": "user", "content": [{"text": "secret"}], "tracking_id": "s"}


async def test_every_commit_is_a_point(stores, clock, write, message):
    await write(KEY, [message("a"), message("b")], [message("c")])
    await write(KEY, [message("d")])

    found = await points(stores, KEY, clock)

    assert [(point.records, point.epoch) for point in found] == [(2, 1), (3, 1), (4, 3)]
    item = await stores.guard.read(KEY)
    assert found[-1].commit_id == item["commit_id"]
    assert len({point.commit_id for point in found}) == 3


async def test_a_point_has_the_time_of_its_last_record(stores, clock, write):
    await write(KEY, [Record(kind="state", data={}, at=5), Record(kind="state", data={}, at=7)])

    assert [point.at for point in await points(stores, KEY, clock)] == [7]


async def test_points_go_through_pages(stores, clock, write, message):
    await write(KEY, *([message(str(number))] for number in range(60)))

    assert (await stores.guard.read(KEY))["pages"] == 1
    assert [point.records for point in await points(stores, KEY, clock)] == list(range(1, 61))


async def test_a_session_reads_as_it_was(stores, clock, write, message, texts):
    await write(KEY, [message("a")], [message("b")], [message("B", "b", kind="update")])

    assert texts(await read_at(stores, KEY, clock, 1)) == ["a"]
    assert texts(await read_at(stores, KEY, clock, 2)) == ["a", "b"]
    assert texts(await read_at(stores, KEY, clock)) == ["a", "B"]


async def test_reading_takes_no_lease_from_a_holder(stores, clock, write, message):
    session = await write(KEY, [message("a")], stay=True)
    before = await stores.guard.read(KEY)

    await read_at(stores, KEY, clock)

    assert await stores.guard.read(KEY) == before
    session.append(message("b"))
    await session.durable()
    await session.close()


async def test_there_is_no_point_inside_a_commit(stores, clock, write, message):
    await write(KEY, [message("a")], [message("b"), message("c"), message("d")])

    with pytest.raises(ValueError, match="nearest points are: 1 and 4"):
        await read_at(stores, KEY, clock, 2)


async def test_points_of_a_missing_session_raise_session_not_found(stores, clock):
    with pytest.raises(SessionNotFound):
        await points(stores, KEY, clock)


async def test_earlier_points_show_the_redacted_form(stores, clock, write, message, texts):
    await write(KEY, [message("secret", "s")], [message("b")], [message("gone", "s", kind="redact")])

    for records in (1, 2, 3):
        assert texts(await read_at(stores, KEY, clock, records))[0] == "gone"


async def test_earlier_points_show_the_redacted_form_during_the_sweep_too(stores, clock, write, message, texts):
    """The crash is between the commit and the sweep: the page still has the old content."""
    await write(KEY, *([message(f"secret {number}", str(number))] for number in range(60)))
    page = next(key for key in stores.objects.objects if "/pages/" in key)
    unswept = stores.objects.objects[page]
    await write(KEY, [message("gone", "0", kind="redact")])
    stores.objects.objects[page] = unswept

    assert b'"secret 0"' in unpack(stores.objects.objects[page])
    journal = await read_unheld(stores.guard, stores.objects, stores.prefix, KEY, clock)
    assert texts(fold(journal.records, 1)) == ["secret 0"]
    assert texts(history_at(journal, 1)) == ["gone"]
    assert texts(history_at(journal, 3)) == ["gone", "secret 1", "secret 2"]


def test_the_latest_redaction_stands_and_what_came_after_is_left_alone(message):
    records = [
        message("secret", "s"),
        message("first", "s", kind="redact"),
        message("second", "s", kind="redact"),
        message("new", "s", kind="update"),
    ]

    assert [one.data["message"]["content"][0]["text"] for one in as_redacted(records)] == [
        "second",
        "second",
        "second",
        "new",
    ]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("message", {"message": SECRET, "before": "x"}),
        ("update", {"message": SECRET}),
        ("redact", {"message": SECRET}),
        ("internal", {"conversation_manager_state": {"summary_message": SECRET, "removed_message_count": 2}}),
        ("window", {"keep": ["s"]}),
        ("state", {"note": "secret", "of": "s"}),
        ("prompt", [{"text": "secret"}]),
        ("tool", {"tool_use_id": "s", "name": "clock", "phase": "started"}),
        ("connection", {"provider": "s", "handle": "secret"}),
        ("agent", {"class": "Agent", "name": "s"}),
        ("multi_agent", {"id": "s", "state": {"said": "secret"}}),
        ("input", None),
        ("rewind", {"to": 0}),
    ],
)
def test_every_record_is_shown_as_a_sweep_leaves_it(message, kind, data):
    record, redaction = Record(kind=kind, data=data, at=7), message("gone", "s", kind="redact")

    (shown, _) = as_redacted([record, redaction])

    swept = redacted(encode_record(record), replacement_of(redaction))
    assert encode_record(shown) == swept
    assert (swept != encode_record(record)) == (SECRET["content"][0] in [*held_blocks(data)])


def held_blocks(value):
    """All blocks of messages with content, however deep they are."""
    if isinstance(value, dict):
        yield from value.get("content", ())
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from held_blocks(inner)


FOUND = [Point(2, 1, "abcX", 1_000), Point(3, 1, "abcY", 2_000), Point(9, 3, "zzz", 86_400_000)]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("3", 3),
        ("abcY", 3),
        ("zz", 9),
        ("1970-01-01T00:00:02", 3),
        ("1970-01-01T02:00:01.500+02:00", 2),
        ("1970-01-02", 9),
    ],
)
def test_a_point_is_named_by_number_id_or_time(text, records):
    assert find(FOUND, text).records == records


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("4", "nearest points are: 3 and 9"),
        ("1", "nearest points are: 2"),
        ("abc", "2 commits"),
        ("then", "no number of records"),
        ("", "no number of records"),
        ("1969-12-31", "as early"),
    ],
)
def test_a_text_that_names_no_point_or_several_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        find(FOUND, text)


def test_a_time_without_a_zone_is_utc():
    at = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)

    assert find([Point(1, 1, "a", at)], "2026-01-01T12:00:00").records == 1
    with pytest.raises(ValueError, match="as early"):
        find([Point(1, 1, "a", at)], "2026-01-01T11:59:59")
