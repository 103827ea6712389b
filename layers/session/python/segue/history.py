"""What a session's records add up to: each agent's messages, state and the rest.

Kinds of records, and the shape of their ``data``:

    agent        {"class": …, "name": …}                         an agent entered the session
    message      {"message": …, "before": <tracking id>?}        a message, at the end or before a later one
    update       {"message": …}                                  replaces the message with its tracking id
    redact       {"message": …}                                  the same, and the old content must go
    window       {"keep": [<tracking id>, …]}                    the agent's history is now these messages
    state        {…}                                             the agent's whole state
    prompt       [{"text": …}, …] or null                        its system prompt
    internal     {"conversation_manager_state": …, …, "pause"?}  what else Strands keeps of an ``Agent`` (see pauses.py)
    tool         {"tool_use_id", "name", "phase", "status"?, "ms"?}
    connection   {"provider", "model_id", "audio", "restarts", "handle"?, …}
    multi_agent  {"id": …, "state": …}                           a Graph's or Swarm's state
    input        null                                            only that a client's input has been dealt with
    rewind       {"to": <record>}                                everything is again as it was then

A streamed message is recorded when it is complete, not when it begins: ``before`` puts it where it began.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from strands.types.session import decode_bytes_values

from segue.errors import JournalCorrupt
from segue.records import Record
from segue.redaction import replaced

Message = dict[str, Any]
"""A Strands message; kept as the plain dictionary it is."""


@dataclass(slots=True)
class AgentHistory:
    """One agent, as the records leave it.

    Attributes:
        messages: Its messages in order, as they were recorded.
        numbers: For each message's tracking id, the record that last determined it.
        state: Its state.
        system_prompt: Its system prompt as content blocks, None if it never had one.
        internal: Further Strands state of an ``Agent``.
        tools: Every tool run by tool use id, in order of their first start: what its records say, and
            ``started_at`` and ``ended_at`` in milliseconds since 1970. One without ``status`` was under way.
        connection: The latest connection record.
        earlier: While records are added up, the messages of earlier windows by tracking id. Earlier versions of Segue
            wrote windows that keep such messages without recording them again.
    """

    messages: list[Message] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    system_prompt: list[dict[str, Any]] | None = None
    internal: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    earlier: dict[str, Message] = field(default_factory=dict, repr=False)

    def copy(self) -> AgentHistory:
        """Return what further records will not change. What is replaced as a whole is shared."""
        return replace(
            self,
            messages=list(self.messages),
            numbers=dict(self.numbers),
            tools=dict(self.tools),
            earlier=dict(self.earlier),
        )

    def index(self, tracking_id: str) -> int | None:
        """Find a message, newest first."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].get("tracking_id") == tracking_id:
                return index
        return None

    def replace(self, message: Message, *, everywhere: bool) -> bool:
        """Put a message in the place of the newest one with its tracking id, or of all; False if there is none."""
        tracking_id = message.get("tracking_id", "")
        known = tracking_id in self.earlier
        if known:
            self.earlier[tracking_id] = message
        newest = self.index(tracking_id)
        if newest is None:
            return known
        self.messages[newest] = message
        if everywhere:
            self.messages = [message if old.get("tracking_id") == tracking_id else old for old in self.messages]
        return True


@dataclass(slots=True)
class History:
    """A whole session, as the records leave it."""

    agents: dict[str, AgentHistory] = field(default_factory=dict)
    multi_agents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def copy(self) -> History:
        """Return what further records will not change."""
        return History({name: agent.copy() for name, agent in self.agents.items()}, dict(self.multi_agents))


def fold(records: Sequence[Record], upto: int | None = None, *, binary: bool = True) -> History:
    """Add records up.

    Args:
        records: All records of a session, or its first ones.
        upto: Use only so many of them: the session as it was at that point.
        binary: Whether a record may hold encoded bytes. If none does, what is returned shares its data.

    Raises:
        JournalCorrupt: A record contradicts the ones before it, or has not the shape of its kind.
    """
    records = records[:upto]
    history, kept = History(), dict[int, History]()
    last_use = {_target(number, record): number for number, record in enumerate(records) if record.kind == "rewind"}
    for number, record in enumerate(records):
        if number in last_use:
            kept[number] = history.copy()
        try:
            if record.kind == "rewind":
                target = _target(number, record)
                history = _rewound(history, kept.pop(target) if last_use[target] == number else kept[target].copy())
            elif record.kind == "multi_agent":
                history.multi_agents[record.data["id"]] = _decoded(record.data["state"], binary=binary)
            elif record.kind != "input":
                _apply(history.agents.setdefault(record.agent, AgentHistory()), number, record, binary=binary)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _not_one(number, record, error) from error
    for agent in history.agents.values():
        agent.earlier = {}
    return history


def _target(number: int, record: Record) -> int:
    """How many records a rewind goes back to."""
    try:
        return min(operator.index(record.data["to"]), number)
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_one(number, record, error) from error


def _not_one(number: int, record: Record, error: Exception) -> JournalCorrupt:
    return JournalCorrupt(f"record {number}", f"not a {record.kind!r} record ({error!r})")


def _rewound(left: History, history: History) -> History:
    """Keep where the messages are that are not shown any more: they can still be redacted, and come back."""
    for agent_id, agent in left.agents.items():
        entered = history.agents.setdefault(agent_id, AgentHistory())
        entered.numbers = {**agent.numbers, **entered.numbers}
        entered.earlier = {**entered.earlier, **agent.earlier, **_by_id(agent.messages)}
    return history


def _by_id(messages: Iterable[Message]) -> dict[str, Message]:
    return {message.get("tracking_id", ""): message for message in messages}


def _decoded(data: Any, *, binary: bool) -> Any:
    return decode_bytes_values(data) if binary else data


def _apply(agent: AgentHistory, number: int, record: Record, *, binary: bool = True) -> None:  # noqa: C901 - a table would hide the shapes
    data = _decoded(record.data, binary=binary)
    match record.kind:
        case "message":
            _insert(agent, data["message"], data.get("before"))
            agent.numbers[data["message"].get("tracking_id", "")] = number
        case "update" | "redact":
            # A prompt that was tried again is in the history twice, and neither may show redacted content.
            if agent.replace(data["message"], everywhere=record.kind == "redact"):
                agent.numbers[data["message"].get("tracking_id", "")] = number
            if record.kind == "redact":
                agent.internal = replaced(agent.internal, {data["message"].get("tracking_id", ""): data["message"]})
        case "window":
            known = _by_id(agent.messages)
            known |= {back: agent.earlier[back] for back in data["keep"] if back not in known and back in agent.earlier}
            missing = [tracking_id for tracking_id in data["keep"] if tracking_id not in known]
            if missing:
                raise JournalCorrupt(f"record {number}", f"keeps messages that were never recorded: {missing[:3]}")
            agent.messages = [known[tracking_id] for tracking_id in data["keep"]]
            agent.earlier |= known
        case "state":
            agent.state = data
        case "prompt":
            agent.system_prompt = data
        case "internal":
            agent.internal = data
        case "tool":
            before = {} if data["phase"] == "started" else agent.tools.get(data["tool_use_id"], {})
            when = {"started_at" if data["phase"] == "started" else "ended_at": record.at}
            agent.tools[data["tool_use_id"]] = {**before, **data, **when}  # what is tried again is under way again
        case "connection":
            agent.connection = data
        case _:  # "agent", and kinds of a later minor version: they name what an older reader can do without
            pass


def _insert(agent: AgentHistory, message: Message, before: str | None) -> None:
    index = None if before is None else agent.index(before)
    if index is None:
        agent.messages.append(message)
    else:
        agent.messages.insert(index, message)


def under_way(tools: dict[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The tool runs that began and, for all the records say, never ended."""
    return (run for run in tools.values() if "status" not in run)
