"""A record that cannot be used: who refuses the session, who reads the rest, and what makes readers skip it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from strands import Agent
from strands.bidi import BidiAgent
from strands.session import FileSessionManager

import segue.journal.records
from segue import JournalCorrupt, SessionHeld
from segue.admin.fork import fork
from segue.admin.skip_damaged import Skipped, skip_damaged
from segue.admin.verify import Report, verify
from segue.history.damage import damage_of
from segue.history.fold import fold
from segue.history.points import history_at, points
from segue.journal.reader import read_unheld
from segue.journal.records import Block, Record, encode_record, pack, unpack
from segue.journal.values import NESTING
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.lease.settings import LeaseSettings
from segue.session.runtime import Runtime
from segue.session.session import Session
from segue.strands.transfer import export, portable
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel

Sessions = Callable[..., Any]

KEY = "default/talk"

UNDECODABLE = {
    "not UTF-8": lambda raw: raw.replace(b'"user"', b'"\xff"'),
    "a number that is none": lambda raw: raw.replace(b'"user"', b"1e999"),
    "another type": lambda _raw: b'{"kind":7}',
    "escapes of a later version": lambda _raw: b'{"escaped":9,"data":{}}',
    "a damaged escape": lambda _raw: b'{"escaped":1,"data":{"message":{"$tuple":5}}}',
}
CONTRADICTING = {
    "a message that is none": lambda _raw: b'{"data":{"message":5}}',
    "a message without one": lambda _raw: b'{"data":{}}',
    "a state that is a list": lambda _raw: b'{"kind":"state","data":[]}',
    "a window of what never was": lambda _raw: b'{"kind":"window","data":{"keep":["never"]}}',
    "a rewind to nowhere": lambda _raw: b'{"kind":"rewind","data":{"to":"x"}}',
    "a redaction of nothing": lambda _raw: b'{"kind":"redact","data":{"message":{}}}',
    "a tool without a name": lambda _raw: b'{"kind":"tool","data":[]}',
}
ALL = {**UNDECODABLE, **CONTRADICTING}


def key_of(storage: MemoryStorage, record: int, part: str = "") -> str:
    """The page or segment that holds a record."""
    for key, body in storage.objects.objects.items():
        block = msgspec.json.decode(unpack(body), type=Block) if part in key and "damaged/" not in key else None
        if block is not None and block.first <= record < block.end:
            return key
    raise AssertionError("no object")


def spoil(storage: MemoryStorage, record: int, damage: Callable[[bytes], bytes], part: str = "") -> str:
    """Damage one record, and return the object that holds it."""
    key = key_of(storage, record, part)
    block = msgspec.json.decode(unpack(storage.objects.objects[key]), type=Block)
    raws = [bytes(raw) for raw in block.records]
    raws[record - block.first] = damage(raws[record - block.first])
    block = msgspec.structs.replace(block, records=tuple(map(msgspec.Raw, raws)))
    storage.objects.objects[key] = pack(block)
    return key


async def number_of(storage: MemoryStorage, text: str) -> int:
    """The record that holds a message with a text."""
    journal = await read(storage)
    (number,) = (
        n for n, one in enumerate(journal.records) if one.kind == "message" and f"'text': '{text}'" in str(one.data)
    )
    return number


async def read(storage: MemoryStorage, **options: Any) -> Any:
    stores = storage.stores()
    return await read_unheld(stores.guard, stores.objects, "", KEY, Runtime.shared().clock, **options)


async def check(storage: MemoryStorage) -> Report:
    return await verify(storage.stores(), KEY, Runtime.shared().clock)


async def repair(storage: MemoryStorage, **options: Any) -> list[Skipped]:
    runtime = Runtime.shared()
    stores = storage.stores()
    lease = Lease(stores.guard, KEY, holder="the test", clock=runtime.clock, **options)
    return await runtime.run(skip_damaged(Session(lease, stores, runtime.heartbeats, runtime.clock), stores, 0.0))


def texts(messages: list[Any]) -> list[str]:
    return [block["text"] for message in messages for block in message["content"] if "text" in block]


@pytest.fixture(params=["segments", "pages", "volumes"])
def kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the key of the object that holds most of the session."""
    kind = str(request.param)
    if kind != "segments":
        monkeypatch.setattr(segue.journal.records, "PAGE_RECORDS", 2)
    if kind == "volumes":
        monkeypatch.setattr(segue.journal.records, "VOLUME_PAGES", 2)
    return kind


@pytest.fixture
async def talk(memory_sessions: Sessions, storage: MemoryStorage) -> MemoryStorage:
    """Storage with a session of several turns."""
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    for text in ("One", "Two", "Three", "Four", "Five"):
        await agent.invoke_async(text)
    await manager.close()
    return storage


@pytest.mark.parametrize("damage", ALL.values(), ids=ALL)
async def test_a_restore_names_the_object_and_the_record_records_nothing_and_releases(
    memory_sessions: Sessions, talk: MemoryStorage, damage: Any
) -> None:
    number = await number_of(talk, "Two")
    key = spoil(talk, number, damage)
    objects, head = dict(talk.objects.objects), GuardItem.parse(talk.guard.items[KEY]).head

    for _ in range(2):  # the lease was released, so that a second try gets as far
        with pytest.raises(JournalCorrupt) as found:
            await memory_sessions().open()
        assert (found.value.key, found.value.record) == (key, number)
        assert f"{key}: record {number}: " in str(found.value)

    assert talk.objects.objects == objects
    item = GuardItem.parse(talk.guard.items[KEY])
    assert (item.head, item.held) == (head, False)


async def test_preparing_refuses_it_too(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    number = await number_of(talk, "Two")
    spoil(talk, number, UNDECODABLE["not UTF-8"])

    with pytest.raises(JournalCorrupt) as found:
        await memory_sessions().prepare()

    assert found.value.record == number


@pytest.mark.parametrize("damage", ALL.values(), ids=ALL)
async def test_who_only_looks_reads_the_rest_and_names_the_gap(
    talk: MemoryStorage, tmp_path: Any, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    before = await read(talk)
    number = await number_of(talk, "Two")
    key = spoil(talk, number, damage)

    journal = await read(talk, whole=False)
    damaged: list[JournalCorrupt] = []
    history = history_at(journal, damaged=damaged)
    rest = [text for text in texts(fold(before.records).agents["default"].messages) if text != "Two"]
    assert [(error.key, error.record) for error in damaged] == [(key, number)]
    assert texts(history.agents["default"].messages) == rest
    assert len(journal.records) == len(before.records), "numbers stay"

    stores, clock = talk.stores(), Runtime.shared().clock
    assert [(one.records, one.commit_id) for one in await points(stores, KEY, clock)] == [
        (end, commit_id) for end, _, commit_id in before.commits
    ]

    moving = portable(journal.records, damaged=damaged)
    export(moving, FileSessionManager("talk", storage_dir=str(tmp_path)))
    assert texts(moving.messages) == rest

    with caplog.at_level(logging.ERROR):
        await fork(stores, KEY, "default/copy", clock)
    assert [(one.object, one.record) for one in caplog.records if "copy" in one.message] == [(key, number)]
    copied = await read_unheld(stores.guard, stores.objects, "", "default/copy", clock)
    assert copied.records[number].kind == "unreadable"
    assert texts(history_at(copied).agents["default"].messages) == rest


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


async def restored(sessions: Sessions) -> Agent:
    manager = sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    await manager.close()
    return agent


async def test_a_page_whose_volume_is_whole_needs_no_skip(
    monkeypatch: pytest.MonkeyPatch, memory_sessions: Sessions, talk: MemoryStorage
) -> None:
    monkeypatch.setattr(segue.journal.records, "PAGE_RECORDS", 2)
    monkeypatch.setattr(segue.journal.records, "VOLUME_PAGES", 2)
    await folded(memory_sessions, talk, "volumes")
    number = await number_of(talk, "One")
    spoil(talk, number, UNDECODABLE["not UTF-8"], "volumes/")

    assert texts((await restored(memory_sessions)).messages)[0] == "One"
    assert await repair(talk) == []
    assert [one.code for one in (await check(talk)).damage] == ["record", "volume"]


async def test_what_follows_from_a_skipped_record_is_no_contradiction(
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


async def test_what_an_older_release_recorded_too_deeply_is_named_and_can_be_skipped(
    memory_sessions: Sessions, talk: MemoryStorage
) -> None:
    deep = b"[" * 3000 + b"]" * 3000
    number = await number_of(talk, "Two")
    key = spoil(talk, number, lambda raw: raw.replace(b'"text":"Two"', b'"text":"Two","x":' + deep))
    assert [(error.key, error.record) for error in damage_of(await read(talk))] == [(key, number)]
    manager = memory_sessions()
    await manager.open()
    with pytest.raises(JournalCorrupt, match="nested") as found:
        Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    assert (found.value.key, found.value.record) == (key, number)

    await repair(talk)

    assert (await check(talk)).ok
    assert "Three" in texts((await restored(memory_sessions)).messages)


async def test_what_a_voice_agent_of_an_older_release_recorded_a_little_too_deeply_is_restored(
    memory_sessions: Sessions, talk: MemoryStorage
) -> None:
    levels = NESTING + 200
    spoil(
        talk,
        await number_of(talk, "Two"),
        lambda raw: raw.replace(b'"text":"Two"', b'"text":"Two","x":' + b"[" * levels + b"]" * levels),
    )

    manager = memory_sessions()
    await manager.open()

    assert "Two" in texts(BidiAgent(model=ScriptedModel(), session_manager=manager).messages)
    await manager.close()


def test_a_skip_is_of_an_earlier_record_only() -> None:
    records = [Record(kind="skip", data={"record": number}) for number in (0, 5, -1, True, "0")]

    assert segue.journal.records.skips(records) == set()
    assert segue.journal.records.skips([Record(), *records]) == {0}


def test_a_skip_can_be_read_by_an_older_release() -> None:
    """It passes over kinds that it does not know, and refuses the damaged record as before."""
    body = encode_record(Record(kind="skip", agent="", data={"record": 3, "saved": "3-1-x.json"}))

    assert not segue.journal.records.is_escaped(body)
