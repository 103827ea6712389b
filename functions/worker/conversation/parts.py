"""The parts of one conversation, wired to each other once.

    clients ─▶ input ─▶ agent ─▶ output ─▶ audience ─▶ clients
                 └──────┬─────────┴──────────┘
                 session manager, held by ``hold``; ``turn`` follows the turns

Nothing runs yet: ``worker.conversation.session`` starts what is wired here, and ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from strands.bidi import BidiAgent

from worker.conversation.audience import Audience
from worker.conversation.input.feed import InputFeed
from worker.conversation.lease_hold import Hold
from worker.conversation.model_start import ModelStart
from worker.conversation.outbox import Posters
from worker.conversation.output import Output
from worker.conversation.session_manager import Manager
from worker.conversation.turn_boundary import TurnBoundary
from worker.telemetry.tracing import TurnTraces


@dataclass(frozen=True, slots=True)
class ConversationParts:
    """One conversation's parts.

    Attributes:
        manager: The session's manager, opened.
        model_start: Of the agent that was built with it. It may be started already.
        hold: The right to send frames, and its release.
        turn: Where the conversation is between turns.
        audience: The clients.
        output: From the agent to the clients.
        input: From the clients to the agent.
    """

    manager: Manager
    model_start: ModelStart
    hold: Hold
    turn: TurnBoundary
    audience: Audience
    output: Output
    input: InputFeed

    @classmethod
    def wire(cls, manager: Manager, model_start: ModelStart, connections: Posters) -> ConversationParts:
        """Make the parts of a session that was opened.

        Args:
            manager: The session's manager, opened.
            model_start: Of the agent that was built with it.
            connections: What posts to clients.
        """
        agent = model_start.agent
        hold = Hold(manager, agent)
        turn = TurnBoundary(TurnTraces(manager.session_key, manager.epoch))
        audience = Audience(manager.epoch, connections.of_session(manager.session_key, manager.epoch), hold.may_speak)
        output = Output(manager, agent, audience, turn.traces)
        return cls(manager, model_start, hold, turn, audience, output, InputFeed(manager, agent, turn, output))

    @property
    def agent(self) -> BidiAgent:
        """The agent."""
        return self.model_start.agent
