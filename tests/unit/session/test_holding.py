"""The holder of a session, its release, and the next acquisition."""

from __future__ import annotations

import asyncio
import time

import pytest
from strands import Agent

from segue import SessionFenced, SessionHeld
from segue.errors import RELEASED
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import KEPT, SHORT, Sessions, item, manager_of, started, texts
from tests.support.waiting import eventually, eventually_sync


@pytest.mark.slow
async def test_a_second_manager_is_told_the_holder_of_the_session(s3_sessions: Sessions) -> None:
    first = s3_sessions(holder="worker-1")
    await first.open()

    with pytest.raises(SessionHeld, match="worker-1") as held:
        await s3_sessions().open()

    assert (held.value.holder, held.value.epoch) == ("worker-1", first.epoch)
    await first.close()


@pytest.mark.slow
async def test_a_second_manager_waits_for_the_first_to_release(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    waiting = asyncio.ensure_future(memory_sessions(acquire_timeout=10.0).open())
    await asyncio.sleep(0)
    await first.close()

    await waiting


async def test_other_sessions_and_other_principals_are_not_in_the_way(memory_sessions: Sessions) -> None:
    managers = [memory_sessions(), memory_sessions("other"), memory_sessions(principal="alice")]
    for manager in managers:
        await manager.open()

    assert len({manager.session_key for manager in managers}) == 3


@pytest.mark.slow
async def test_a_stop_releases_and_the_next_write_acquires_again(s3_sessions: Sessions) -> None:
    manager = s3_sessions()
    agent = await started(manager)
    await agent.send("One")
    held_at = manager.epoch
    await agent.stop()
    assert manager.route_token == ""
    assert not manager.lease_is_fresh()

    await agent.start()
    await agent.send("Two")

    assert manager.epoch > held_at
    assert manager.lease_is_fresh()
    assert manager.head == manager.position
    await agent.stop()
    assert await texts(s3_sessions) == ["One", "Two"]


async def test_a_release_raises_the_epoch(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.open()
    before = item(storage).epoch
    await manager.close()

    assert item(storage).epoch == before + 1
    assert not item(storage).held


@pytest.mark.slow
async def test_a_write_in_between_fences_the_holder_that_had_released(s3_sessions: Sessions) -> None:
    manager = s3_sessions()
    agent = await started(manager)
    await agent.send("One")
    await agent.stop()
    other = await started(s3_sessions(holder="worker-2"))
    await other.send("Two")
    await other.stop()

    await agent.start()
    with pytest.raises(SessionFenced):
        await agent.send("Lost on purpose")
    with pytest.raises(SessionFenced):  # and for good
        await manager.flush()

    assert await texts(s3_sessions) == ["One", "Two"]


async def test_a_read_in_between_fences_no_holder(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    await agent.send("One")
    await agent.stop()
    other = memory_sessions()
    await other.open()
    await other.close()

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_records_queued_while_another_process_holds_are_not_lost(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    await agent.send("One")
    await agent.stop()
    other = memory_sessions()
    await other.open()
    await agent.start()
    with pytest.raises(SessionHeld):
        await agent.send("Two")
    await other.close()

    await manager_of(agent).flush()

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


@pytest.mark.slow
async def test_a_writer_past_its_lease_is_fenced_and_nothing_of_the_others_is_lost(s3_sessions: Sessions) -> None:
    zombie = await started(s3_sessions(holder="zombie"))
    await zombie.send("One")
    other = await started(s3_sessions(holder="heir", probe=certainly_dead))
    assert [m["content"] for m in other.messages] == [[{"text": "One"}]]
    await other.send("Two")

    with pytest.raises(SessionFenced, match="heir") as fenced:
        await zombie.send("Three")

    assert fenced.value.winner == "heir"
    await other.stop()
    assert await texts(s3_sessions) == ["One", "Two"]


async def test_a_writer_fenced_by_a_holder_that_has_left_is_not_told_that_the_session_ended(
    memory_sessions: Sessions,
) -> None:
    zombie = await started(memory_sessions())
    await zombie.send("One")
    heir = await started(memory_sessions(probe=certainly_dead))
    await heir.send("Two")
    await heir.stop()

    with pytest.raises(SessionFenced, match="released it since") as fenced:
        await zombie.send("Three")

    assert fenced.value.winner == RELEASED


async def test_a_writer_fenced_by_a_deletion_is_told_that_the_session_ended(memory_sessions: Sessions) -> None:
    zombie = await started(memory_sessions())
    await zombie.send("One")
    await memory_sessions(probe=certainly_dead).delete()

    with pytest.raises(SessionFenced, match="ended") as fenced:
        await zombie.send("Two")

    assert fenced.value.winner is None


async def test_a_fenced_writer_commits_nothing_before_its_successors_first_write(memory_sessions: Sessions) -> None:
    zombie = await started(memory_sessions())
    await zombie.send("One")
    heir = await started(memory_sessions(probe=certainly_dead))

    with pytest.raises(SessionFenced):
        await zombie.send("Two")

    await heir.send("Three")
    await heir.stop()
    assert await texts(memory_sessions) == ["One", "Three"]


@pytest.mark.slow
async def test_a_silent_holder_is_taken_over_after_its_lease(memory_sessions: Sessions) -> None:
    first = memory_sessions(lease=SHORT)
    await first.open()
    crash(first)

    second = memory_sessions(lease=SHORT, acquire_timeout=10.0)
    await second.open()

    assert second.epoch == 2


@pytest.mark.slow
async def test_a_living_holder_keeps_its_session_by_its_heartbeat(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    first = memory_sessions(lease=KEPT)
    await first.open()
    seen = item(storage).beat
    with pytest.raises(SessionHeld):
        await memory_sessions(lease=KEPT, acquire_timeout=2 * KEPT.duration).open()

    assert item(storage).beat > seen + 2
    assert first.lease_is_fresh()


@pytest.mark.slow
def test_a_holder_sends_heartbeats_again_in_a_second_event_loop(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    """A program may use an agent in one ``asyncio.run`` after the other; between them its lease may lapse."""
    manager = memory_sessions(lease=SHORT)

    async def begin() -> Agent:
        await manager.open()
        agent = Agent(model=FakeModel(), session_manager=manager)
        await agent.invoke_async("One")
        return agent

    agent = asyncio.run(begin())
    eventually_sync(lambda: not manager.lease_is_fresh())

    async def go_on() -> None:
        await agent.invoke_async("Two")
        await manager.flush()
        seen = item(storage).beat
        await eventually(lambda: item(storage).beat > seen + 2)

    asyncio.run(go_on())
    assert manager.lease_is_fresh()
    manager.close_sync()


async def test_the_item_names_holder_and_endpoint_until_the_release(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    tokens = set()
    for _ in range(2):
        manager = memory_sessions(holder="worker-1", endpoint="http://10.0.1.7:8080", lease=SHORT)
        await manager.open()
        held = item(storage)
        assert (held.holder, held.endpoint, held.lease_ms) == ("worker-1", "http://10.0.1.7:8080", 800)
        assert held.route_token == manager.route_token != ""
        tokens.add(held.route_token)
        await manager.close()
        free = item(storage)
        assert (free.holder, free.endpoint, free.route_token, manager.route_token) == (None, None, None, "")

    assert len(tokens) == 2, "an earlier holder's route token does not open this one's endpoint"


async def test_a_successor_without_an_endpoint_leaves_none_of_the_old_one(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    await memory_sessions(endpoint="http://10.0.1.7:8080").open()
    await memory_sessions(probe=certainly_dead).open()

    assert item(storage).endpoint is None


async def test_a_session_past_its_retention_begins_anew(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions(retention_days=30))
    await agent.send("Long ago")
    await agent.stop()
    before = item(storage)
    month = 30 * 86_400
    assert abs(before.expires_at - time.time() - month) < 60
    long_ago = {"born": "20200101T000000Z-" + "0" * 32, "expires_at": 1_600_000_000}  # DynamoDB deletes late
    storage.guard.items["default/talk"] |= long_ago

    again = memory_sessions()
    await again.open()

    assert again.history.agents == {}
    assert item(storage).born != before.born
    assert item(storage).epoch > before.epoch


async def test_use_pushes_the_end_of_the_retention_on(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions(retention_days=30, lease=SHORT))
    record = storage.guard.items["default/talk"]
    soon = int(time.time()) + 60
    record["expires_at"] = soon
    await agent.send("One")
    assert item(storage).expires_at > soon
    storage.guard.items["default/talk"]["expires_at"] = soon

    await eventually(lambda: item(storage).expires_at > soon)  # a heartbeat
    await agent.stop()


async def test_resuming_takes_the_lease_again_and_reads_nothing(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions()
    agent = await started(manager)
    await agent.send("One")
    await agent.stop()
    storage.requests.clear()
    await manager.resume()
    await manager.resume()  # held already

    assert [operation for operation, _ in storage.requests] == ["read", "write"]
    assert manager.lease_is_fresh()
    assert item(storage).held
    await manager.close()
    assert not item(storage).held


@pytest.mark.slow
async def test_resume_raises_session_held_while_held_and_session_fenced_after_a_write(
    memory_sessions: Sessions,
) -> None:
    manager, other = memory_sessions(), memory_sessions(holder="worker-2")
    agent = await started(manager)
    await agent.send("One")
    await agent.stop()
    second = await started(other)
    with pytest.raises(SessionHeld, match="worker-2"):
        await manager.resume()
    await second.send("Two")
    await second.stop()
    with pytest.raises(SessionFenced):
        await manager.resume()


async def test_resuming_needs_a_session_that_was_opened(memory_sessions: Sessions) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await memory_sessions().resume()
