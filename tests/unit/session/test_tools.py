"""Tools: journalled before they run, recorded when they end, and known to a successor when they were cut off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, ToolContext, tool
from strands.bidi import BidiAgent
from strands.bidi.types.events import BidiResponseStopEvent
from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent

from segue import SessionFenced, idempotency_key
from segue.history.fold import under_way
from segue.history.repair import INTERRUPTED
from segue.journal.reader import read_unheld
from segue.session.runtime import Runtime
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import Latch, MemoryStorage
from tests.support.scripted_model import ScriptedModel, calling, calling_all, result_of, until
from tests.support.sessions import manager_of
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


@tool
def clock() -> str:
    """Tell the time."""
    return "noon"


@tool
def broken() -> str:
    """Fail."""
    raise ValueError("out of order")


def effect_of(ran: threading.Event) -> Any:
    """Make a tool whose effect is to set an event."""

    @tool
    def effect() -> str:
        """Have an effect."""
        ran.set()
        return "done"

    return effect


async def talking(manager: Any, *tools: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager, tools=list(tools))
    await agent.start()
    return agent


async def dead_while_it_runs(
    agent: BidiAgent, name: str, running: threading.Event, release: threading.Event
) -> asyncio.Future[list[Any]]:
    """End the process while one of its agent's tools runs; the reading of its events, which is not over yet."""
    agent.model.emit(calling(name, "t1"))
    receiving = asyncio.ensure_future(until(agent, "never"))
    await asyncio.to_thread(running.wait, 10)
    crash(manager_of(agent))
    release.set()
    return receiving


async def used(agent: BidiAgent, events: list[Any]) -> None:
    """Let tools run, and the response end."""
    await result_of(agent, events)
    await eventually(lambda: any(type(sent).__name__ == "BidiMessage" for sent in agent.model.sent))


async def committed(storage: MemoryStorage, key: str = "default/talk") -> list[Any]:
    """The records that storage has."""
    stores = storage.stores()
    journal = await read_unheld(stores.guard, stores.objects, stores.prefix, key, Runtime.shared().clock)
    return journal.records


async def test_a_tool_turn_makes_four_messages_and_its_records(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions(), clock)
    await agent.send("What time is it?")
    await used(agent, calling("clock", "t1"))
    await agent.stop()

    again = memory_sessions()
    await again.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=again)
    assert restored.messages == agent.messages
    assert [next(iter(m["content"][0])) for m in restored.messages] == [
        "text",
        "toolUse",
        "toolResult",
        "toolUse",
        "toolResult",
    ]
    run = again.history.agents["default"].tools["t1"]
    assert (run["name"], run["status"], run["phase"]) == ("clock", "success", "ended")
    assert isinstance(run["ms"], int)
    assert run["ms"] >= 0
    assert list(under_way(again.history.agents["default"].tools)) == []


async def test_a_tool_that_fails_is_recorded_as_that(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions(), broken)
    await used(agent, calling("broken", "t1"))
    await agent.stop()

    again = memory_sessions()
    await again.open()

    assert again.history.agents["default"].tools["t1"]["status"] == "error"


async def test_the_intent_is_durable_before_the_tool_runs(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    seen: list[list[Any]] = []
    clock_of_storage = Runtime.shared()

    @tool
    def looking() -> str:
        """See what is stored while the tool runs."""
        seen.append(clock_of_storage.run_sync(committed(storage)))
        return "seen"

    agent = await talking(memory_sessions(durability="gate"), looking)
    await used(agent, calling("looking", "t1"))
    await agent.stop()

    (records,) = seen
    assert [r.data["phase"] for r in records if r.kind == "tool"] == ["started"]
    assert any(r.kind == "message" and "toolUse" in r.data["message"]["content"][0] for r in records)


async def test_a_tool_does_not_run_while_its_intent_is_not_durable(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    ran = threading.Event()
    agent = await talking(memory_sessions(durability="gate"), effect_of(ran))
    await manager_of(agent).flush()
    storage.before = latch = Latch("commit")
    agent.model.emit(calling("effect", "t1"))
    receiving = asyncio.ensure_future(until(agent, "tool_result"))
    await latch.reached.wait()
    await asyncio.sleep(0)
    assert not ran.is_set()

    latch.go.set()
    await eventually(ran.is_set)
    receiving.cancel()
    await agent.stop()


async def test_a_fenced_holder_runs_no_tool(memory_sessions: Sessions) -> None:
    ran = threading.Event()
    agent = await talking(memory_sessions(durability="gate"), effect_of(ran))
    heir = memory_sessions(probe=certainly_dead)
    await heir.open()

    agent.model.emit(calling("effect", "t1"))
    with pytest.raises(SessionFenced):
        await until(agent, "never")

    assert not ran.is_set()


async def test_a_tool_reads_its_idempotency_key(memory_sessions: Sessions) -> None:
    keys: list[str] = []

    @tool(context=True)
    def paying(tool_context: ToolContext) -> str:
        """Pay."""
        keys.append(idempotency_key(tool_context))
        return "paid"

    agent = await talking(memory_sessions(principal="alice"), paying)
    await used(agent, calling("paying", "t1"))
    await agent.stop()

    assert keys == ["alice/talk/t1"]


async def test_tools_that_run_at_once_each_read_their_own_idempotency_key(memory_sessions: Sessions) -> None:
    keys: dict[str, str] = {}
    together = threading.Barrier(3, timeout=10)

    @tool(context=True)
    def paying(tool_context: ToolContext) -> str:
        """Pay."""
        together.wait()
        keys[tool_context.tool_use["toolUseId"]] = idempotency_key(tool_context)
        return "paid"

    agent = await talking(memory_sessions(), paying)
    await used(agent, calling_all(("paying", "t1", {}), ("paying", "t2", {}), ("paying", "t3", {})))
    await agent.stop()

    assert keys == {use_id: f"default/talk/{use_id}" for use_id in ("t1", "t2", "t3")}


async def test_an_agents_tools_are_recorded_too(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    model = FakeModel([[tool_call("clock", "t1"), tool_call("broken", "t2")], "Done."])
    agent = Agent(model=model, session_manager=manager, tools=[clock, broken], callback_handler=None)
    await agent.invoke_async("Both, please")
    await manager.close()

    again = memory_sessions()
    await again.open()
    tools = again.history.agents["default"].tools
    assert {use_id: (run["name"], run["status"]) for use_id, run in tools.items()} == {
        "t1": ("clock", "success"),
        "t2": ("broken", "error"),
    }


async def test_a_successor_knows_which_tool_was_under_way(memory_sessions: Sessions) -> None:
    running = threading.Event()
    release = threading.Event()

    @tool
    def slow() -> str:
        """Take long."""
        running.set()
        release.wait(10)
        return "late"

    agent = await talking(memory_sessions(), slow)
    await agent.send("Do it")
    receiving = await dead_while_it_runs(agent, "slow", running, release)

    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=heir)
    with pytest.raises(SessionFenced):
        await receiving

    (run,) = under_way(heir.history.agents["default"].tools)
    assert (run["tool_use_id"], run["name"]) == ("t1", "slow")
    assert heir.report["default"].interrupted == ("t1",)
    assert restored.messages[-1]["content"][0]["toolResult"]["content"] == [{"text": INTERRUPTED}]


async def test_a_tool_that_is_tried_again_is_under_way_again(memory_sessions: Sessions) -> None:
    running = threading.Event()
    release = threading.Event()
    attempts: list[int] = []

    @tool
    def flaky() -> str:
        """Fail once, then take long."""
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("not yet")
        running.set()
        release.wait(10)
        return "at last"

    agent = await talking(memory_sessions(), flaky)

    def again(event: AfterToolCallEvent) -> None:
        event.retry = len(attempts) == 1

    agent.add_hook(again, AfterToolCallEvent)
    receiving = await dead_while_it_runs(agent, "flaky", running, release)

    heir = memory_sessions(probe=certainly_dead)
    await heir.open()
    with pytest.raises(SessionFenced):
        await receiving

    assert [run["tool_use_id"] for run in under_way(heir.history.agents["default"].tools)] == ["t1"]


async def test_a_tool_that_a_hook_cancels_is_not_under_way(memory_sessions: Sessions) -> None:
    agent = await talking(memory_sessions(), clock)

    def forbid(event: BeforeToolCallEvent) -> None:
        event.cancel_tool = "not today"

    agent.add_hook(forbid, BeforeToolCallEvent)
    await used(agent, calling("clock", "t1"))
    await agent.stop()

    heir = memory_sessions()
    await heir.open()
    tools = heir.history.agents["default"].tools
    assert tools["t1"]["status"] == "error"
    assert list(under_way(tools)) == []


async def test_a_stop_in_the_middle_of_a_tool_leaves_a_history_that_fits(memory_sessions: Sessions) -> None:
    @tool
    async def endless() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    agent = await talking(memory_sessions(), endless)
    agent.model.emit([*calling("endless", "t1"), BidiResponseStopEvent("r1")])
    await until(agent, "bidi_response_stop")
    await eventually(lambda: manager_of(agent).head == manager_of(agent).position)
    await agent.stop()

    heir = memory_sessions()
    await heir.open()
    restored = BidiAgent(model=ScriptedModel(), session_manager=heir)
    assert heir.report["default"].interrupted == ("t1",)
    assert restored.messages[-1]["content"][0]["toolResult"]["status"] == "error"
