"""A holder that hangs, ends or is cut off loses its session, and is told."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from segue import LeaseSettings, SessionFenced
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemorySessionManager, MemoryStorage, Unavailable
from tests.support.sessions import SHORT, Sessions, manager_of, started
from tests.support.waiting import eventually


@pytest.mark.slow
async def test_a_hung_loop_loses_its_lease(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    released, hung = threading.Event(), threading.Event()
    lost = threading.Event()

    async def hang() -> None:
        manager = memory_sessions(lease=SHORT)
        await manager.open()
        await asyncio.to_thread(manager.on_lost, lost.set)  # on no loop, as this one hangs
        hung.set()
        released.wait(20)

    thread = threading.Thread(target=asyncio.run, args=(hang(),))
    thread.start()
    try:
        await asyncio.to_thread(hung.wait, 10)
        await memory_sessions(lease=SHORT, acquire_timeout=10.0).open()
        await eventually(lost.is_set)
    finally:
        released.set()
        await asyncio.to_thread(thread.join)


@pytest.mark.slow
async def test_a_loop_that_ended_without_a_stop_loses_its_lease(memory_sessions: Sessions) -> None:
    async def forgetful() -> None:
        await memory_sessions(lease=SHORT).open()

    await asyncio.to_thread(asyncio.run, forgetful())

    await memory_sessions(lease=SHORT, acquire_timeout=10.0).open()


async def test_on_lost_is_called_once_on_the_loop_that_asked(memory_sessions: Sessions) -> None:
    calls: list[threading.Thread] = []
    agent = await started(memory_sessions(lease=SHORT))
    manager_of(agent).on_lost(lambda: calls.append(threading.current_thread()))
    await memory_sessions(probe=certainly_dead).open()

    await eventually(lambda: calls)  # the next heartbeat finds out

    with pytest.raises(SessionFenced):
        await agent.send("Too late")
    await asyncio.sleep(0)
    assert calls == [threading.current_thread()]
    assert not manager_of(agent).lease_is_fresh()


@pytest.mark.slow
async def test_on_lost_is_called_when_the_lease_cannot_be_renewed(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    lost: list[bool] = []
    manager = memory_sessions(lease=SHORT)
    await manager.open()
    manager.on_lost(lambda: lost.append(manager.lease_is_fresh()))
    storage.before = Unavailable("beat")

    await eventually(lambda: lost)

    assert lost == [False]


@pytest.mark.slow
async def test_on_lost_is_called_when_something_in_the_background_finds_out(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    lost = threading.Event()
    dead = await started(memory_sessions())
    await dead.send("One")
    crash(manager_of(dead))
    storage.before = listing = Latch("list")
    manager = memory_sessions(probe=certainly_dead, lease=LeaseSettings(duration=2.0, heartbeat=0.6, margin=0.5))
    await manager.open()  # and tidies up
    await asyncio.to_thread(manager.on_lost, lost.set)
    await listing.reached.wait()
    await memory_sessions(probe=certainly_dead).open()
    listing.go.set()
    await eventually(lambda: not manager._session.lease.held)

    await eventually(lost.is_set)

    await eventually(lambda: isinstance(manager._session.writer.failure, SessionFenced))


@pytest.mark.slow
async def test_a_loss_callback_that_fails_keeps_no_other_from_being_called(memory_sessions: Sessions) -> None:
    told = threading.Event()
    manager = memory_sessions(lease=SHORT)
    for callback in (lambda: 1 / 0, told.set):
        await asyncio.to_thread(manager.on_lost, callback)  # on no loop: an error comes back to the caller
    await manager.open()
    await memory_sessions(probe=certainly_dead).open()

    await eventually(told.is_set)


@pytest.mark.slow
async def test_a_manager_without_references_keeps_no_lease(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    forgotten = MemorySessionManager(storage=storage, lease=SHORT)
    await forgotten.open()
    known = weakref.ref(forgotten._session)
    del forgotten
    await eventually(lambda: (gc.collect(), known() is None)[1])

    await memory_sessions(lease=SHORT, acquire_timeout=10.0).open()
