"""Rewinds: all that a point in time had is restored, in all agents or in none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent
from strands.hooks import AfterInvocationEvent
from strands.types.agent import ConcurrentInvocationMode

from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel
from tests.unit.session.whole_sessions import (
    Sessions,
    Wandering,
    all_of,
    an_agent,
    approve,
    stored,
)

# Going back.


async def test_going_back_to_where_strands_kept_nothing_resets_what_it_keeps(memory_sessions: Sessions) -> None:
    voice = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(), agent_id="default")
    await voice.start()
    await voice.send("Hi")
    await voice.stop()
    manager = memory_sessions()
    await manager.open()
    point = (await manager.points())[-1]
    assert manager.history.agents["default"].internal == {}
    agent = an_agent(manager, tool_call("delete", "x", key="X"), "Hello", hooks=[approve], system_prompt="Be brief")
    built = all_of(agent)
    agent._model_state = {"response_id": "r-1"}
    assert (await agent.invoke_async("Delete X")).stop_reason == "interrupt"
    agent.conversation_manager.removed_message_count = 7

    await manager.rewind(point)

    assert all_of(agent) == built
    assert (await agent.invoke_async("Hello?")).stop_reason == "end_turn"
    await manager.close()
    heir = an_agent(memory_sessions(), hooks=[approve])
    assert all_of(heir) == all_of(agent)
    assert not heir._interrupt_state.activated


async def test_a_pause_is_gone_back_to_and_resumed(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = an_agent(manager, tool_call("delete", "x", key="X"), "Done", "Done again", hooks=[approve])
    result = await agent.invoke_async("Delete X")
    point = (await manager.points())[-1]
    answer = [{"interruptResponse": {"interruptId": result.interrupts[0].id, "response": "yes"}}]
    await agent.invoke_async(answer)
    resumed = [message["content"] for message in agent.messages]

    await manager.rewind(point)
    await agent.invoke_async(answer)

    assert [message["content"] for message in agent.messages] == [*resumed[:-1], [{"text": "Done again"}]]
    await manager.close()
    assert an_agent(memory_sessions()).messages == agent.messages


@pytest.mark.parametrize("mode", ConcurrentInvocationMode)
async def test_a_turn_is_not_rewound_while_it_runs(memory_sessions: Sessions, mode: ConcurrentInvocationMode) -> None:
    manager = memory_sessions()
    await manager.open()
    going, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        going.set()
        await go_on.wait()
        return "waited"

    agent = Agent(
        model=FakeModel(["Hello", tool_call("wait", "w"), "Done"]),
        tools=[wait],
        session_manager=manager,
        callback_handler=None,
        agent_id="default",
        concurrent_invocation_mode=mode,
    )
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    turn = asyncio.create_task(agent.invoke_async("Wait"))
    await going.wait()
    await manager.flush()
    before = manager.position

    with pytest.raises(RuntimeError, match="in the middle of a turn"):
        await manager.rewind(point)

    assert manager.position == before
    go_on.set()
    assert (await turn).stop_reason == "end_turn"
    await manager.rewind(point)
    assert [message["content"][0]["text"] for message in agent.messages] == ["Hi", "Hello"]
    assert (await agent.invoke_async("Again")).stop_reason == "end_turn"
    await manager.close()


async def test_a_turn_whose_hook_failed_is_over(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()

    def fail(event: AfterInvocationEvent) -> None:
        raise ValueError("a hook of the user")

    agent = an_agent(manager, "Hello", concurrent_invocation_mode="unsafe_reentrant")
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    agent.hooks.add_callback(AfterInvocationEvent, fail)
    with pytest.raises(ValueError, match="a hook of the user"):
        await agent.invoke_async("Hi again")

    await manager.rewind(point)

    assert len(agent.messages) == 2
    await manager.close()


async def test_a_background_task_keeps_a_session_where_it_is(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    release = asyncio.Event()

    @tool
    async def slow() -> str:
        """Take long."""
        await release.wait()
        return "slow"

    agent = Agent(
        model=FakeModel(["Hello", tool_call("slow", "s"), "It runs"]),
        tools=[slow],
        session_manager=manager,
        callback_handler=None,
        agent_id="default",
        background_tasks={"always": ["slow"], "wait_for_completion": False},
    )
    await agent.invoke_async("Hi")
    point = (await manager.points())[-1]
    await agent.invoke_async("Be slow")
    await manager.flush()
    before = manager.position

    with pytest.raises(RuntimeError, match="background tasks"):
        await manager.rewind(point)

    await manager.flush()
    assert manager.position == before
    release.set()
    await agent._background_tasks._manager.wait_for_idle()
    await manager.close()


async def test_a_rewind_that_an_agent_cannot_follow_changes_no_agent_and_no_session(
    memory_sessions: Sessions,
) -> None:
    manager = memory_sessions()
    await manager.open()
    one = an_agent(manager, "Hello", "Hello again")
    other = Agent(
        model=FakeModel(["Hi"]),
        session_manager=manager,
        callback_handler=None,
        agent_id="other",
        conversation_manager=(stubborn := Wandering()),
    )
    await one.invoke_async("Hi")
    point = (await manager.points())[-1]
    await one.invoke_async("Hi again")
    await other.invoke_async("Hi")
    await manager.flush()
    had = all_of(one), all_of(other)
    restores = iter([False, True])

    def restore(state: dict[str, Any]) -> Any:
        if not next(restores, True):
            raise ValueError("no")

    stubborn.restore_from_session = restore  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no"):
        await manager.rewind(point)

    assert (all_of(one), all_of(other)) == had
    await one.invoke_async("And again")
    await manager.close()
    assert "rewind" not in [record.kind for record in await stored(memory_sessions)]
    assert an_agent(memory_sessions()).messages == one.messages
