"""Agents that pause, for the tests of pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strands import Agent, ToolContext, tool
from strands.hooks import BeforeToolCallEvent

from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel, tool_call
from tests.support.sessions import manager_of

Sessions = Callable[..., Any]


@tool
def delete(key: str) -> str:
    """Delete something."""
    return f"{key} is gone"


@tool
def look(key: str) -> str:
    """Look at something."""
    return f"{key} is there"


@tool(context=True)
def ask(question: str, tool_context: ToolContext) -> str:
    """Ask a person."""
    return f"They say {tool_context.interrupt('ask', reason=question)}"


@tool(context=True)
def ask_twice(tool_context: ToolContext) -> str:
    """Ask a person two things."""
    return f"{tool_context.interrupt('name')} {tool_context.interrupt('age')}"


def approve_deletions(event: BeforeToolCallEvent) -> None:
    if event.tool_use["name"] == "delete" and event.interrupt("approve", reason=event.tool_use["input"]) != "yes":
        event.cancel_tool = "not approved"


def an_agent(*hooks: Any, tools: Any = (delete, look, ask, ask_twice), **options: Any) -> Callable[..., Agent]:
    def build(manager: Any, replies: list[Any]) -> Agent:
        model = FakeModel()
        model._replies = replies
        return Agent(
            model=model,
            tools=list(tools),
            hooks=list(hooks),
            session_manager=manager,
            agent_id="default",
            callback_handler=None,
            **options,
        )

    return build


X, Y = tool_call("delete", "x", key="X"), tool_call("delete", "y", key="Y")


def said(messages: list[Any]) -> list[Any]:
    """Return messages as providers get them."""
    return [(message["role"], message["content"]) for message in messages]


async def paused(sessions: Sessions, replies: list[Any], *, build: Any = None, **options: Any) -> Any:
    """Let an agent stop for approvals, and its process end; return the result that it stopped with."""
    agent = (build or an_agent(approve_deletions))(sessions(probe=certainly_dead, **options), replies)
    result = await agent.invoke_async("Delete X")
    assert result.stop_reason == "interrupt"
    crash(manager_of(agent))
    return result


def answers(result: Any, response: str = "yes") -> list[Any]:
    return [{"interruptResponse": {"interruptId": each.id, "response": response}} for each in result.interrupts]


def results_of(messages: list[Any]) -> dict[str, str]:
    """Of each tool use the text of its result. Fails if there are two, or one that is not beside its use."""
    found: dict[str, str] = {}
    for before, message in zip([{"content": []}, *messages], messages, strict=False):
        uses = {block["toolUse"]["toolUseId"] for block in before["content"] if "toolUse" in block}
        results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
        assert {result["toolUseId"] for result in results} == uses
        assert not found.keys() & uses
        found |= {result["toolUseId"]: result["content"][0]["text"] for result in results}
    assert not any("toolUse" in block for block in messages[-1]["content"])
    return found
