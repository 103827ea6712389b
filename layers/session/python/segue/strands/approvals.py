"""Approvals for an ``Agent`` that an interrupt has stopped, while a session manager has it.

``segue.history.approvals`` describes the records. Each is made together with the agent's inner state, in one append.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from strands.agent.agent import Agent

from segue.history.approvals import (
    DENIAL,
    DENIED,
    KIND,
    NO_INTERRUPTS,
    RecordedApproval,
    approval,
    latest_of,
    open_of,
    resumption,
    unanswered,
    waiting_tools,
    with_responses,
)
from segue.journal.redaction import without_reasons
from segue.session.weak_references import WeakAgent
from segue.strands.private import SNAPSHOT_SCHEMA_VERSION, Snapshot, resume_own_message

Inputs = tuple[str, tuple[int, ...]] | None
"""A client and its inputs, whose effect a record is."""

MOST_SECONDS = 100 * 365 * 86_400
"""Seconds that an approval may be open, at most: until then there are calendars to show it in."""

Record = Callable[[str, Any, Inputs, dict[str, Any] | None], tuple[int, int]]


class Approvals:
    """The approvals of one agent.

    Attributes:
        records: Requests to people, and their outcomes, in order.
    """

    def __init__(self, agent: WeakAgent, records: Sequence[RecordedApproval], record: Record) -> None:
        """Begin with the approvals of the session.

        Args:
            agent: The agent, which is not kept alive.
            records: What was recorded of it.
            record: Records a kind with its data and inputs, together with the agent's inner state and with a message
                that it adds to the agent's; returns the record's number, and when it was made.
        """
        self.records = list(records)
        self._weak = agent
        self._record = record

    @property
    def open(self) -> RecordedApproval | None:
        """The latest request, if nothing has closed it."""
        return open_of(self.records)

    @property
    def told(self) -> list[RecordedApproval]:
        """The approvals that clients are told of, in order."""
        return [one for one in self.records if one.status != "refused"]

    @property
    def unanswered(self) -> dict[str, str]:
        """The names of the interrupts that wait for a response, by their ids; none if the agent does not wait."""
        return unanswered(self._state)

    @property
    def waiting_tools(self) -> list[Mapping[str, Any]]:
        """The tool uses that do not run before the interrupts are answered."""
        return waiting_tools(self._state)

    @property
    def resumption(self) -> list[Any] | None:
        """Return the input that resumes an agent whose interrupts have their responses; None if it does not wait."""
        state = self._state
        return resumption(state) if state.get("activated") else None

    @property
    def denial(self) -> str | None:
        """Return the reason why waiting tools must not run when the agent is resumed; None if they may."""
        latest, state = latest_of(self.records), self._state
        if latest is None or latest.status not in DENIED or not latest.names.keys() <= state["interrupts"].keys():
            return None
        return latest.why if waiting_tools(state) else None

    def ask(self, seconds: float) -> RecordedApproval:
        """Queue a request for all interrupts that the agent waits for.

        Args:
            seconds: How long they may answer: ``MOST_SECONDS`` at most.

        Raises:
            ValueError: That is no time.
        """
        limit: Any = seconds
        if not isinstance(limit, int | float) or not 0 <= limit <= MOST_SECONDS:
            raise ValueError(
                f"{seconds!r} seconds for an approval: 0 at least, and {MOST_SECONDS:,} (100 years) at most"
            )
        return self._add({"status": "asked", "requests": self.unanswered, "seconds": seconds}, None)

    def answer(self, responses: Mapping[str, Any], inputs: Inputs = None) -> RecordedApproval:
        """Queue the answer to the open request, and give the agent the responses. Resume it after this.

        Args:
            responses: For each interrupt that waits, by its id; not None.
            inputs: The client's input that the answer is.
        """
        self._put(with_responses(self._state, responses))
        return self._add(self._closing("answered", None), inputs)

    def deny(self, status: str, why: str) -> RecordedApproval:
        """Queue the denial of all that the agent waits for.

        If tools wait, resume the agent: ``denial`` is their result. If none do, there is nothing to cancel, and nothing
        to judge a denial but the code that asks: the agent's turn ends here, with ``why`` as its answer.

        Args:
            status: "denied" or "expired".
            why: In words, for people and for the model.
        """
        state = self._state
        closing = self._closing(status, why)
        if waiting_tools(state):
            self._put(with_responses(state, dict.fromkeys(unanswered(state), DENIAL)))
            return self._add(closing, None)
        self._put(NO_INTERRUPTS)
        answer = {"role": "assistant", "content": [{"text": why}], "tracking_id": str(uuid.uuid4())}
        return self._add(closing, None, answer)

    def withdraw(self, why: str) -> RecordedApproval:
        """Queue the withdrawal of the open request."""
        return self._add(self._closing("withdrawn", why), None)

    def refuse(self, code: str, inputs: Inputs) -> None:
        """Queue the refusal of a client's input that came at the wrong moment: its number and its code are kept."""
        self._add({"status": "refused", "code": code}, inputs)

    def refusal_of(self, client_id: str, seq: int) -> str | None:
        """Return the code with which an input was refused; None if it was not."""
        given = (one for one in self.records if one.status == "refused" and one.inputs is not None)
        return next((one.code for one in given if one.inputs == (client_id, (seq,))), None)

    def redact(self, tracking_id: str) -> None:
        """Remove a message's content from the requests about its tools."""
        self.records = [one.redacted(tracking_id) for one in self.records]
        state = self._state
        if (without := without_reasons(state, {tracking_id})) != state:
            self._put(without)

    @property
    def _state(self) -> dict[str, Any]:
        agent = self._weak.agent
        if not isinstance(agent, Agent):
            return NO_INTERRUPTS
        state: dict[str, Any] = agent.take_snapshot(include=["interrupt_state"]).data["interrupt_state"]
        return state

    def _put(self, state: Mapping[str, Any]) -> None:
        """Put the agent into another interrupt state."""
        agent = self._weak.agent
        if not isinstance(agent, Agent):
            raise TypeError(f"agent {agent.agent_id!r} is no Agent: only an Agent waits for approvals")
        data = {"interrupt_state": dict(state)}
        snapshot = Snapshot(scope="agent", schema_version=SNAPSHOT_SCHEMA_VERSION, data=data, app_data={})
        agent.load_snapshot(snapshot)
        resume_own_message(agent)

    def _closing(self, status: str, why: str | None) -> dict[str, Any]:
        asked, interrupts = self.open, self._state["interrupts"]
        names = dict(asked.names) if asked else {one: interrupt["name"] for one, interrupt in interrupts.items()}
        closing: dict[str, Any] = {"status": status, "requests": names}
        closing |= {"of": asked.number} if asked else {}
        return closing | ({"why": why} if why else {})

    def _add(self, data: dict[str, Any], inputs: Inputs, message: dict[str, Any] | None = None) -> RecordedApproval:
        number, at = self._record(KIND, data, inputs, message)
        self.records.append(made := approval(number, at, data, inputs, {"interrupt_state": self._state}))
        return made
