"""Agents and sessions for the tests of whole restores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strands import Agent, tool
from strands.agent.conversation_manager import (
    SlidingWindowConversationManager,
)
from strands.hooks import BeforeToolCallEvent
from strands.multiagent import GraphBuilder, Swarm

from tests.support.fake_model import FakeModel, tool_call

Sessions = Callable[..., Any]


@tool
def delete(key: str) -> str:
    """Delete something."""
    return f"{key} is gone"


def approve(event: BeforeToolCallEvent) -> None:
    event.interrupt("approve")


class Wandering(SlidingWindowConversationManager):
    """Takes the state of any other."""

    def restore_from_session(self, state: dict[str, Any]) -> Any:
        return super().restore_from_session({**state, "__name__": "Wandering"})


def an_agent(manager: Any, *replies: Any, **options: Any) -> Agent:
    options = {"conversation_manager": SlidingWindowConversationManager(window_size=4), **options}
    return Agent(
        model=FakeModel(replies),
        session_manager=manager,
        tools=[delete],
        callback_handler=None,
        agent_id="default",
        **options,
    )


def all_of(agent: Agent) -> dict[str, Any]:
    return agent.take_snapshot(preset="session").data


async def stored(sessions: Sessions) -> list[Any]:
    manager = sessions()
    await manager.open()
    records = (await manager._calls.run(manager._slot.require().read())).records
    await manager.close()
    return list(records)


def a_node(name: str, model: FakeModel, *hooks: Any) -> Agent:
    return Agent(name=name, agent_id=name, model=model, callback_handler=None, tools=[delete], hooks=list(hooks))


def a_swarm(manager: Any, first: FakeModel, second: FakeModel, *hooks: Any) -> Any:
    first._replies.insert(0, tool_call("handoff_to_agent", "h", agent_name="second", message="Go on"))
    return Swarm([a_node("first", first), a_node("second", second, *hooks)], session_manager=manager)


def another(build: Any, manager: Any) -> Any:
    """One of other nodes, under the same default id."""
    if build is a_swarm:
        return Swarm([a_node("third", FakeModel())], session_manager=manager)
    builder = GraphBuilder()
    builder.add_node(a_node("third", FakeModel()), "third")
    builder.set_session_manager(manager)
    builder.set_max_node_executions(5)
    return builder.build()
