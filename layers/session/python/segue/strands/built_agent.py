"""An agent as it was built, and Strands' own state of it, besides its messages and its state.

Nothing here records anything: see ``segue.strands.recording.recorder``.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from strands.agent.agent import Agent
from strands.agent.conversation_manager import ConversationManager
from strands.types.agent import LocalAgent

from segue.history.agent_history import AgentHistory
from segue.history.approvals import without_unasked
from segue.history.messages import OwnMessages, copy_of
from segue.history.pauses import FitHistory
from segue.journal.message_shape import Message, replaced
from segue.strands.private import (
    SNAPSHOT_SCHEMA_VERSION,
    Snapshot,
    invocations_of,
    is_started,
    see_that_no_task_is_tracked,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AgentAsBuilt:
    """An agent as it was built, before anything was restored.

    Attributes:
        internal: Strands' state of an ``Agent`` besides its messages and state.
        prompt: Its system prompt as content blocks.
    """

    internal: dict[str, Any]
    prompt: Any

    @classmethod
    def now(cls, agent: LocalAgent) -> AgentAsBuilt:
        """Copy the parts of an agent that a rewind may have to bring back."""
        internal = copy.deepcopy(internal_of(agent)) if isinstance(agent, Agent) else {}
        return cls(internal, copy.deepcopy(agent.system_prompt_content))

    def load_into(
        self, agent: LocalAgent, fit: FitHistory, stored: AgentHistory, *, with_prompt: bool, from_scratch: bool
    ) -> None:
        """Give an agent what its session has, through Strands' own snapshot schema.

        Args:
            agent: The agent.
            fit: What the session has, fit to use, in dictionaries that the agent may keep.
            stored: The same as it was recorded.
            with_prompt: Whether the system prompt is restored, too.
            from_scratch: Whether what the session has not is as it was when the agent was built. Otherwise it is left
                as it is.
        """
        data: dict[str, Any] = {"messages": OwnMessages(fit.messages), "state": stored.state}
        if with_prompt and (stored.system_prompt is not None or from_scratch):
            data["system_prompt"] = self.prompt if stored.system_prompt is None else stored.system_prompt
        if isinstance(agent, Agent):
            data |= (self.internal if from_scratch else {}) | copy_of(fit.internal)
            if (manager_state := data.get("conversation_manager_state")) is not None:
                data["conversation_manager_state"] = accepted_by(agent.conversation_manager, manager_state)
        agent.load_snapshot(Snapshot(scope="agent", schema_version=SNAPSHOT_SCHEMA_VERSION, data=data, app_data={}))


def internal_of(agent: Agent) -> dict[str, Any]:
    """Return Strands' state of an ``Agent`` besides its messages and state."""
    data = agent.take_snapshot(include=["conversation_manager_state", "interrupt_state", "model_state"]).data
    return {**data, "interrupt_state": without_unasked(data["interrupt_state"])}


def accepted_by(manager: ConversationManager, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state that a conversation manager takes: its own, or what is left of its predecessor's.

    A redeploy may change an agent's conversation manager. What the predecessor took out of the history stays out; the
    rest of its state means nothing to another class, unless that says itself that it takes it.
    """
    own = copy.deepcopy(manager.get_state())
    if state.get("__name__") == own.get("__name__"):
        return state
    try:
        manager.restore_from_session(copy.deepcopy(state))
    except Exception:  # noqa: BLE001 - it may refuse by any error
        dropped = sorted(state.keys() - {"__name__", "removed_message_count"})
        logger.info(
            "another conversation manager goes on, state of the former dropped",
            extra={"former": state.get("__name__"), "now": own.get("__name__"), "dropped": ",".join(dropped)},
        )
        return {**own, "removed_message_count": state.get("removed_message_count", 0)}
    return state


def replace_in_summary(manager: ConversationManager, message: Message) -> None:
    """Put a redacted message in the place of itself in a conversation manager's state, if it has it there."""
    kept = manager.get_state()
    without = replaced(kept, {message["tracking_id"]: message})
    if without != kept:
        manager.restore_from_session(without)


@contextmanager
def without_turns(agent: LocalAgent, *, in_turn: bool) -> Iterator[None]:
    """Check that nothing runs in an agent that relies on its present history.

    No turn of an ``Agent`` begins meanwhile.

    Args:
        agent: The agent.
        in_turn: Whether hooks say that a turn runs: Strands knows it only of agents that take one turn at a time.

    Raises:
        RuntimeError: The agent is started, in a turn, or has tools that run in the background.
    """
    name = f"agent {agent.agent_id!r}"
    if is_started(agent):
        raise RuntimeError(f"{name} is started: stop it before its session is rewound")
    if not isinstance(agent, Agent):
        yield
        return
    invocations = invocations_of(agent)
    if in_turn or not invocations.try_acquire():
        raise RuntimeError(f"{name} is in the middle of a turn: let that end before its session is rewound")
    try:
        try:
            see_that_no_task_is_tracked(agent)
        except RuntimeError as error:
            raise RuntimeError(f"{name} has background tasks: let them end before its session is rewound") from error
        yield
    finally:
        invocations.release()
