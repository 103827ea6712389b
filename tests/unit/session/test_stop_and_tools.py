"""``stop()`` directly after a spoken turn takes no tool result with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands import tool
from strands.bidi import BidiAgent
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent
from strands.hooks import BeforeToolCallEvent

from tests.support.crash import certainly_dead
from tests.support.memory_manager import Latch, MemoryStorage
from tests.support.scripted_model import ScriptedModel, calling, calling_all, until
from tests.support.sessions import manager_of
from tests.support.waiting import eventually, within

Sessions = Callable[..., Any]


async def talking(manager: Any, **options: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, **options)
    await manager.flush()
    await agent.start()
    return agent


async def restored(sessions: Sessions) -> BidiAgent:
    manager = sessions(probe=certainly_dead)
    await manager.open()
    return BidiAgent(model=ScriptedModel(), session_manager=manager)


async def stopped_during(latch: Latch, agent: BidiAgent, messages: int) -> None:
    """Stop when the agent has so many messages and storage is held up; let that go once its tasks were cancelled."""
    await eventually(lambda: len(agent.messages) >= messages)
    await latch.reached.wait()
    stopping = asyncio.ensure_future(agent.stop())
    await eventually(lambda: not agent._loop._task_pool._tasks)
    latch.go.set()
    await stopping


@pytest.mark.parametrize("durability", ["await", "gate"])
async def test_a_result_is_recorded_although_stop_comes_while_its_use_is_being_saved(
    memory_sessions: Sessions, storage: MemoryStorage, durability: str
) -> None:
    latch = Latch("put")

    @tool
    def clock() -> str:
        """Tell the time."""
        storage.before = latch  # before the use comes again, and its result
        return "noon"

    agent = await talking(memory_sessions(durability=durability), tools=[clock])
    agent.model.emit([BidiResponseStartEvent("r1"), *calling("clock", "t1"), BidiResponseStopEvent("r1")])
    await until(agent, "bidi_response_stop")
    await stopped_during(latch, agent, messages=3)

    heir = await restored(memory_sessions)
    assert manager_of(heir).report["default"].interrupted == ()
    assert heir.messages == agent.messages
    assert "noon" in str(heir.messages[-1])


async def test_a_use_and_the_note_that_its_tool_was_started_are_never_parted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talking(memory_sessions())
    storage.before = latch = Latch("put")
    agent.model.emit(calling("clock", "t1"))
    await stopped_during(latch, agent, messages=1)

    assert [set(message["content"][0]) for message in agent.messages] == [{"toolUse"}, {"toolResult"}]
    heir = await restored(memory_sessions)
    assert len(heir.messages) == 2
    assert manager_of(heir).report["default"].interrupted == ("t1",), "the tool was not running yet, and never will"


async def test_a_result_is_durable_when_its_hook_returns(memory_sessions: Sessions) -> None:
    @tool
    def clock() -> str:
        """Tell the time."""
        return "noon"

    manager = memory_sessions()
    agent = await talking(manager, tools=[clock])
    agent.model.emit(calling("clock", "t1"))
    async for event in agent.receive():
        if "message" in event:
            break

    numbers = [manager.record_of(message["tracking_id"]) for message in agent.messages]
    assert all(number is not None and number < manager.head for number in numbers)
    await agent.stop()


def tools_begun(manager: Any) -> list[str]:
    journal = manager._runtime.run_sync(manager._session.read())
    return [record.data["tool_use_id"] for record in journal.records if record.kind == "tool"]


async def test_a_response_ends_when_the_tools_that_it_asked_for_have_begun(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    @tool
    async def wait() -> str:
        """Wait."""
        await running.wait()
        return "done"

    running = asyncio.Event()
    manager = memory_sessions()
    agent = await talking(manager, tools=[wait])
    uses = [("wait", "t1", {}), ("wait", "t2", {})]
    agent.model.emit([BidiResponseStartEvent("r1"), *calling_all(*uses), BidiResponseStopEvent("r1")])
    await until(agent, "bidi_response_stop")

    assert sorted(await asyncio.to_thread(tools_begun, manager)) == ["t1", "t2"]
    running.set()
    await agent.stop()


@pytest.mark.parametrize("how", ["thinks", "calls off"])
async def test_a_response_does_not_wait_for_a_hook_that_lets_no_tool_begin(memory_sessions: Sessions, how: str) -> None:
    async def before(event: BeforeToolCallEvent) -> None:
        if how == "calls off":
            event.cancel_tool = "not now"
        else:
            await thought.wait()

    thought = asyncio.Event()
    agent = await talking(memory_sessions())
    agent.add_hook(before, BeforeToolCallEvent)
    agent.model.emit([BidiResponseStartEvent("r1"), *calling("clock", "t1"), BidiResponseStopEvent("r1")])
    async with within(10):
        await until(agent, "bidi_response_stop")
    thought.set()
    await agent.stop()
