"""The approvals of a turn's agent: their state, and the next step.

    interrupted ─▶ UNASKED ─┬─ its client can answer ──▶ asked ─▶ OPEN ─┬─ an answer ───────────▶ DECIDED ─▶ resumed
                            │                                           └─ its time is over ─▶ OVERDUE
                            └─ it cannot, or too much is asked ──▶ denied ─▶ DECIDED ◀── expired ──┘

Where it stands is read from the agent's own state and from the session's records, so a turn that comes again after a
crash anywhere, or another one, goes on from what is durable. See docs/rfcs/0012-approvals.md.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from segue.history.approvals import RecordedApproval
from segue.strands.approvals import Approvals
from segue.wire.frames import MAX_APPROVALS, AnswerInput

CANNOT_ANSWER: Final = "The tool was not run: it needs an approval, and this client cannot give one."
TOO_MANY: Final = f"The tool was not run: more than {MAX_APPROVALS} approvals were asked for at a time."
EXPIRED: Final = "The tool was not run: it needs an approval, and none came within {seconds:g} seconds."
FAILED: Final = "The tool was not run: what decides about its approval has failed."
"""Results of tools that do not run, for the model and for people."""

GONE_ON: Final = "The session went on without an answer."


class Step(Enum):
    """The next step for a turn's approvals."""

    NOTHING = auto()
    """The agent does not wait."""
    UNASKED = auto()
    OPEN = auto()
    OVERDUE = auto()
    DECIDED = auto()


class TurnApprovals:
    """Approvals of one turn's agent."""

    def __init__(self, approvals: Approvals, seconds: float, wall_clock: Callable[[], float]) -> None:
        """Look at an agent.

        Args:
            approvals: What is asked for it.
            seconds: How long people may answer.
            wall_clock: Seconds since 1970.
        """
        self.approvals = approvals
        self._seconds = seconds
        self._wall_clock = wall_clock

    @property
    def step(self) -> Step:
        """The next step."""
        approvals, unanswered = self.approvals, self.approvals.unanswered
        if approvals.resumption is None:
            return Step.NOTHING
        if not unanswered:
            return Step.DECIDED
        asked = approvals.open
        if asked is None or asked.names.keys() != unanswered.keys():
            return Step.UNASKED
        return Step.OVERDUE if asked.until <= self._wall_clock() else Step.OPEN

    def tidy(self) -> bool:
        """Close what was asked and is not waited for any more, because a program went on with the agent by itself."""
        asked = self.approvals.open
        if asked is None or asked.names.keys() == self.approvals.unanswered.keys():
            return False
        self.approvals.withdraw(GONE_ON)
        return True

    def ask(self, *, can_answer: bool) -> RecordedApproval:
        """Ask people, or deny what would be asked."""
        if len(self.approvals.unanswered) > MAX_APPROVALS:
            return self.approvals.deny("denied", TOO_MANY)
        if not can_answer:
            return self.approvals.deny("denied", CANNOT_ANSWER)
        return self.approvals.ask(self._seconds)

    def expire(self) -> RecordedApproval:
        """Deny what was not answered in time."""
        asked = self.approvals.open
        return self.approvals.deny("expired", EXPIRED.format(seconds=asked.seconds if asked else self._seconds))

    def give_up(self) -> None:
        """Deny what was answered in a way that the agent's code cannot do with."""
        self.approvals.deny("denied", FAILED)

    def refusal_of(self, frame: AnswerInput) -> str | None:
        """The code with which an answer is refused; None if it is one to what is open."""
        asked = self.approvals.open
        if self.step is not Step.OPEN or asked is None or asked.number != frame.approval:
            return "approval_closed"
        named = [response.id for response in frame.responses]
        return None if sorted(named) == sorted(asked.names) else "bad_answer"

    def answer(self, frame: AnswerInput, client_id: str) -> None:
        """Take an answer that is not refused."""
        responses = {response.id: response.response for response in frame.responses}
        self.approvals.answer(responses, None if frame.seq is None else (client_id, (frame.seq,)))
