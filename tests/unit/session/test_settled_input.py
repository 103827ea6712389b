"""Input without an effect: known by a write of the guard item alone, once and for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from segue.errors import SessionFenced, StorageUnavailable
from segue.lease import transitions
from segue.lease.item import GuardItem, Known
from segue.storage.interface import ConditionalWrite, ConditionFailed
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Hang, MemoryStorage
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


@pytest.fixture
async def manager(memory_sessions: Sessions) -> Any:
    """A manager that holds its session, and has committed something: the first that is settled would be a record."""
    manager = memory_sessions()
    await manager.open()
    manager.record_input("page-1", [1])
    await manager.durable()
    return manager


async def known(sessions: Sessions) -> dict[str, Known]:
    """Return what a successor knows."""
    heir = sessions(probe=certainly_dead)
    await heir.open()
    await heir.close()
    return dict(heir.inputs)


def _is_settling(what: Any) -> bool:
    return isinstance(what, ConditionalWrite) and "inputs" in what.assign and "head" not in what.assign


async def test_input_is_settled_by_one_write_without_an_object(
    manager: Any, memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    before, head = len(storage.requests), manager.head
    manager.settle_input("page-1", [2, 3])
    manager.settle_input("page-2", [1])
    await manager.durable()

    asked = [operation for operation, what in storage.requests[before:] if operation != "write" or _is_settling(what)]
    assert set(asked) == {"write"}, "settled input is written without an object"
    assert len(asked) <= 2
    assert (manager.head, manager.position) == (head, head), "settled input makes no record"
    assert manager.inputs == {"page-1": Known(3), "page-2": Known(1)}
    crash(manager)
    assert await known(memory_sessions) == {"page-1": Known(3), "page-2": Known(1)}


async def test_input_counts_as_known_once_storage_has_it(manager: Any, storage: MemoryStorage) -> None:
    """A client that is told before may forget what no successor knows of."""
    sent, go, told = asyncio.Event(), asyncio.Event(), list[str]()
    manager.on_settled(told.append)

    async def hold(_operation: str, what: Any) -> None:
        if _is_settling(what):
            sent.set()
            while not go.is_set():
                await asyncio.sleep(0.002)

    storage.before = hold
    manager.settle_input("page-1", [2])
    await eventually(sent.is_set)
    assert manager.inputs == {"page-1": Known(1)}
    assert told == []
    go.set()
    await eventually(lambda: told == ["page-1"])
    assert manager.inputs == {"page-1": Known(2)}
    await manager.close()


async def test_the_first_settled_input_of_an_acquisition_is_a_record(memory_sessions: Sessions) -> None:
    """A process that kept the session, of this release or of one before, must notice that what it knows is old."""
    kept = memory_sessions()
    await kept.open()
    kept.record_input("page-1", [1])
    await kept.close()
    other = memory_sessions()
    await other.open()
    told: list[str] = []
    other.on_settled(told.append)
    other.settle_input("page-1", [2, 3])
    await other.durable()
    await eventually(lambda: told == ["page-1"])
    assert other.head == 2
    await other.close()

    with pytest.raises(SessionFenced):
        await kept.resume()
    assert await known(memory_sessions) == {"page-1": Known(3)}


async def test_the_first_settled_input_after_a_release_is_a_record_again(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    manager.settle_input("page-1", [1])
    manager.settle_input("page-1", [2])
    await manager.durable()
    head = manager.head
    await manager.close()
    await manager.resume()
    manager.settle_input("page-1", [3])
    await manager.close()

    assert manager.head == head + 1
    assert await known(memory_sessions) == {"page-1": Known(3)}


async def test_input_that_waits_goes_with_a_commit(manager: Any, memory_sessions: Sessions) -> None:
    """The commit would take it back otherwise: it writes all that is known."""
    manager.settle_input("page-1", [2])
    manager.record_input("page-1", [3])
    await manager.durable()
    crash(manager)

    assert await known(memory_sessions) == {"page-1": Known(3)}


async def test_records_do_not_wait_for_input_that_is_settled_after_them(manager: Any, storage: MemoryStorage) -> None:
    """Output waits for its record, and no longer: the item's next write may take its time."""
    commit, settling = Hang("write"), Hang("write")

    async def hold(operation: str, what: Any) -> None:
        if _is_settling(what):
            await settling(operation, what)
        elif isinstance(what, ConditionalWrite) and "head" in what.assign:
            await commit(operation, what)

    storage.before = hold
    manager.record_input("page-1", [2])
    await eventually(lambda: commit.waiting)
    manager.settle_input("page-1", [3])
    commit.end()
    await eventually(lambda: settling.waiting)
    try:
        await eventually(lambda: manager.head == manager.position == 2)
        await manager.durable(2)
    finally:
        settling.end()
    await manager.close()
    assert manager.inputs == {"page-1": Known(3)}


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_settled_input_counts_although_the_answer_to_its_write_is_lost(
    lost: str, manager: Any, memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    failed: list[Any] = []

    async def once(_operation: str, what: Any) -> None:
        if _is_settling(what) and not failed:
            failed.append(what)
            raise StorageUnavailable("as the test wants it")

    if lost == "request":
        storage.before = once
    else:
        storage.after = once
    manager.settle_input("page-1", [2])
    await manager.durable()
    assert failed
    assert manager.inputs == {"page-1": Known(2)}
    crash(manager)
    assert await known(memory_sessions) == {"page-1": Known(2)}


async def test_a_heartbeat_in_flight_does_not_keep_input_from_being_settled(
    manager: Any, memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """Its answer may come after the input's write was made, which names the beat before."""
    raised: list[Any] = []

    async def beat_first(_operation: str, what: Any) -> None:
        if _is_settling(what) and not raised:
            raised.append(what)
            item = GuardItem.parse(await storage.guard.read(what.session_key) or {})
            await storage.guard.write(transitions.beat(item, item.expires_at))

    storage.before = beat_first
    manager.settle_input("page-1", [2])
    await manager.durable()
    assert raised
    crash(manager)
    assert await known(memory_sessions) == {"page-1": Known(2)}


async def test_input_of_more_clients_than_the_item_keeps_is_settled(manager: Any) -> None:
    for number in range(40):
        manager.settle_input(f"client-{number}", [1])
    await manager.durable()
    assert "client-39" in manager.inputs
    await manager.close()


@pytest.mark.parametrize("change", ["released", "deleted", "acquired anew"])
async def test_a_late_write_is_refused(change: str, manager: Any, storage: MemoryStorage) -> None:
    """Whatever became of the session since it was sent."""
    read = storage.guard.read
    mine = GuardItem.parse(await read(manager.session_key) or {})
    late = transitions.settle(mine, ["page-1 9 "], mine.expires_at)
    if change == "deleted":
        await manager.delete()
    else:
        await manager.close()
    if change == "acquired anew":
        await manager.resume()
    before = await read(manager.session_key)

    with pytest.raises(ConditionFailed):
        await storage.guard.write(late)
    assert await read(manager.session_key) == before
    await manager.close()


async def test_input_of_a_lost_session_is_refused(manager: Any, memory_sessions: Sessions) -> None:
    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    told: list[str] = []
    manager.on_settled(told.append)
    manager.settle_input("page-1", [2])
    with pytest.raises(SessionFenced):
        await manager.durable()
    with pytest.raises(SessionFenced):
        manager.settle_input("page-1", [3])
    assert told == []
    assert heir.inputs == {"page-1": Known(1)}
    await heir.close()


async def test_a_number_that_would_break_the_guard_is_refused(manager: Any) -> None:
    with pytest.raises(ValueError, match="sequence number"):
        manager.settle_input("page-1", [-1])
    with pytest.raises(ValueError, match="client id"):
        manager.settle_input("two words", [1])
    await manager.close()
