"""Approvals: what an ``Agent`` that an interrupt has stopped asks people, and what became of it, as records.

    approval   {"status": "asked", "requests": {<interrupt id>: <name>, …}, "seconds": …}
               {"status": "answered" | "denied" | "expired" | "withdrawn", "requests": …, "of": <record>?, "why": …?}
               {"status": "refused", "code": …}    an input that came at the wrong moment has this for its effect

What is asked, and later the responses, are in Strands' own interrupt state, an ``internal`` record, and in these
records are names only: so a redaction need not look here, and an earlier version, which ignores them, loses nothing.

Responses are put into the interrupt state in the same append as the record that tells of them:

    waits, asked ──▶ all responses there, answered ──▶ the agent is resumed with them ──▶ does not wait
                                      a crash here is gone on from ┘

So whether an agent waits is said by its state alone, and these records say only what people were told.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from segue.journal.records import Record

if TYPE_CHECKING:
    from segue.history.agent_history import AgentHistory

KIND = "approval"

NO_INTERRUPTS: dict[str, Any] = {"interrupts": {}, "context": {}, "activated": False}
"""Strands' interrupt state of an agent that does not wait."""

DENIED: frozenset[str] = frozenset({"denied", "expired"})
"""Statuses after which what waits must not run."""

DENIAL = "denied"
"""The response to an interrupt that is not answered. Its tools are cancelled, with any code of the agent's."""


@dataclass(frozen=True, slots=True)
class RecordedApproval:
    """One ``approval`` record, with what it is about.

    Attributes:
        number: Of the record.
        at: When it was made, in milliseconds since 1970.
        status: See above.
        names: The names of the interrupts that it is about, by their ids.
        requests: Of one that was asked, those interrupts: ``id``, ``name``, ``reason``, and ``tool_use_id`` if it is
            about a tool use.
        tools: Of one that was asked, the tool uses that wait.
        message: Of one that was asked, the tracking id of the message with those.
        seconds: Of one that was asked, how long it may be answered.
        of: Of one that closes another, the number of that.
        why: In words, why it was closed.
        code: Of one that was refused, the protocol's code.
        inputs: The client and the input that it is the effect of.
    """

    number: int
    at: int
    status: str
    names: Mapping[str, str] = field(default_factory=dict)
    requests: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    message: str | None = None
    seconds: float = 0.0
    of: int | None = None
    why: str | None = None
    code: str | None = None
    inputs: tuple[str, tuple[int, ...]] | None = None

    @property
    def until(self) -> float:
        """Time until which the approval may be answered, in seconds since 1970."""
        return self.at / 1000 + self.seconds

    def redacted(self, tracking_id: str) -> RecordedApproval:
        """Return it without content of a message."""
        if tracking_id != self.message:
            return self
        requests = tuple({**request, "reason": None} for request in self.requests)
        return replace(self, requests=requests, tools=tuple({**tool, "input": {}} for tool in self.tools))


def approval(
    number: int,
    at: int,
    data: Mapping[str, Any],
    inputs: tuple[str, tuple[int, ...]] | None,
    internal: Mapping[str, Any],
) -> RecordedApproval:
    """Read an ``approval`` record.

    Args:
        number: Its number.
        at: When it was made.
        data: What it says.
        inputs: What it is the effect of.
        internal: What was recorded of the agent's inner state before it.
    """
    names = dict(data.get("requests") or {})
    made = RecordedApproval(
        number=number,
        at=at,
        status=data["status"],
        names=names,
        seconds=float(data.get("seconds") or 0.0),
        of=data.get("of"),
        why=data.get("why"),
        code=data.get("code"),
        inputs=inputs,
    )
    if made.status != "asked":
        return made
    state = internal.get("interrupt_state") or {}
    tools = tuple(waiting_tools(state))
    message = ((state.get("pending_tool_execution") or {}).get("assistant_message") or {}).get("tracking_id")
    uses = [tool["toolUseId"] for tool in tools]
    requests = tuple(_request(one, name, state, uses) for one, name in names.items())
    return replace(made, requests=requests, tools=tools, message=message)


def _request(interrupt_id: str, name: str, state: Mapping[str, Any], uses: Collection[str]) -> dict[str, Any]:
    interrupt = (state.get("interrupts") or {}).get(interrupt_id) or {}
    about = next((use for use in uses if str(use) in interrupt_id.split(":")), None)
    return {"id": interrupt_id, "name": name, "reason": interrupt.get("reason"), "tool_use_id": about}


def open_of(approvals: Sequence[RecordedApproval]) -> RecordedApproval | None:
    """The approval that was asked last, if nothing has closed it."""
    latest = latest_of(approvals)
    return latest if latest is not None and latest.status == "asked" else None


def latest_of(approvals: Sequence[RecordedApproval]) -> RecordedApproval | None:
    """The newest record that says something about an approval, and not about an input."""
    return next((one for one in reversed(approvals) if one.status != "refused"), None)


def unanswered(state: Mapping[str, Any]) -> dict[str, str]:
    """The names of the interrupts that wait for a response, by their ids; none if the agent does not wait."""
    interrupts = state.get("interrupts") or {}
    if not state.get("activated"):
        return {}
    return {one: interrupt["name"] for one, interrupt in interrupts.items() if interrupt.get("response") is None}


def without_unasked(state: dict[str, Any]) -> dict[str, Any]:
    """Return an interrupt state without interrupts of a turn that is still under way.

    No person was asked yet. Restored they would mean nothing, and they do not say which message they are about, so that
    a redaction of that would not find what they repeat of it.
    """
    if state.get("activated"):
        return state
    interrupts = {one: kept for one, kept in state["interrupts"].items() if kept.get("response") is not None}
    return {**state, "interrupts": interrupts}


def waiting_tools(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tool uses that do not run before the interrupts are answered."""
    pending = state.get("pending_tool_execution") or {}
    done = {result["toolUseId"] for result in pending.get("completed_tool_results") or ()}
    content = (pending.get("assistant_message") or {}).get("content") or ()
    uses = (block["toolUse"] for block in content if "toolUse" in block)
    return [use for use in uses if use["toolUseId"] not in done]


def with_responses(state: Mapping[str, Any], responses: Mapping[str, Any]) -> dict[str, Any]:
    """Return an interrupt state in which interrupts have their responses."""
    interrupts = state["interrupts"]
    answered = {one: {**interrupts[one], "response": response} for one, response in responses.items()}
    return {**state, "interrupts": {**interrupts, **answered}}


def resumption(state: Mapping[str, Any]) -> list[Any]:
    """Return the input that resumes an agent whose interrupts all have their responses."""
    interrupts = (state.get("interrupts") or {}).items()
    return [
        {"interruptResponse": {"interruptId": one, "response": interrupt["response"]}}
        for one, interrupt in interrupts
        if interrupt.get("response") is not None
    ]


def denied_results(state: Mapping[str, Any], why: str) -> dict[str, Any] | None:
    """The results of the tools that an interrupt has stopped, as a message; None if it has stopped none.

    Args:
        state: Strands' interrupt state.
        why: The result of those that have not run.
    """
    waiting = waiting_tools(state)
    if not waiting:
        return None
    done = (state.get("pending_tool_execution") or {}).get("completed_tool_results") or ()
    results = [
        *done,
        *({"toolUseId": use["toolUseId"], "status": "error", "content": [{"text": why}]} for use in waiting),
    ]
    content = [{"toolResult": result} for result in results]
    return {"role": "user", "content": content, "tracking_id": str(uuid.uuid4())}


def denials(agent_id: str, stored: AgentHistory, why: str) -> list[Record]:
    """The records by which what an agent waits for is denied, without the agent; none if it waits for nothing."""
    state = stored.internal.get("interrupt_state") or {}
    names = unanswered(state)
    if not names:
        return []
    asked = open_of(stored.approvals)
    told: dict[str, Any] = {"status": "denied", "requests": dict(asked.names if asked else names), "why": why}
    if asked is not None:
        told["of"] = asked.number
    kinds: list[tuple[str, Any]] = [("internal", {**stored.internal, "interrupt_state": NO_INTERRUPTS}), (KIND, told)]
    if (results := denied_results(state, why)) is not None:
        kinds.insert(0, ("message", {"message": results}))
    at = int(time.time() * 1000)
    return [Record(kind=kind, data=data, agent=agent_id, at=at) for kind, data in kinds]
