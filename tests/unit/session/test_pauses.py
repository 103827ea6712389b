"""An agent that was stopped on purpose goes on in another process, as with Strands' own session managers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from strands import Agent, ToolContext, tool
from strands.hooks import AfterInvocationEvent, BeforeToolsEvent
from strands.interventions import Confirm, InterventionHandler, Proceed
from strands.middleware._agent_stream import AgentStreamStage
from strands.session import FileSessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage

from segue.admin.fork import fork
from segue.clock import SystemClock
from segue.history.agent_history import AgentHistory
from segue.history.pauses import fit_to_use
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import manager_of
from tests.unit.session.pauses import (
    Sessions,
    X,
    Y,
    an_agent,
    answers,
    approve_deletions,
    paused,
    results_of,
    said,
)


def approve_all_tools(event: BeforeToolsEvent) -> None:
    if event.interrupt("approve all") != "yes":
        event.cancel = "not approved"


class Confirmed(InterventionHandler):
    name = "confirmed"

    def before_tool_call(self, event: Any) -> Any:
        return Confirm(prompt="Sure?") if event.tool_use["name"] == "delete" else Proceed()


async def gate(context: Any, go_on: Any) -> Any:
    context.interrupt("gate")
    async for event in go_on(context):
        yield event


@dataclass
class Scene:
    """A series of invocations, each in a process of its own.

    Attributes:
        build: Makes the agent of a process, with the model's replies that are left.
        replies: The model's replies, of all invocations.
        answers: Inputs of the invocations after the first: answers by the interrupt's name, or None to resume the
            checkpoint.
    """

    build: Callable[[Any, list[Any]], Agent]
    replies: list[Any]
    answers: list[dict[str, str] | None] = field(default_factory=list)


def a_boss(manager: Any, replies: list[Any]) -> Agent:
    """An agent whose tool is an agent that asks for approval."""
    worker = an_agent(approve_deletions)(None, replies)
    return an_agent(tools=[worker.as_tool(name="worker", description="Works")])(manager, replies)


def a_gated_agent(manager: Any, replies: list[Any]) -> Agent:
    agent = an_agent()(manager, replies)
    agent.add_middleware(AgentStreamStage, gate)
    return agent


SCENES = {
    "approved": Scene(an_agent(approve_deletions), [X, "Done"], [{"approve": "yes"}]),
    "denied": Scene(an_agent(approve_deletions), [X, "Not done"], [{"approve": "no"}]),
    "beside a tool that ran": Scene(
        an_agent(approve_deletions), [[tool_call("look", "l", key="L"), X], "Done"], [{"approve": "yes"}]
    ),
    "the same twice": Scene(an_agent(approve_deletions), [X, Y, "Done"], [{"approve": "yes"}, {"approve": "yes"}]),
    "two at once": Scene(an_agent(approve_deletions), [[X, Y], "Done"], [{"approve": "yes"}]),
    "answered in two parts": Scene(
        an_agent(approve_deletions),
        [[X, tool_call("ask", "a", question="Why?")], "Done"],
        [{"approve": "yes"}, {"ask": "so"}],
    ),
    "not answered at first": Scene(
        an_agent(), [tool_call("ask_twice", "t"), "Done"], [{}, {"name": "Al"}, {"age": "9"}]
    ),
    "asked by a tool": Scene(an_agent(), [tool_call("ask", "a", question="Why?"), "Done"], [{"ask": "so"}]),
    "before all tools": Scene(an_agent(approve_all_tools), [[X, Y], "Done"], [{"approve all": "yes"}]),
    "before all tools, denied": Scene(an_agent(approve_all_tools), [[X, Y], "Done"], [{"approve all": "no"}]),
    "intervention": Scene(an_agent(interventions=[Confirmed()]), [X, "Done"], [{"confirmed": "yes"}]),
    "inside an agent as a tool": Scene(
        a_boss, [tool_call("worker", "w", input="Delete X"), X, "Deleted", "Done"], [{"approve": "yes"}]
    ),
    "no tool at all": Scene(a_gated_agent, ["Hello"], [{"gate": "go"}]),
    "checkpoints": Scene(an_agent(checkpointing=True), [X, "Done"], [None, None]),
    "checkpoints and approval": Scene(
        an_agent(approve_deletions, checkpointing=True), [X, "Done"], [None, {"approve": "yes"}, None]
    ),
}


async def play(scene: Scene, manager_of: Callable[[], Any], *, leave: Callable[[Any], Any]) -> list[Any]:
    """Play a scene, each invocation with an agent built anew; return the last agent's messages."""
    replies, result = list(scene.replies), None
    for step in range(len(scene.answers) + 1):
        manager = manager_of()
        agent = scene.build(manager, replies)
        prompt: Any = "Delete X"
        if step and (answer := scene.answers[step - 1]) is None:
            assert result is not None
            prompt = {"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}
        elif step:
            assert result is not None
            prompt = [
                {"interruptResponse": {"interruptId": each.id, "response": answer[each.name]}}
                for each in result.interrupts
                if each.name in answer
            ]
        result = await agent.invoke_async(prompt)
        if step < len(scene.answers):
            assert result.stop_reason in ("interrupt", "checkpoint")
        messages = agent.messages
        await leave(manager)
    assert result is not None
    assert result.stop_reason == "end_turn", result
    assert replies == []
    return messages


async def nothing_to_do(_: Any) -> None:
    pass


async def close(manager: Any) -> None:
    await manager.close()


async def end_without_a_word(manager: Any) -> None:
    crash(manager)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("leave", [close, end_without_a_word])
async def test_a_pause_ends_as_with_the_session_managers_of_strands(
    name: str, leave: Any, tmp_path: Path, memory_sessions: Sessions
) -> None:
    scene = SCENES[name]
    in_files = await play(
        scene, lambda: FileSessionManager("talk", storage_dir=str(tmp_path / "files")), leave=nothing_to_do
    )
    in_snapshots = await play(
        scene,
        lambda: SnapshotSessionManager("talk", storage=LocalFileStorage(str(tmp_path / "snapshots"))),
        leave=nothing_to_do,
    )

    live = await play(scene, lambda: memory_sessions(probe=certainly_dead), leave=leave)

    assert said(live) == said(in_files) == said(in_snapshots)
    heir = scene.build(memory_sessions(probe=certainly_dead), [])
    assert heir.messages == live
    assert not manager_of(heir).report["default"]


async def test_a_redaction_of_what_waits_reaches_what_strands_resumes(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    secret = tool_call("delete", "x", key="s3cret")
    await paused(memory_sessions, [secret], build=an_agent(approve_all_tools))
    heir = an_agent(approve_all_tools)(manager := memory_sessions(probe=certainly_dead), [])

    await manager.redact(heir.messages[-1]["tracking_id"])
    heir.state.set("more", "of it")
    await manager.flush()

    pending = heir._interrupt_state.pending_tool_execution
    assert pending is not None
    assert pending.assistant_message is heir.messages[-1]
    await manager.close()
    assert "s3cret" not in str(an_agent()(memory_sessions(), [])._interrupt_state.to_dict())


@tool(context=True)
async def dig(tool_context: ToolContext) -> str:
    """Dig for something."""
    return f"Found {tool_context.interrupt('where')}"


async def dug(manager_of: Callable[[], Any], leave: Callable[[Any], Any]) -> tuple[list[Any], list[str]]:
    """Let a tool in the background ask, and its process end; return the messages and what the tasks came to."""
    build = an_agent(tools=[dig], background_tasks={"always": ["dig"]})
    agent = build(manager := manager_of(), [tool_call("dig", "d"), "It digs"])
    assert (await agent.invoke_async("Dig")).stop_reason == "interrupt"
    await leave(manager)
    agent = build(manager := manager_of(), ["It failed"])
    assert not agent._interrupt_state.activated
    assert (await agent.invoke_async("Well?")).stop_reason == "end_turn"
    tasks = [
        block["toolResult"]["content"][0]["json"]
        for message in agent.messages
        for block in message["content"]
        if "toolResult" in block and "json" in block["toolResult"]["content"][0]
    ]
    await leave(manager)
    assert build(manager_of(), []).messages == agent.messages
    # Whether the model still has its turn depends on which is first, the tool's question or the turn.
    shown = [message["content"] for message in agent.messages if message["content"] != [{"text": "It digs"}]]
    return [[next(iter(block)) for block in content] for content in shown], [task["status"] for task in tasks]


async def test_a_background_task_that_asked_has_failed_as_with_the_session_managers_of_strands(
    memory_sessions: Sessions, tmp_path: Path
) -> None:
    files = await dug(lambda: FileSessionManager("talk", storage_dir=str(tmp_path)), nothing_to_do)

    segue = await dug(lambda: memory_sessions(probe=certainly_dead), end_without_a_word)

    assert segue == files
    assert segue[1] == ["failed"]


async def test_a_fork_is_resumed_as_the_session_is(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    result = await paused(memory_sessions, [X])
    await fork(storage.stores(), "default/talk", "default/copy", SystemClock())

    for session_id in ("talk", "copy"):
        heir = an_agent(approve_deletions)(memory_sessions(session_id, probe=certainly_dead), ["Done"])
        await heir.invoke_async(answers(result))
        assert results_of(heir.messages) == {"x": "X is gone"}


async def test_a_hook_that_answers_at_once_leaves_nothing_open(memory_sessions: Sessions) -> None:
    def answer(event: AfterInvocationEvent) -> None:
        if event.result is not None and event.result.stop_reason == "interrupt":
            event.resume = answers(event.result)

    agent = an_agent(approve_deletions)(manager := memory_sessions(), [X, "Done"])
    agent.hooks.add_callback(AfterInvocationEvent, answer)
    assert (await agent.invoke_async("Delete X")).stop_reason == "end_turn"
    await manager.close()

    assert an_agent()(memory_sessions(), []).messages == agent.messages
    assert results_of(agent.messages) == {"x": "X is gone"}


def test_interrupt_state_of_an_earlier_strands_is_a_pause() -> None:
    call = {"role": "assistant", "content": [X], "tracking_id": "m"}
    kept = {"tool_use_message": call, "tool_results": []}
    state = {"interrupts": {}, "context": kept, "activated": True}

    fit = fit_to_use(AgentHistory(messages=[call], internal={"interrupt_state": state}), can_resume=True)

    assert fit.messages == [call]
    assert fit.report.paused == ("x",)


def test_a_pause_without_its_message_is_dropped() -> None:
    call = {"role": "assistant", "content": [X], "tracking_id": "m"}
    pending = {"assistant_message": {**call, "tracking_id": "gone"}, "completed_tool_results": []}
    state = {"interrupts": {}, "context": {}, "activated": True, "pending_tool_execution": pending}

    for messages in ([call], []):
        fit = fit_to_use(AgentHistory(messages=messages, internal={"interrupt_state": state}), can_resume=True)

        assert len(fit.messages) == 2 * len(messages)
        assert fit.internal["interrupt_state"]["activated"] is False
