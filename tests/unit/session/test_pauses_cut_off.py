"""Pauses and crashes: a crash stays one, and what waits is left to be answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, tool
from strands.bidi import BidiAgent
from strands.hooks import BeforeToolCallEvent

from segue.history.pauses import WAITING
from segue.history.repair import INTERRUPTED
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import manager_of
from tests.unit.session.pauses import (
    Sessions,
    X,
    Y,
    an_agent,
    answers,
    approve_deletions,
    delete,
    look,
    paused,
    results_of,
    said,
)


def cut_off_by(running: asyncio.Event, *others: Any) -> Callable[..., Agent]:
    """An agent whose deletion runs for ever."""

    @tool(name="delete")
    async def endless(key: str) -> str:
        """Delete something."""
        running.set()
        await asyncio.Event().wait()
        return key

    return an_agent(approve_deletions, tools=[endless, look, *others])


async def run_into_a_crash(build: Any, manager: Any, prompt: Any, running: asyncio.Event) -> None:
    agent = build(manager, [])
    turn = asyncio.create_task(agent.invoke_async(prompt))
    await running.wait()
    crash(manager)
    turn.cancel()
    await asyncio.wait({turn})


async def test_a_crash_of_an_approved_tool_is_restored_as_interrupted(memory_sessions: Sessions) -> None:
    result = await paused(memory_sessions, [X])
    running = asyncio.Event()
    await run_into_a_crash(cut_off_by(running), memory_sessions(probe=certainly_dead), answers(result), running)

    heir = an_agent(approve_deletions)(memory_sessions(probe=certainly_dead), ["It may be gone"])

    assert results_of(heir.messages) == {"x": INTERRUPTED}
    assert manager_of(heir).report["default"].interrupted == ("x",)
    await heir.invoke_async(None)  # nothing waits any more
    await manager_of(heir).close()
    next_one = an_agent(approve_deletions)(memory_sessions(), [])
    assert said(next_one.messages) == said(heir.messages)


async def test_a_crash_of_one_tool_leaves_the_other_to_be_answered(memory_sessions: Sessions) -> None:
    result = await paused(memory_sessions, [[X, tool_call("look", "l", key="L"), Y]])
    of_x, of_y = answers(result)
    running = asyncio.Event()
    await run_into_a_crash(cut_off_by(running), memory_sessions(probe=certainly_dead), [of_x], running)

    for _ in range(2):  # also after a restore of which nothing came
        heir = an_agent(approve_deletions)(manager := memory_sessions(probe=certainly_dead), ["Done"])
        assert manager.report["default"].interrupted == ("x",)
        assert manager.report["default"].paused == ("y",)
        crash(manager)
    heir = an_agent(approve_deletions)(memory_sessions(probe=certainly_dead), ["Done"])
    await heir.invoke_async([of_y])

    assert results_of(heir.messages) == {"x": INTERRUPTED, "l": "L is there", "y": "Y is gone"}
    await manager_of(heir).close()
    assert an_agent()(memory_sessions(), []).messages == heir.messages


async def test_a_crash_after_a_resumed_checkpoint_is_restored_as_interrupted(memory_sessions: Sessions) -> None:
    running = asyncio.Event()
    build = cut_off_by(running)
    first = Agent(
        model=FakeModel([X]),
        tools=[delete],
        session_manager=memory_sessions(probe=certainly_dead),
        checkpointing=True,
        callback_handler=None,
        agent_id="default",
    )
    result = await first.invoke_async("Delete X")
    assert result.checkpoint is not None
    crash(manager_of(first))

    def resuming(manager: Any, replies: list[Any]) -> Agent:
        agent = build(manager, replies)
        agent._checkpointing = True
        agent.hooks._registered_callbacks[BeforeToolCallEvent] = [
            entry
            for entry in agent.hooks._registered_callbacks[BeforeToolCallEvent]
            if entry.callback is not approve_deletions
        ]
        return agent

    prompt = {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}
    await run_into_a_crash(resuming, memory_sessions(probe=certainly_dead), prompt, running)

    assert results_of(an_agent()(memory_sessions(probe=certainly_dead), []).messages) == {"x": INTERRUPTED}


async def test_a_crash_without_a_pause_is_restored_as_interrupted(memory_sessions: Sessions) -> None:
    running = asyncio.Event()
    unasked = an_agent(tools=cut_off_by(running)(None, []).tool_registry.registry.values())
    manager = memory_sessions(probe=certainly_dead)
    turn = asyncio.create_task(unasked(manager, [X]).invoke_async("Delete X"))
    await running.wait()
    crash(manager)
    turn.cancel()
    await asyncio.wait({turn})

    assert results_of(an_agent()(memory_sessions(probe=certainly_dead), []).messages) == {"x": INTERRUPTED}


async def test_a_voice_agent_is_told_of_what_waits_and_the_text_agent_resumes_it(memory_sessions: Sessions) -> None:
    result = await paused(memory_sessions, [[tool_call("look", "l", key="L"), X]])
    voice = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(probe=certainly_dead), agent_id="default")
    assert results_of(voice.messages) == {"l": "L is there", "x": WAITING}
    await manager_of(voice).close()

    heir = an_agent(approve_deletions)(memory_sessions(), ["Done"])
    await heir.invoke_async(answers(result))

    assert results_of(heir.messages) == {"l": "L is there", "x": "X is gone"}


@pytest.mark.slow
async def test_a_pause_is_over_once_the_conversation_has_gone_on(memory_sessions: Sessions) -> None:
    result = await paused(memory_sessions, [[tool_call("look", "l", key="L"), X]])
    voice = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions(probe=certainly_dead), agent_id="default")
    await voice.start()
    await voice.send("Never mind")
    await voice.stop()

    heir = an_agent(approve_deletions)(memory_sessions(), [])

    assert results_of(heir.messages) == {"l": "L is there", "x": INTERRUPTED}
    with pytest.raises(ValueError, match="not in interrupt state"):
        await heir.invoke_async(answers(result))
    await heir.invoke_async("Hello?")
