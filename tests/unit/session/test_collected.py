"""Managers that are dropped without a close."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent
from strands.multiagent import GraphBuilder

from segue.session.runtime import Runtime
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import Latch, MemorySessionManager, MemoryStorage, Unavailable
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import built, item
from tests.support.waiting import eventually, eventually_sync
from tests.unit.session.collecting import manager

pytestmark = pytest.mark.usefixtures("without_collections")


@pytest.mark.slow
def test_an_agent_that_a_request_has_made_is_released_when_the_request_returns(storage: MemoryStorage) -> None:
    def request(text: str) -> int:
        agent = built(manager(storage))
        agent(text)
        return len(agent.messages)

    assert [request("One"), request("Two"), request("Three")] == [2, 4, 6]
    eventually_sync(lambda: not item(storage).held)


@pytest.mark.slow
async def test_a_second_manager_on_an_event_loop_takes_over_from_a_dropped_one(storage: MemoryStorage) -> None:
    async def request(text: str) -> int:
        one = manager(storage)
        await one.open()
        agent = built(one)
        await agent.invoke_async(text)
        return len(agent.messages)

    assert [await request("One"), await request("Two")] == [2, 4]
    await eventually(lambda: not item(storage).held)


def test_agent_and_manager_are_freed_without_the_garbage_collector(storage: MemoryStorage) -> None:
    agent = built(one := manager(storage))
    agent("One")
    no_agent, no_manager = weakref.ref(agent), weakref.ref(one)
    del agent, one

    assert no_agent() is None
    eventually_sync(lambda: not item(storage).held)
    eventually_sync(lambda: no_manager() is None)


def test_a_graph_and_its_manager_are_released_too(storage: MemoryStorage) -> None:
    def request() -> None:
        graph = GraphBuilder()
        graph.add_node(Agent(model=FakeModel(["Done"]), callback_handler=None), "only")
        graph.set_session_manager(manager(storage))
        graph.build()("Do it")

    request()
    gc.collect()  # Strands' Graph is a cycle

    eventually_sync(lambda: not item(storage).held)


def test_an_agent_in_a_reference_cycle_is_released_by_the_garbage_collector(storage: MemoryStorage) -> None:
    agent: Any = built(manager(storage))
    agent("One")
    agent.myself = agent
    del agent
    assert item(storage).held

    gc.collect()

    eventually_sync(lambda: not item(storage).held)


async def test_records_queued_when_the_agent_is_collected_are_committed(storage: MemoryStorage) -> None:
    one = manager(storage, durability="gate")
    await one.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=one)
    await one.flush()
    storage.before = latch = Latch("commit")
    for number in range(20):
        one.append_message({"role": "user", "content": [{"text": str(number)}]}, agent)
    position = one.position
    del agent, one
    gc.collect()
    latch.go.set()

    await eventually(lambda: not item(storage).held)
    assert item(storage).head == position


def test_a_state_that_was_set_after_the_last_turn_is_recorded(storage: MemoryStorage) -> None:
    one = manager(storage)

    def turn() -> None:
        agent = built(one)
        agent("One")
        agent.state.set("seen", True)

    turn()
    one.close_sync()

    assert manager_history(storage).state == {"seen": True}


def manager_history(storage: MemoryStorage) -> Any:
    with manager(storage) as reader:
        return reader.history.agents["default"]


@pytest.mark.slow
async def test_a_release_that_storage_does_not_take_is_tried_until_it_does(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.session.session.CLOSE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr("segue.session.heartbeat.CLOSE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr("segue.session.open_handles._RETRY_SECONDS", 0.01)
    one = manager(storage, durability="gate")
    await one.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=one)
    await one.flush()
    storage.before = outage = Unavailable("put")
    one.append_message({"role": "user", "content": [{"text": "Kept"}]}, agent)
    del agent, one
    gc.collect()

    await eventually(lambda: "not written yet" in caplog.text)
    outage.on = False

    await eventually(lambda: not item(storage).held)
    assert [one["content"] for one in manager_history(storage).messages] == [[{"text": "Kept"}]]


def test_a_finalizer_takes_no_lock_and_waits_for_nothing(storage: MemoryStorage) -> None:
    agent = built(one := manager(storage))
    agent("One")
    session = one._session
    assert session is not None
    assert session.writer is not None
    storage.before = latch = Latch("release")
    done = threading.Event()

    def drop() -> None:
        nonlocal agent, one
        with Runtime._shared_lock, session.writer._queue._lock:  # type: ignore[union-attr]  # as if it were collected in there
            del agent, one
        done.set()

    threading.Thread(target=drop, daemon=True).start()

    assert done.wait(10), "the finalizer waits for a lock"
    latch.go.set()
    eventually_sync(lambda: not item(storage).held)


def test_a_manager_that_was_closed_writes_nothing_when_it_is_collected(storage: MemoryStorage) -> None:
    agent = built(one := manager(storage))
    agent("One")
    one.close_sync()
    agent.state.set("later", True)
    before = len(storage.requests)
    del agent, one
    Runtime.shared().run_sync(asyncio.sleep(0.01))

    assert len(storage.requests) == before


def test_a_manager_that_was_never_opened_is_collected_in_silence(
    storage: MemoryStorage, recwarn: pytest.WarningsRecorder
) -> None:
    del storage.requests[:]
    manager(storage)
    with pytest.raises(ValueError, match="max_messages"):
        manager(storage, max_messages=-1)  # half made
    with pytest.raises(TypeError):
        MemorySessionManager(7, storage=storage, no_such_option=True)  # type: ignore[arg-type]

    assert not recwarn.list
    assert storage.requests == []


async def test_an_opening_that_is_interrupted_leaves_no_lease(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.before = latch = Latch("acquire")
    one = manager(storage)

    def interrupted(*_: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    opening = one._begin()
    monkeypatch.setattr(opening, "result", interrupted)
    monkeypatch.setattr(one, "_begin", lambda: opening)
    with pytest.raises(KeyboardInterrupt):
        one.open_sync()
    latch.go.set()

    await eventually(lambda: storage.guard.items and not item(storage).held)
