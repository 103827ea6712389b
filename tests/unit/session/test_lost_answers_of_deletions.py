"""Deletions whose answer is lost, or that are cut short, are finished by the next call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segue import SessionFenced, StorageUnavailable
from segue.journal.garbage import COPY_SECONDS
from segue.lease import transitions
from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from segue.storage.interface import ConditionalWrite, ConditionFailed
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable
from tests.support.sessions import SHORT, item, manager_of, talked
from tests.support.waiting import eventually
from tests.unit.session.losing import KEY, Lost, Resent, Sessions, kind_of


def assert_gone(storage: MemoryStorage, before: GuardItem) -> None:
    after = item(storage)
    assert (after.born, after.deleted, after.held, after.epoch) == (before.born, True, False, before.epoch + 1)
    assert not storage.objects.objects


@pytest.mark.parametrize("held", [True, False], ids=["held", "released"])
async def test_a_deletion_that_was_sent_again_knows_its_own_tombstone(
    memory_sessions: Sessions, storage: MemoryStorage, *, held: bool
) -> None:
    agent = await talked(memory_sessions(), "One")
    if not held:
        await agent.stop()
    storage.before = sent = Resent(storage, "bury")

    await manager_of(agent).delete()

    assert sent.done
    assert item(storage).deleted
    assert not storage.objects.objects


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_deletion_whose_answer_is_lost_is_finished_by_the_next_call(
    memory_sessions: Sessions, storage: MemoryStorage, lost: int
) -> None:
    agent = await talked(memory_sessions(), "One")
    before = item(storage)
    storage.after = Lost("bury", lost)

    with pytest.raises(StorageUnavailable):
        await manager_of(agent).delete()
    assert storage.objects.objects
    await manager_of(agent).delete()

    assert_gone(storage, before)
    await manager_of(agent).delete()
    with pytest.raises(SessionFenced):
        await agent.send("Two")
    assert_gone(storage, before)


async def test_a_heartbeat_that_finds_the_tombstone_first_spoils_nothing(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(lease=SHORT), "One")
    manager, before = manager_of(agent), item(storage)
    storage.after = Lost("bury")
    with pytest.raises(StorageUnavailable):
        await manager.delete()
    await eventually(lambda: manager._session.lease.lost is not None)

    await manager.delete()

    assert_gone(storage, before)


@pytest.mark.parametrize("operation", ["list", "delete"])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_deletions_failed_sweep_is_finished_by_the_next_call(
    memory_sessions: Sessions, storage: MemoryStorage, operation: str, side: str
) -> None:
    agent = await talked(memory_sessions(), "One")
    before = item(storage)
    down = Unavailable(operation)
    setattr(storage, side, down)
    with pytest.raises(StorageUnavailable):
        await manager_of(agent).delete()
    assert item(storage).deleted
    down.on = False

    await manager_of(agent).delete()

    assert_gone(storage, before)


async def test_a_deletion_cut_off_by_a_crash_is_finished_by_another_process(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    before, manager = item(storage), manager_of(agent)
    storage.before = down = Unavailable("list")
    with pytest.raises(StorageUnavailable):
        await manager.delete()
    crash(manager)
    down.on = False

    await memory_sessions().delete()

    assert_gone(storage, before)


async def test_a_session_that_another_process_has_deleted_meanwhile_is_deleted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    zombie = await talked(memory_sessions(), "One")
    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    storage.before = down = Unavailable("list")
    with pytest.raises(StorageUnavailable):
        await heir.delete()
    down.on = False

    await manager_of(zombie).delete()

    assert item(storage).deleted
    assert not storage.objects.objects


async def test_a_session_that_began_anew_meanwhile_is_not_deleted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    storage.after = Lost("bury")
    with pytest.raises(StorageUnavailable):
        await manager_of(agent).delete()
    await talked(memory_sessions(), "anew")
    born = item(storage).born

    with pytest.raises(SessionFenced):
        await manager_of(agent).delete()

    assert (item(storage).born, item(storage).head > 0, item(storage).held) == (born, True, True)
    assert any(born in key for key in storage.objects.objects)


async def test_a_deletion_that_arrives_late_does_not_take_what_was_written_after_it_was_given_up(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    late: list[ConditionalWrite] = []

    async def keep(operation: str, what: Any) -> None:
        if kind_of(what) == "bury" and not late:
            late.append(what)
            raise StorageUnavailable("on its way")

    storage.before = keep
    with pytest.raises(StorageUnavailable):
        await manager_of(agent).delete()
    await agent.send("Two")

    with pytest.raises(ConditionFailed):
        await storage.guard.write(late[0])

    assert not item(storage).deleted
    await agent.stop()


async def test_a_commit_whose_outcome_is_not_known_is_in_no_deletions_way(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    manager = manager_of(agent)
    lost, retry = Unavailable("commit"), Latch("commit")

    async def lose_the_answer(operation: str, what: Any) -> None:
        if operation == "write" and kind_of(what) == "commit":
            storage.before = retry
        await lost(operation, what)

    storage.after = lose_the_answer
    sending = asyncio.ensure_future(agent.send("Two"))
    await retry.reached.wait()
    lease, head = manager._session.lease, item(storage).head
    assert lease.item.head < head
    storage.after = Lost("")

    tombstone = await Runtime.shared().run(lease.bury(60))

    assert (tombstone.deleted, tombstone.born) == (True, lease.item.born)
    retry.go.set()
    await asyncio.gather(sending, return_exceptions=True)


async def test_objects_of_earlier_incarnations_are_deleted_and_those_of_a_copy_in_progress_stay(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talked(memory_sessions(), "One")
    now, lives = item(storage).born_at, f"sessions/{KEY}/"
    early, copying = (transitions.new_born(now - age) for age in (3 * COPY_SECONDS, COPY_SECONDS))
    for born in (early, copying, "20261301T000000Z-" + "0" * 32, "notes"):
        storage.objects.objects[f"{lives}{born}/segments/0-1-x.json"] = b"{}"

    await manager_of(agent).delete()

    left = {key.removeprefix(lives).partition("/")[0] for key in storage.objects.objects}
    assert left == {copying, "20261301T000000Z-" + "0" * 32, "notes"}
