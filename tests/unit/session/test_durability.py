"""When a hook returns, and what is durable by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

import segue.session.handle
import segue.strands.manager
from segue import RecordTooLarge, StorageUnavailable
from segue.journal.records import MAX_RECORD_BYTES
from segue.lease.item import GuardItem
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable
from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.sessions import SHORT, manager_of, records_of
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


async def talking(manager: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await manager.flush()
    await agent.start()
    return agent


def head(storage: MemoryStorage) -> int:
    return GuardItem.parse(storage.guard.items["default/talk"]).head


def commits(storage: MemoryStorage) -> int:
    return storage.writes.count("commit")


async def test_await_returns_when_the_record_is_durable(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    storage.before = latch = Latch("commit")
    sending = asyncio.ensure_future(agent.send("Hi"))
    await latch.reached.wait()
    assert not sending.done()
    assert agent.model.sent == [], "the model hears nothing that a crash could take back"

    latch.go.set()
    await sending

    assert head(storage) == manager_of(agent).position
    await agent.stop()


async def test_await_lets_other_tasks_run_on(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    storage.before = latch = Latch("put")
    sending = asyncio.ensure_future(agent.send("Hi"))
    await latch.reached.wait()
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert not sending.done()

    latch.go.set()
    await sending
    assert turns == 100
    await agent.stop()


async def test_gate_returns_at_once_and_durable_waits(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions(durability="gate"))
    manager = manager_of(agent)
    storage.before = latch = Latch("commit")

    await agent.send("Hi")

    assert len(agent.model.sent) == 1
    assert manager.position > manager.head
    waiting = asyncio.ensure_future(manager.durable())
    await latch.reached.wait()
    assert not waiting.done()
    latch.go.set()
    await waiting
    assert head(storage) == manager.position
    await agent.stop()


async def test_durable_waits_for_a_position_and_no_further(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions(durability="gate"))
    manager = manager_of(agent)
    await agent.send("One")
    first = manager.position
    await manager.durable(first)
    storage.before = Latch("commit")
    await agent.send("Two")

    await manager.durable(first)  # returns though "Two" never gets through
    await manager.durable(0)

    assert manager.head == first
    storage.before.go.set()
    await agent.stop()


async def test_running_ahead_is_bounded(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.strands.manager, "AHEAD_LIMIT", 5)
    agent = await talking(memory_sessions(durability="gate"))
    storage.before = latch = Latch("commit")
    for number in range(5):
        await agent.send(f"{number}")
    sending = asyncio.ensure_future(agent.send("One too many"))
    await latch.reached.wait()
    await asyncio.sleep(0)
    assert not sending.done()

    latch.go.set()
    await sending
    await agent.stop()


async def test_records_that_arrive_during_a_commit_go_into_the_next(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talking(memory_sessions(durability="gate"))
    before = commits(storage)
    storage.before = latch = Latch("commit")
    for number in range(20):
        await agent.send(f"{number}")
        if number == 0:
            await latch.reached.wait()
    latch.go.set()
    await manager_of(agent).flush()

    assert commits(storage) - before == 2
    await agent.stop()


async def test_a_waiter_that_gives_up_withdraws_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    storage.before = latch = Latch("commit")
    sending = asyncio.ensure_future(agent.send("Hi"))
    await latch.reached.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    latch.go.set()
    await manager_of(agent).flush()
    crash(manager_of(agent))

    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    assert len(BidiAgent(model=ScriptedModel(), session_manager=heir).messages) == 1


@pytest.mark.slow
async def test_storage_that_fails_for_a_while_costs_time_and_nothing_else(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talking(memory_sessions())
    for kinds in (("put",), ("commit",)):
        storage.before = failing = Unavailable(*kinds)
        sending = asyncio.ensure_future(agent.send(f"During {kinds}"))
        await eventually(lambda failing=failing: failing.failed >= 2)
        assert not sending.done()
        failing.on = False
        await sending
    await agent.stop()

    heir = memory_sessions()
    await heir.open()
    assert len(BidiAgent(model=ScriptedModel(), session_manager=heir).messages) == 2


@pytest.mark.slow
async def test_a_hook_says_so_when_storage_is_down_for_longer(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await talking(memory_sessions())
    storage.before = down = Unavailable("put")

    with monkeypatch.context() as impatient, pytest.raises(StorageUnavailable, match="stay queued"):
        impatient.setattr(segue.session.handle, "DURABLE_TIMEOUT_SECONDS", 0.2)
        await agent.send("Hi")

    down.on = False
    await manager_of(agent).flush()
    assert head(storage) == manager_of(agent).position
    await agent.stop()


@pytest.mark.slow
async def test_a_stop_releases_the_lease_though_its_flush_failed(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.session.handle, "DURABLE_TIMEOUT_SECONDS", 0.2)
    agent = await talking(memory_sessions())
    storage.before = down = Unavailable("put")
    agent.state.set("mood", "bad")
    stopping = asyncio.ensure_future(agent.stop())
    await eventually(lambda: down.failed)
    await eventually(lambda: down.failed > 3)
    down.on = False
    with pytest.raises(StorageUnavailable):
        await stopping

    await eventually(lambda: not GuardItem.parse(storage.guard.items["default/talk"]).held)


async def test_placeholders_wait_for_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    agent.state.set("mood", "good")
    storage.before = latch = Latch("commit")
    agent.model.emit(answered("Hello"))
    receiving = asyncio.ensure_future(until(agent, "bidi_transcript_start"))

    await eventually(receiving.done, seconds=2.0)

    latch.go.set()
    await until(agent, "bidi_response_stop")
    await agent.stop()


async def test_a_record_over_the_limit_is_refused_and_the_session_goes_on(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions())
    await agent.send("Before")

    with pytest.raises(RecordTooLarge) as refused:
        await agent.send("x" * (MAX_RECORD_BYTES + 1))

    assert refused.value.limit == MAX_RECORD_BYTES
    assert refused.value.size > MAX_RECORD_BYTES
    for number in range(2):
        agent.model.emit(answered(f"Hello {number}", content_id=f"c{number}", response_id=f"r{number}"))
        await until(agent, "bidi_response_stop")
    await agent.send("After")
    await agent.stop()
    heir = memory_sessions()
    await heir.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=heir)
    assert [m["content"][0]["text"] for m in restored.messages] == ["Before", "Hello 0", "Hello 1", "After"]


async def test_a_record_over_the_limit_stays_out_when_the_history_changes(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions())
    await agent.send("Before")
    with pytest.raises(RecordTooLarge):
        await agent.send("x" * (MAX_RECORD_BYTES + 1))
    del agent.messages[0]
    agent.model.emit(answered("Hello"))
    await until(agent, "bidi_response_stop")
    await agent.stop()

    heir = memory_sessions()
    await heir.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=heir)
    assert [m["content"][0]["text"] for m in restored.messages] == ["Hello"]


@pytest.mark.slow
async def test_state_over_the_limit_is_never_taken_for_saved(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions(lease=SHORT))
    manager = manager_of(agent)
    tried: list[str] = []
    records = records_of(manager)
    record = records.record
    records.record = lambda kind, *data: (tried.append(kind), record(kind, *data))[1]
    agent.state.set("all", "x" * (MAX_RECORD_BYTES + 1))
    await eventually(lambda: "state" in tried)  # the heartbeat saw it first, without a caller to tell

    for _ in range(2):
        with pytest.raises(RecordTooLarge):
            await manager.flush()

    agent.state.delete("all")
    await manager.flush()
    await agent.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["close", "stop"])
async def test_state_over_the_limit_keeps_no_lease(
    memory_sessions: Sessions, storage: MemoryStorage, name: str
) -> None:
    agent = await talking(memory_sessions())
    agent.state.set("all", "x" * (MAX_RECORD_BYTES + 1))

    with pytest.raises(RecordTooLarge):
        await (agent.stop() if name == "stop" else manager_of(agent).close())

    await eventually(lambda: not GuardItem.parse(storage.guard.items["default/talk"]).held, seconds=2.0)


async def test_a_whole_queue_goes_in_commits_of_bounded_size(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions(durability="gate"))
    before = commits(storage)
    storage.before = latch = Latch("commit")
    await agent.send("first")
    await latch.reached.wait()
    for _ in range(6):
        await agent.send("x" * 1_500_000)
    latch.go.set()
    await manager_of(agent).flush()

    assert commits(storage) - before == 1 + 3, "two of 1.5 MB fit into the 4 MB of a commit"
    assert max(len(body) for body in storage.objects.objects.values()) < 4_300_000
    await agent.stop()


async def test_flush_waits_for_state_that_no_hook_reported(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    agent.state.set("mood", "good")
    await manager_of(agent).flush()
    crash(manager_of(agent))

    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    assert BidiAgent(model=ScriptedModel(), session_manager=heir).state.get("mood") == "good"
