"""A record that cannot be read, or contradicts: restores name it and release; a look reads the rest."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent
from strands.session import FileSessionManager

from segue import JournalCorrupt
from segue.admin.fork import fork
from segue.history.damage import damage_of
from segue.history.fold import fold
from segue.history.points import history_at, points
from segue.journal.reader import read_unheld
from segue.journal.values import NESTING
from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from segue.strands.transfer import export, portable
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.support.scripted_model import ScriptedModel
from tests.unit.session.damage import (
    ALL,
    KEY,
    UNDECODABLE,
    Sessions,
    check,
    number_of,
    read,
    repair,
    restored,
    spoil,
    texts,
)


@pytest.mark.slow
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


async def test_prepare_refuses_a_damaged_record(memory_sessions: Sessions, talk: MemoryStorage) -> None:
    number = await number_of(talk, "Two")
    spoil(talk, number, UNDECODABLE["not UTF-8"])

    with pytest.raises(JournalCorrupt) as found:
        await memory_sessions().prepare()

    assert found.value.record == number


@pytest.mark.slow
@pytest.mark.parametrize("damage", ALL.values(), ids=ALL)
async def test_a_reader_without_the_lease_reads_the_rest_and_names_the_gap(
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


async def test_a_record_nested_too_deeply_by_an_older_release_is_named_and_can_be_skipped(
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


async def test_a_record_slightly_too_deep_of_an_older_release_is_restored_to_a_voice_agent(
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
