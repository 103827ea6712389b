"""Who holds a session, when it is let go, and when it is taken again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent

from segue import LeaseSettings, SessionFenced, SessionHeld, StorageUnavailable
from segue.item import GuardItem
from segue.runtime import Runtime
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable, both, kind_of
from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.waiting import eventually

Sessions = Callable[..., Any]
SHORT = LeaseSettings(duration=0.8, heartbeat=0.2, margin=0.2)


def item(storage: MemoryStorage, key: str = "default/talk") -> GuardItem:
    return GuardItem.parse(storage.guard.items[key])


async def started(manager: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    return agent


async def texts(sessions: Sessions) -> list[str]:
    """What the session holds, as a successor restores it."""
    manager = sessions(probe=certainly_dead)
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await manager.close()
    return [message["content"][0]["text"] for message in agent.messages]


async def test_two_managers_on_one_session_the_second_is_told_who_holds_it(s3_sessions: Sessions) -> None:
    first = s3_sessions(holder="worker-1")
    await first.open()

    with pytest.raises(SessionHeld, match="worker-1") as held:
        await s3_sessions().open()

    assert (held.value.holder, held.value.epoch) == ("worker-1", first.epoch)
    await first.close()


async def test_a_second_manager_waits_for_the_first_to_let_go(memory_sessions: Sessions) -> None:
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


async def test_a_stop_lets_go_and_the_next_write_takes_the_session_again(s3_sessions: Sessions) -> None:
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


async def test_whoever_wrote_in_between_fences_the_one_who_let_go(s3_sessions: Sessions) -> None:
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


async def test_whoever_only_looked_in_between_fences_nobody(memory_sessions: Sessions) -> None:
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


async def test_what_is_queued_while_someone_else_holds_is_not_lost(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    await agent.send("One")
    await agent.stop()
    other = memory_sessions()
    await other.open()
    await agent.start()
    with pytest.raises(SessionHeld):
        await agent.send("Two")
    await other.close()

    await agent._session_manager.flush()

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


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


async def test_a_silent_holder_is_taken_over_after_its_lease(memory_sessions: Sessions) -> None:
    first = memory_sessions(lease=SHORT)
    await first.open()
    crash(first)

    second = memory_sessions(lease=SHORT, acquire_timeout=10.0)
    await second.open()

    assert second.epoch == 2


async def test_a_living_holder_keeps_its_session_by_its_heartbeat(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    first = memory_sessions(lease=SHORT)
    await first.open()
    seen = item(storage).beat
    with pytest.raises(SessionHeld):
        await memory_sessions(lease=SHORT, acquire_timeout=2.5 * SHORT.duration).open()

    assert item(storage).beat > seen + 2
    assert first.lease_is_fresh()


async def test_a_hung_loop_loses_its_lease(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    released, hung = threading.Event(), threading.Event()
    lost = threading.Event()

    async def hang() -> None:
        manager = memory_sessions(lease=SHORT)
        await manager.open()
        manager._lost_callbacks.append(lost.set)
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


async def test_a_loop_that_ended_without_a_stop_loses_its_lease(memory_sessions: Sessions) -> None:
    async def forgetful() -> None:
        await memory_sessions(lease=SHORT).open()

    await asyncio.to_thread(asyncio.run, forgetful())

    await memory_sessions(lease=SHORT, acquire_timeout=10.0).open()


async def test_on_lost_is_called_once_on_the_loop_that_asked(memory_sessions: Sessions) -> None:
    calls: list[threading.Thread] = []
    agent = await started(memory_sessions(lease=SHORT))
    agent._session_manager.on_lost(lambda: calls.append(threading.current_thread()))
    await memory_sessions(probe=certainly_dead).open()

    await eventually(lambda: calls)  # the next heartbeat finds out

    with pytest.raises(SessionFenced):
        await agent.send("Too late")
    await asyncio.sleep(0)
    assert calls == [threading.current_thread()]
    assert not agent._session_manager.lease_is_fresh()


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


async def test_a_callback_that_fails_keeps_nobody_from_being_told(memory_sessions: Sessions) -> None:
    told = threading.Event()
    manager = memory_sessions(lease=SHORT)
    manager._lost_callbacks += [lambda: 1 / 0, told.set]
    await manager.open()
    await memory_sessions(probe=certainly_dead).open()

    await eventually(told.is_set)


async def test_a_heartbeat_under_way_when_the_session_is_let_go_fences_nobody(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.send("One")
    storage.before = latch = Latch("beat")
    await latch.reached.wait()
    stopping = asyncio.ensure_future(agent.stop())
    with contextlib.suppress(AssertionError):  # a release may as well wait for the heartbeat
        await eventually(lambda: not item(storage).held, seconds=0.3)
    latch.go.set()
    await stopping
    await settled()

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_a_heartbeats_answer_that_comes_after_the_release_brings_no_lease_back(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.send("One")
    storage.after = latch = Latch("beat")
    await latch.reached.wait()
    stopping = asyncio.ensure_future(agent.stop())
    with contextlib.suppress(AssertionError):  # a release may as well wait for the heartbeat
        await eventually(lambda: not item(storage).held, seconds=0.3)
    latch.go.set()
    await stopping
    await settled()

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_heartbeats_go_on_after_a_session_was_taken_again(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.stop()
    await agent.start()
    await agent.send("Again")
    beat = item(storage).beat

    await eventually(lambda: item(storage).beat > beat + 1)
    await agent.stop()


async def test_a_write_during_the_release_is_committed_under_the_next_acquisition(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions()
    await manager.open()
    staying = Agent(model=FakeModel(), session_manager=manager, agent_id="staying", callback_handler=None)
    await staying.invoke_async("One")
    release, put = Latch("release"), Latch("put")
    storage.before = both(release, put)
    closing = asyncio.ensure_future(manager.close())
    await release.reached.wait()
    writing = asyncio.ensure_future(staying.invoke_async("Two"))
    with contextlib.suppress(TimeoutError):  # the write may as well wait for the release
        await put.reached.wait(0.3)
    release.go.set()
    await closing
    put.go.set()
    await writing

    await manager.close()
    again = memory_sessions()
    await again.open()
    restored = Agent(model=FakeModel(), session_manager=again, agent_id="staying", callback_handler=None)
    assert restored.messages == staying.messages


async def test_a_release_whose_answer_is_lost_is_no_takeover(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    await agent.send("One")
    storage.after = lost = Unavailable("release")
    await agent.stop()
    assert lost.failed
    lost.on = False

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_an_acquisition_whose_answer_is_lost_is_mine(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    storage.after = lost = _Once("acquire")
    manager = memory_sessions(acquire_timeout=5.0)

    await manager.open()

    assert lost.done
    assert manager.epoch == item(storage).epoch == 1


async def test_a_commit_whose_answer_is_lost_is_there_once(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    storage.after = _Once("commit")
    await agent.send("One")
    storage.after = _Once("commit")
    agent.model.emit(answered("Two"))
    await until(agent, "bidi_response_stop")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_a_holder_that_lost_its_lease_in_the_background_takes_nothing_back(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    # A holder that took over tidies up in the background, and finds there that it was taken over itself.
    dead = await started(memory_sessions())
    await dead.send("One")
    crash(dead._session_manager)
    storage.before = latch = Latch("list")
    slow = await started(memory_sessions(holder="slow", probe=certainly_dead))
    await latch.reached.wait()
    heir = await started(memory_sessions(holder="heir", probe=certainly_dead))
    await heir.send("Two")
    await heir.stop()
    latch.go.set()
    await eventually(lambda: not slow._session_manager._session.lease.held)

    with pytest.raises(SessionFenced):
        await slow.send("Three")

    assert await texts(memory_sessions) == ["One", "Two"]


async def test_opening_twice_at_once_opens_once(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()

    await asyncio.gather(manager.open(), manager.open())

    assert [kind_of(what) for operation, what in storage.requests if operation == "write"] == ["acquire"]


async def test_an_open_that_is_given_up_leaves_no_lease_behind(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    storage.before = latch = Latch("acquire")
    opening = asyncio.ensure_future(memory_sessions().open())
    await latch.reached.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    latch.go.set()

    await eventually(lambda: storage.guard.items and not item(storage).held)


async def test_the_session_is_not_lost_while_it_is_read(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    writer = await started(memory_sessions())
    await writer.send("One")
    await writer.stop()
    storage.before = latch = Latch("get")
    opening = asyncio.ensure_future(memory_sessions(lease=SHORT).open())
    await latch.reached.wait()

    with pytest.raises(SessionHeld):
        await memory_sessions(acquire_timeout=3 * SHORT.duration).open()

    latch.go.set()
    await opening


async def test_storage_that_does_not_answer_ends_an_open_after_its_timeout(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    storage.before = Unavailable()

    with pytest.raises(StorageUnavailable):
        await memory_sessions(acquire_timeout=0.2).open()


async def test_async_with_opens_and_closes(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    async with memory_sessions() as manager:
        assert item(storage).held
        assert manager.epoch == 1

    assert not item(storage).held


async def test_building_after_open_does_no_io_and_blocks_nothing(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await started(memory_sessions())
    await writer.send("One")
    await writer.stop()
    manager = memory_sessions()
    await manager.open()
    before = len(storage.requests)

    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)

    assert len(storage.requests) == before
    assert len(agent.messages) == 1
    assert "before building" not in caplog.text


async def test_building_without_open_in_a_loop_works_and_says_what_to_do(
    memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "segue"):
        agent = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())
    await agent.start()
    await agent.send("One")
    await agent.stop()

    assert "open() before building the agent" in caplog.text
    assert await texts(memory_sessions) == ["One"]


def test_building_without_open_outside_a_loop_works_in_silence(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    manager = memory_sessions()
    with caplog.at_level(logging.WARNING, "segue"):
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager, state={"mood": "good"})

    assert item(storage).head == manager.position, "durable before the constructor returns"
    assert caplog.text == ""

    async def talk() -> None:
        await agent.start()
        await agent.send("One")
        await agent.stop()

    asyncio.run(talk())
    assert asyncio.run(texts(memory_sessions)) == ["One"]


def test_one_agent_in_several_loops_one_after_the_other(memory_sessions: Sessions) -> None:
    agent = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())

    async def talk(text: str) -> None:
        agent.model = ScriptedModel()  # its queue belongs to one loop
        await agent.start()
        await agent.send(text)
        await agent.stop()

    for text in ("One", "Two", "Three"):
        asyncio.run(talk(text))

    assert asyncio.run(texts(memory_sessions)) == ["One", "Two", "Three"]


def test_agents_in_several_threads_share_a_session(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agents = [
        Agent(model=FakeModel(), session_manager=manager, agent_id=f"agent-{number}", callback_handler=None)
        for number in range(4)
    ]
    failures: list[BaseException] = []

    def talk(agent: Agent) -> None:
        try:
            for number in range(5):
                agent(f"{agent.agent_id} says {number}")
        except BaseException as error:  # noqa: BLE001 - a thread keeps what it raises to itself
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.close_sync()

    assert failures == []
    again = memory_sessions()
    for agent in agents:
        restored = Agent(model=FakeModel(), session_manager=again, agent_id=agent.agent_id, callback_handler=None)
        assert restored.messages == agent.messages
        assert len(restored.messages) == 10


def test_a_constructor_asks_storage_for_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()

    assert storage.requests == []
    assert (manager.epoch, manager.head, manager.position, manager.route_token) == (0, 0, 0, "")
    assert not manager.lease_is_fresh()


async def test_closing_what_was_never_opened_does_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.flush()
    await manager.close()

    assert storage.requests == []


async def test_closing_twice_does_nothing_more(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.open()
    await manager.close()
    before = len(storage.requests)
    await manager.close()

    assert len(storage.requests) == before


async def settled() -> None:
    """Let the storage loop do everything that it can do now."""
    for _ in range(20):
        await Runtime.shared().run(asyncio.sleep(0.001))


class _Once:
    """Loses the answer of the first request of a kind."""

    def __init__(self, kind: str) -> None:
        self.done = False
        self._kind = kind

    async def __call__(self, operation: str, what: Any) -> None:
        if not self.done and operation == "write" and kind_of(what) == self._kind:
            self.done = True
            raise StorageUnavailable("the answer is lost")
