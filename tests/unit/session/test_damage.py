"""Damaged, foreign and newer data: never read as if it were right, and always named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from strands import Agent

from segue import JournalCorrupt
from segue.journal.blocks import PAGE_RECORDS, decode_block, unpack
from segue.journal.records import Record, decode_record, encode_record
from segue.lease.item import GuardItem
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.unit.session.vandal import Sessions, Vandal, corrupt, cut_short, newer


def truncated(body: bytes) -> bytes:
    return body[: len(body) // 2]


def cut_in_a_character(body: bytes) -> bytes:
    return body[: body.index("ü".encode()) + 1]


def not_utf8(body: bytes) -> bytes:
    return body.replace("ü".encode(), b"\xfc")


def empty(body: bytes) -> bytes:
    return b""


def not_json(body: bytes) -> bytes:
    return b"\x89PNG\r\n"


def another_shape(body: bytes) -> bytes:
    return b'{"schema": 1, "records": 7}'


def a_record_less(body: bytes) -> bytes:
    block = json.loads(body)
    return json.dumps({**block, "records": block["records"][:-1]}).encode()


def a_record_that_is_none(body: bytes) -> bytes:
    block = json.loads(body)
    return json.dumps({**block, "records": [7, *block["records"][1:]]}).encode()


def elsewhere(body: bytes) -> bytes:
    block = json.loads(body)
    return json.dumps({**block, "first": block["first"] + 1}).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        cut_short,
        cut_in_a_character,
        not_utf8,
        empty,
        not_json,
        another_shape,
        newer,
        a_record_less,
        a_record_that_is_none,
        elsewhere,
    ],
)
async def test_a_damaged_segment_is_named(vandal: Vandal, memory_sessions: Sessions, damage: Any) -> None:
    key = next(key for key in vandal.keys("/talk/") if "ü".encode() in unpack(vandal.objects[key]))
    vandal.objects[key] = vandal.damaged(key, damage)

    error = await corrupt(memory_sessions, key)

    assert ("newer Segue" in str(error)) == (damage is newer)


async def test_a_missing_segment_is_named(vandal: Vandal, memory_sessions: Sessions) -> None:
    key = vandal.keys("/talk/")[-1]
    del vandal.objects[key]

    assert "not there" in str(await corrupt(memory_sessions, key))


async def test_swapped_segments_are_named(vandal: Vandal, memory_sessions: Sessions) -> None:
    first, second = vandal.keys("/talk/")[:2]
    vandal.objects[first], vandal.objects[second] = vandal.objects[second], vandal.objects[first]

    await corrupt(memory_sessions, first)


async def test_a_segment_of_another_session_is_named(vandal: Vandal, memory_sessions: Sessions) -> None:
    key = vandal.keys("/talk/")[0]
    other = vandal.keys("/other/")[0]
    vandal.objects[key] = vandal.objects[other]

    born = other.split("/")[3]
    assert f"belongs to a session born '{born}'" in str(await corrupt(memory_sessions, key))


async def test_another_commit_in_the_place_of_the_one_that_won_is_named(
    vandal: Vandal, memory_sessions: Sessions
) -> None:
    key = vandal.keys("/talk/")[-1]
    block = json.loads(unpack(vandal.objects[key]))
    ((end, epoch, _),) = block["commits"]
    vandal.objects[key] = json.dumps({**block, "commits": [[end, epoch, "AAAAAAAAAAA"]]}).encode()

    await corrupt(memory_sessions, key)


async def test_objects_that_no_item_names_are_not_read(vandal: Vandal, memory_sessions: Sessions) -> None:
    last = vandal.keys("/talk/")[-1]
    vandal.objects[last.rsplit("/", 1)[0] + "/999-1-AAAAAAAAAAA.json"] = b"garbage"

    manager = memory_sessions()
    await manager.open()

    assert len(manager.history.agents["default"].messages) == 4


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncated, cut_short, newer, a_record_less])
async def test_a_damaged_page_is_named(storage: MemoryStorage, memory_sessions: Sessions, damage: Any) -> None:
    manager = memory_sessions(durability="gate")
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    for number in range(PAGE_RECORDS + 1):
        manager.append_message({"role": "user", "content": [{"text": f"{number}"}]}, agent)
    await manager.flush()
    manager.append_message({"role": "user", "content": [{"text": "folds the page"}]}, agent)
    await manager.close()
    vandal = Vandal(storage)
    key = next(key for key in vandal.objects if "/pages/" in key)
    vandal.objects[key] = vandal.damaged(key, damage)

    await corrupt(memory_sessions, key)


@pytest.mark.parametrize(
    "record",
    [
        Record(kind="message", data={}),
        Record(kind="message", data=[1]),
        Record(kind="update", data={"message": 7}),
        Record(kind="window", data={"keep": ["never recorded"]}),
        Record(kind="rewind", data={}),
        Record(kind="tool", data={"name": "clock"}),
    ],
    ids=lambda record: record.kind,
)
async def test_a_record_that_has_not_the_shape_of_its_kind_is_damage_and_no_lease_stays(
    memory_sessions: Sessions, storage: MemoryStorage, record: Record
) -> None:
    manager = memory_sessions()
    await manager.open()
    manager._session.append(record)
    await manager.close()

    for _ in range(2):
        with pytest.raises(JournalCorrupt, match="record 0"):
            await memory_sessions().open()


async def test_a_kind_that_a_later_version_added_is_passed_over(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    manager._session.append(Record(kind="hologram", data={"depth": 3}))
    await manager.close()

    await memory_sessions().open()


def test_a_record_is_as_it_was() -> None:
    record = Record(kind="state", data={"a": [1, None, True, 1.5, "ü"]}, agent="x", at=7, inputs=("page-1", (1, 2)))

    assert decode_record(encode_record(record)) == record
    with pytest.raises(JournalCorrupt, match="my key"):
        decode_record(b'{"kind": 7}', "my key")


def test_a_block_names_the_key_of_what_is_wrong() -> None:
    item = GuardItem("default/talk", "b", 1, 0)
    for body in (b"", b"{", b"[]", b"null", b"\xff"):
        with pytest.raises(JournalCorrupt) as found:
            decode_block("the/key.json", body, item)
        assert found.value.key == "the/key.json"
