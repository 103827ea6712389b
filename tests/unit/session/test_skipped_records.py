"""A damaged record that is skipped: the session opens again, and what was saved of it is looked after."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from strands import Agent

import segue.journal.blocks
import segue.journal.records
from segue import SessionHeld
from segue.journal.blocks import Block, unpack
from segue.journal.records import Record, encode_record
from segue.lease.item import GuardItem
from segue.lease.settings import LeaseSettings
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.unit.session.damage import (
    ALL,
    CONTRADICTING,
    KEY,
    UNDECODABLE,
    Sessions,
    check,
    key_of,
    number_of,
    read,
    repair,
    restored,
    spoil,
    texts,
)


@pytest.fixture(params=["segments", "pages", "volumes"])
def kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the key of the object that holds most of the session."""
    kind = str(request.param)
    if kind != "segments":
        monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 2)
    if kind == "volumes":
        monkeypatch.setattr(segue.journal.blocks, "VOLUME_PAGES", 2)
    return kind


@pytest.mark.slow
@pytest.mark.parametrize("damage", ALL.values(), ids=ALL)
async def test_a_session_with_a_skipped_record_can_be_opened(
    kept_in: str, memory_sessions: Sessions, talk: MemoryStorage, damage: Any
) -> None:
    await folded(memory_sessions, talk, kept_in)
    number = await number_of(talk, "Two")
    before = dict(talk.objects.objects)
    raw = [bytes(one) for one in block_of(talk, number).records][number - block_of(talk, number).first]
    keys = {spoil(talk, number, damage, f"{kept_in}/")}
    if kept_in == "volumes":  # and what it is a copy of
        keys.add(spoil(talk, number, damage, "pages/"))
    head = GuardItem.parse(talk.guard.items[KEY]).head
    spoilt = dict(talk.objects.objects)
    assert [one.code for one in (await check(talk)).damage]

    (skipped,) = await repair(talk)

    assert skipped.record == number
    assert skipped.key in keys
    after = talk.objects.objects
    assert after[skipped.saved] == damage(raw)
    assert not [name for name, body in spoilt.items() if after.get(name, body) != body], "no object is rewritten"
    report = await check(talk)
    assert report.ok, report.findings
    assert {one.code for one in report.findings} == {"skipped"}
    item = GuardItem.parse(talk.guard.items[KEY])
    assert (item.head, item.held) == (head + 1, False)
    assert await repair(talk) == [], "once is enough"

    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    assert "Two" not in texts(agent.messages)
    assert "Three" in texts(agent.messages)
    await agent.invoke_async("Six")
    point = (await manager.points())[-2]
    await agent.invoke_async("Seven")
    await manager.rewind(point)
    await manager.close()
    assert texts((await restored(memory_sessions)).messages) == texts(agent.messages)
    assert set(before) <= {*talk.objects.objects, *before}


async def folded(sessions: Sessions, storage: MemoryStorage, kept_in: str) -> None:
    """Let the session go on until its beginning is in pages, or in a volume."""
    manager = sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    while kept_in != "segments" and not any(kept_in in key for key in storage.objects.objects):
        await agent.invoke_async("and on")
        await agent.invoke_async("and on")
    await manager.close()


def block_of(storage: MemoryStorage, record: int) -> Block:
    return msgspec.json.decode(unpack(storage.objects.objects[key_of(storage, record)]), type=Block)


async def test_a_page_whose_volume_is_whole_needs_no_skip(
    monkeypatch: pytest.MonkeyPatch, memory_sessions: Sessions, talk: MemoryStorage
) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 2)
    monkeypatch.setattr(segue.journal.blocks, "VOLUME_PAGES", 2)
    await folded(memory_sessions, talk, "volumes")
    number = await number_of(talk, "One")
    spoil(talk, number, UNDECODABLE["not UTF-8"], "volumes/")

    assert texts((await restored(memory_sessions)).messages)[0] == "One"
    assert await repair(talk) == []
    assert [one.code for one in (await check(talk)).damage] == ["record", "volume"]


async def test_consequences_of_a_skipped_record_are_no_contradiction(
    memory_sessions: Sessions, talk: MemoryStorage
) -> None:
    """A later window keeps the message that is lost, and an update changes it."""
    number = await number_of(talk, "Two")
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    del agent.messages[0]
    agent.messages[1]["content"].append({"text": "changed"})
    await agent.invoke_async("Six")
    await manager.close()
    spoil(talk, number, UNDECODABLE["not UTF-8"])

    await repair(talk)

    assert (await check(talk)).ok
    assert texts((await restored(memory_sessions)).messages)[-1] == "You said: Six"


async def test_several_damaged_records_are_skipped_together(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    numbers = [await number_of(talk, text) for text in ("One", "Three", "Five")]
    damages = (UNDECODABLE["not UTF-8"], CONTRADICTING["a message that is none"], UNDECODABLE["another type"])
    for number, damage in zip(numbers, damages, strict=True):
        spoil(talk, number, damage)

    assert [one.record for one in await repair(talk)] == numbers

    assert (await check(talk)).ok
    assert "Two" in texts((await restored(memory_sessions)).messages)


async def test_a_living_holder_keeps_its_session(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    manager = memory_sessions(lease=LeaseSettings(duration=30))
    await manager.open()
    spoil(talk, await number_of(talk, "Two"), UNDECODABLE["not UTF-8"])

    with pytest.raises(SessionHeld):
        await repair(talk)

    assert (await manager.points())[-1].records == manager.head, "points read the rest"
    await manager.close()


async def test_a_redaction_empties_what_was_saved(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    number = await number_of(talk, "Two")
    spoil(talk, number, UNDECODABLE["not UTF-8"])
    (skipped,) = await repair(talk)
    assert b"Two" in talk.objects.objects[skipped.saved]
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)

    await manager.redact(str(agent.messages[0]["tracking_id"]))

    assert b"Two" not in unpack(talk.objects.objects[skipped.saved])
    await manager.close()
    assert (await check(talk)).ok


async def test_a_deletion_takes_what_was_saved(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    spoil(talk, await number_of(talk, "Two"), UNDECODABLE["not UTF-8"])
    await repair(talk)
    manager = memory_sessions()
    await manager.open()

    await manager.delete()

    assert not talk.objects.objects


async def test_a_damaged_redaction_whose_sweep_is_due_is_passed_over(
    memory_sessions: Sessions, talk: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    await manager.redact(str(agent.messages[0]["tracking_id"]))
    await manager.close()
    number = next(n for n, one in enumerate((await read(talk)).records) if one.kind == "redact")
    spoil(talk, number, CONTRADICTING["a redaction of nothing"])
    talk.guard.items[KEY] = {**talk.guard.items[KEY], "scrub": str(number)}

    with caplog.at_level(logging.ERROR):
        await repair(talk)

    assert "a redaction is damaged" in caplog.text
    assert (await check(talk)).ok
    await restored(memory_sessions)


def test_a_skip_is_of_an_earlier_record_only() -> None:
    records = [Record(kind="skip", data={"record": number}) for number in (0, 5, -1, True, "0")]

    assert segue.journal.records.skips(records) == set()
    assert segue.journal.records.skips([Record(), *records]) == {0}


def test_a_skip_can_be_read_by_an_older_release() -> None:
    """It passes over kinds that it does not know, and refuses the damaged record as before."""
    body = encode_record(Record(kind="skip", agent="", data={"record": 3, "saved": "3-1-x.json"}))

    assert not segue.journal.records.is_escaped(body)
