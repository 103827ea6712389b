"""Agents, Graphs and Swarms that only carry what a session has from one manager to another, and are never run.

They accept any session's content and return it unchanged: which model, tools and conversation manager the
real agent has is not known where a history is moved.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

from strands.agent.agent import Agent
from strands.agent.conversation_manager import ConversationManager
from strands.bidi.agent import BidiAgent
from strands.bidi.models import BidiModel
from strands.hooks.registry import HookOrder, HookRegistry
from strands.multiagent.base import MultiAgentBase
from strands.session.session_manager import SessionManager

from segue.strands.private import Snapshot


class _NoModel(BidiModel):
    """A model that is never called, for agents of both kinds."""

    def update_config(self, **model_config: Any) -> None:
        """Nothing to configure."""

    def get_config(self) -> dict[str, Any]:
        """Return a configuration that names no model."""
        return {"model_id": "none"}

    async def start(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise RuntimeError("this agent only carries a history: it cannot be run")

    async def stop(self) -> None:
        """Do nothing: nothing was started."""

    def receive(self) -> AsyncIterator[Any]:
        """Refuse."""
        raise RuntimeError("this agent only carries a history: it cannot be run")

    async def send(self, _content: Any) -> NoReturn:
        """Refuse."""
        raise RuntimeError("this agent only carries a history: it cannot be run")


class CarryingConversationManager(ConversationManager):
    """Conversation manager that keeps any other's state as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, Any] = {}

    def restore_from_session(self, state: dict[str, Any]) -> list[Any] | None:
        """Keep the state, whichever manager's it is; a summary goes in front of the messages, as Strands has it."""
        self._state = dict(state)
        self.removed_message_count = state.get("removed_message_count", 0)
        summary = state.get("summary_message")
        return [summary] if summary else None

    def get_state(self) -> dict[str, Any]:
        """Return the state that was kept."""
        return self._state

    def apply_management(self, agent: Agent, **kwargs: Any) -> None:
        """Do nothing: the agent is never run."""

    def reduce_context(self, agent: Agent, e: Exception | None = None, **kwargs: Any) -> None:
        """Do nothing: the agent is never run."""


class CarryingAgent(Agent):
    """An ``Agent`` that keeps the snapshot that it was restored from."""

    restored: dict[str, Any] | None = None

    def load_snapshot(self, snapshot: Snapshot) -> None:
        """Restore."""
        super().load_snapshot(snapshot)
        self.restored = snapshot.data


class CarryingBidiAgent(BidiAgent):
    """A ``BidiAgent`` that keeps the snapshot that it was restored from."""

    restored: dict[str, Any] | None = None

    def load_snapshot(self, snapshot: Snapshot) -> None:
        """Restore."""
        super().load_snapshot(snapshot)
        self.restored = snapshot.data


class CarryingMultiAgent(MultiAgentBase):
    """A Graph or Swarm that has a state and no nodes.

    Attributes:
        id: Its id.
        state: What it was restored from, or is to be kept of it; None for nothing.
        hooks: What a session manager has registered with it.
    """

    def __init__(self, multi_agent_id: str, state: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.id = multi_agent_id
        self.state = state
        self.hooks = HookRegistry()

    def add_hook(self, callback: Any, event_type: Any = None, *, order: float = HookOrder.DEFAULT) -> None:
        """Register a callback."""
        self.hooks.add_callback(event_type, callback, order=order)

    def serialize_state(self) -> dict[str, Any]:
        """Return the state."""
        return self.state or {}

    def deserialize_state(self, payload: dict[str, Any]) -> None:
        """Restore."""
        self.state = payload

    async def invoke_async(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise RuntimeError("this Graph or Swarm only carries a state: it cannot be run")


def carrying_agent(agent_id: str, manager: SessionManager[Any] | None = None) -> CarryingAgent:
    """Make a carrying ``Agent``; its session manager, if it is given one, restores it."""
    return CarryingAgent(
        model=_NoModel(),
        agent_id=agent_id,
        session_manager=manager,
        conversation_manager=CarryingConversationManager(),
        callback_handler=None,
    )


def carrying_bidi_agent(agent_id: str, manager: SessionManager[Any]) -> CarryingBidiAgent:
    """Make a carrying ``BidiAgent``; its session manager restores it."""
    return CarryingBidiAgent(model=_NoModel(), agent_id=agent_id, session_manager=manager)
