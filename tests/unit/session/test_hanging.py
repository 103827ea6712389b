"""S3 hangs and DynamoDB is well: leases are kept, nothing is lost, and no wait is without an end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import segue.session.handle
import segue.session.heartbeat
import segue.session.session
from segue import LeaseSettings, SessionFenced, SessionHeld, StorageUnavailable
from tests.support.crash import certainly_dead
from tests.support.memory_manager import S3, Hang, MemoryStorage, kind_of
from tests.support.sessions import KEPT, Sessions, item, started, texts
from tests.support.waiting import eventually, within


def beats(storage: MemoryStorage) -> int:
    return sum(operation == "write" and kind_of(what) == "beat" for operation, what in storage.requests)


async def outlive(storage: MemoryStorage, leases: float = 3.0) -> None:
    """Wait until so many leases' worth of heartbeats have been sent."""
    enough = beats(storage) + leases * KEPT.duration / KEPT.heartbeat
    await eventually(lambda: beats(storage) >= enough, 30.0)


@pytest.mark.slow
async def test_a_commit_that_hangs_with_s3_costs_no_lease(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    lost: list[bool] = []
    agent = await started(manager := memory_sessions(lease=KEPT))
    manager.on_lost(lambda: lost.append(True))
    storage.before = s3 = Hang(*S3)
    sending = asyncio.ensure_future(agent.send("One"))
    await eventually(lambda: s3.waiting)

    successor = asyncio.ensure_future(memory_sessions(lease=KEPT, acquire_timeout=2 * KEPT.duration).open())
    await outlive(storage)

    assert manager.lease_is_fresh()
    with pytest.raises(SessionHeld):
        await successor
    s3.end()
    await sending
    await agent.stop()
    assert (lost, await texts(memory_sessions)) == ([], ["One"])


@pytest.mark.slow
async def test_a_release_waits_for_no_heartbeat(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    lost: list[bool] = []
    await (manager := memory_sessions(lease=KEPT)).open()
    manager.on_lost(lambda: lost.append(True))
    storage.before = hang = Hang("beat")
    await eventually(lambda: hang.waiting)

    async with within(5):
        await manager.close()

    assert not item(storage).held
    hang.end()  # it comes after the release, and is refused
    await (again := memory_sessions()).open()
    assert not lost
    await again.close()


@pytest.mark.slow
async def test_a_heartbeat_that_the_release_overtakes_is_no_loss(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """Its refusal comes while the release has not been answered yet."""
    lost: list[bool] = []
    await (manager := memory_sessions(lease=KEPT)).open()
    manager.on_lost(lambda: lost.append(True))
    storage.before, storage.after = beat, release = Hang("beat"), Hang("release")
    await eventually(lambda: beat.waiting)
    closing = asyncio.ensure_future(manager.close())
    await eventually(lambda: release.waiting)

    beat.end()
    await eventually(lambda: not beat.waiting)
    await asyncio.sleep(0.02)  # its answer has its turn
    release.end()
    await closing

    assert not lost
    assert manager._session.lease.lost is None
    await manager.resume()  # it is as it was left


@pytest.mark.slow
async def test_a_heartbeat_waits_for_no_other(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    """One connection hangs. The next heartbeat goes over another."""
    await (manager := memory_sessions(lease=KEPT)).open()
    hung = Hang("beat")

    async def first_only(operation: str, what: Any) -> None:
        if not hung.waiting:
            await hung(operation, what)

    storage.before = first_only
    await eventually(lambda: hung.waiting)
    await outlive(storage)

    assert hung.waiting
    assert manager.lease_is_fresh()
    hung.end()


@pytest.mark.slow
async def test_answers_that_take_as_long_as_a_heartbeat_cost_no_lease(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """DynamoDB is slow and S3 well."""
    lease = LeaseSettings(duration=1.5, heartbeat=0.2, margin=0.1)
    lost: list[bool] = []
    agent = await started(manager := memory_sessions(lease=lease))
    manager.on_lost(lambda: lost.append(True))

    async def slow(operation: str, what: Any) -> None:
        if operation in {"read", "write"}:
            await asyncio.sleep(3 * lease.heartbeat)

    storage.before = slow
    enough = beats(storage) + 8
    sending = asyncio.ensure_future(agent.send("One"))
    await eventually(lambda: beats(storage) >= enough, 30.0)
    await sending

    assert manager.lease_is_fresh()
    assert not lost


@pytest.mark.slow
async def test_a_hung_loop_loses_its_lease_though_a_commit_hangs(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """A lease is kept while S3 hangs; it is lost when the loop hangs."""
    released, hung = threading.Event(), threading.Event()
    storage.before = s3 = Hang(*S3)

    async def hang() -> None:
        manager = memory_sessions(lease=KEPT)
        await manager.open()
        manager._slot.require().append(*(await records()))
        hung.set()
        released.wait(20)

    thread = threading.Thread(target=asyncio.run, args=(hang(),))
    thread.start()
    try:
        await asyncio.to_thread(hung.wait, 10)
        await eventually(lambda: s3.waiting)
        storage.before = Hang()  # for the next process
        await memory_sessions(lease=KEPT, acquire_timeout=10.0).open()
    finally:
        released.set()
        s3.end()
        await asyncio.to_thread(thread.join)


async def records() -> list[Any]:
    from segue.journal.records import Record

    return [Record(kind="message", data={"id": "one", "message": {"tracking_id": "one"}})]


@pytest.mark.slow
async def test_heartbeats_end_when_a_commit_is_not_answered(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that has lost its way to S3 leaves the session to one that has not."""
    monkeypatch.setattr(segue.session.heartbeat, "STORAGE_TIMEOUT_SECONDS", 1.0)
    lost = threading.Event()
    agent = await started(manager := memory_sessions(lease=KEPT, durability="gate"))
    manager.on_lost(lost.set)
    storage.before = s3 = Hang(*S3)
    await agent.send("One")
    await eventually(lambda: s3.waiting)

    storage.before = Hang()
    await (heir := memory_sessions(lease=KEPT, acquire_timeout=10.0)).open()

    await eventually(lost.is_set)
    s3.end()
    with pytest.raises(SessionFenced):
        await manager.flush()
    await heir.close()


@pytest.mark.slow
async def test_a_commit_that_timed_out_is_finished_if_no_other_holder_came(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.session.heartbeat, "STORAGE_TIMEOUT_SECONDS", 0.5)
    agent = await started(manager := memory_sessions(lease=KEPT, durability="gate"))
    storage.before = s3 = Hang(*S3)
    await agent.send("One")
    await eventually(lambda: not manager.lease_is_fresh())

    s3.end()
    await manager.flush()
    await eventually(manager.lease_is_fresh)
    await agent.stop()
    assert await texts(memory_sessions) == ["One"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "leave"])
async def test_a_close_ends_at_its_limit_and_the_lease_then_runs_out(
    memory_sessions: Sessions, storage: MemoryStorage, how: str
) -> None:
    agent = await started(manager := memory_sessions(lease=KEPT, durability="gate"))
    storage.before = s3 = Hang(*S3)
    await agent.send("One")

    with pytest.raises(StorageUnavailable, match="stay queued"):
        async with within(5):
            await getattr(manager, how)(timeout=0.2)

    storage.before = Hang()
    await (heir := memory_sessions(lease=KEPT, acquire_timeout=10.0)).open()
    s3.end()
    await heir.close()


async def test_a_session_whose_records_are_durable_is_released_while_s3_hangs(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    await (manager := memory_sessions(lease=KEPT)).open()
    storage.before = s3 = Hang(*S3)

    async with within(5):
        await manager.close()

    assert not item(storage).held
    s3.end()


@pytest.mark.slow
async def test_a_release_waits_not_long_for_what_has_to_be_deleted(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.session.session, "CLEANUP_TIMEOUT_SECONDS", 0.2)
    agent = await started(memory_sessions())
    await agent.send("One")
    storage.before = s3 = Hang("list", "delete")
    await (manager := memory_sessions(probe=certainly_dead)).open()  # which collects what the dead one left
    await eventually(lambda: s3.waiting)

    async with within(5):
        await manager.close()

    assert not item(storage).held
    s3.end()


def test_a_hang_of_a_minute_is_waited_out() -> None:
    limits = (
        segue.session.handle.DURABLE_TIMEOUT_SECONDS,
        segue.session.session.CLOSE_TIMEOUT_SECONDS,
        segue.session.heartbeat.STORAGE_TIMEOUT_SECONDS,
    )
    assert min(limits) > 60
