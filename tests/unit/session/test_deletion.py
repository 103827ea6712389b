"""The end of a life: a tombstone, no objects, and an id that may begin anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from segue import SessionFenced, SessionHeld
from segue.lease.item import GuardItem
from tests.support.crash import certainly_dead
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import manager_of, talked

Sessions = Callable[..., Any]


def item(storage: MemoryStorage) -> GuardItem:
    return GuardItem.parse(storage.guard.items["default/talk"])


async def test_a_deleted_session_leaves_a_tombstone_and_no_objects(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    epoch = manager_of(agent).epoch

    await manager_of(agent).delete()

    assert not storage.objects.objects
    assert item(storage).deleted
    assert not item(storage).held
    assert item(storage).epoch > epoch
    assert "head" not in storage.guard.items["default/talk"]


async def test_the_holder_of_a_deleted_session_cannot_write(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talked(memory_sessions(), "One")
    await manager_of(agent).delete()

    with pytest.raises(SessionFenced):
        await agent.send("Two")

    assert not storage.objects.objects


async def test_a_deleted_id_begins_anew_with_another_incarnation_and_a_higher_epoch(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    first = await talked(memory_sessions(), "One")
    await manager_of(first).delete()
    ended = item(storage)

    again = await talked(memory_sessions())

    assert again.messages == []
    assert item(storage).born != ended.born
    assert item(storage).epoch > ended.epoch
    await again.stop()


async def test_a_session_that_is_not_open_is_acquired_to_be_deleted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    await agent.stop()

    await memory_sessions().delete()

    assert item(storage).deleted


@pytest.mark.slow
async def test_a_held_session_is_not_deleted(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talked(memory_sessions(), "One")

    with pytest.raises(SessionHeld):
        await memory_sessions().delete()

    assert storage.objects.objects
    await agent.stop()


async def test_a_zombie_cannot_delete(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    zombie = await talked(memory_sessions(), "One")
    heir = await talked(memory_sessions(probe=certainly_dead), "Two")

    with pytest.raises(SessionFenced):
        await manager_of(zombie).delete()

    assert not item(storage).deleted
    assert len(heir.messages) == 2
    await heir.stop()
