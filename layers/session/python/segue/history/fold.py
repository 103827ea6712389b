"""Folding of a session's records into its history: each agent's messages, state and the rest.

Kinds of records, and the shape of their ``data``:

    agent        {"class": …, "name": …}                         an agent entered the session
    message      {"message": …, "before": <tracking id>?}        a message, at the end or before a later one
    update       {"message": …}                                  replaces the message with its tracking id
    redact       {"message": …}                                  the same, and the old content must go
    window       {"keep": [<tracking id>, …]}                    the agent's history is now these messages
                 {"drop": [<tracking id>, …]}                    or all but these (docs/rfcs/0013)
    state        {…}                                             the agent's whole state
    prompt       [{"text": …}, …] or null                        its system prompt
    internal     {"conversation_manager_state": …, …, "pause"?}  what else Strands keeps of an ``Agent`` (see pauses.py)
    tool         {"tool_use_id", "name", "phase", "message"?, "use"?, "status"?, "ms"?}
    connection   {"provider", "model_id", "audio", "restarts", "handle"?, …}
    multi_agent  {"id": …, "state": …}                           a Graph's or Swarm's state
    approval     {"status": …, …}                                 what people were asked (see approvals.py)
    input        null                                            only that a client's input has been dealt with
    stash        {"entries": {…}, "gone": [<name>, …]}           what a context manager keeps (see stash.py)
    rewind       {"to": <record>}                                everything is again as it was then
    skip         {"record": <record>, "saved": <object>}         that earlier record is damaged, and is passed over
    unreadable   {"problem": …}                                  in a copy: the source's record was damaged

A streamed message is recorded when it is complete, not when it begins: ``before`` puts it where it began.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from segue.errors import JournalCorrupt
from segue.history.agent_history import AgentHistory, History
from segue.history.approvals import approval
from segue.history.tool_uses import UNKNOWN, key_of
from segue.journal.message_shape import Message, id_of, is_tool_use_id, replaced, usable
from segue.journal.records import SKIP, UNREADABLE, Record, skips

_MOST_MISSING = 1000
"""Uses of one id at most that no record tells of, though a later one is told of: damaged records may have."""

_NOTHING = frozenset({"input", SKIP, UNREADABLE})
"""Kinds that change no agent."""


def fold(records: Sequence[Record], upto: int | None = None, damaged: list[JournalCorrupt] | None = None) -> History:
    """Add records up. What is returned shares their data.

    Args:
        records: All records of a session, or its first ones.
        upto: Use only so many of them: the session as it was at that point.
        damaged: Takes what is wrong with records that contradict the ones before them or have not the shape of their
            kind, and they are passed over; default: raise.

    Raises:
        JournalCorrupt: A record is wrong, and no later one says to skip it.
    """
    holes = skips(records) | {number for number, record in enumerate(records) if record.kind == UNREADABLE}
    records = records[:upto]

    def wrong(number: int, record: Record, error: Exception) -> None:
        found = JournalCorrupt("journal", f"not a {record.kind!r} record ({error!r})", number)
        if damaged is None:
            raise found from error
        damaged.append(found)
        holes.add(number)

    targets = _targets(records, holes, wrong)
    last_use = {target: number for number, target in targets.items()}
    history, kept = History(), dict[int, History]()
    stashing = {record.agent for record in records if record.kind == "stash"}
    for number, record in enumerate(records):
        if number in last_use:
            kept[number] = history.copy()
        if number in targets:
            target = targets[number]
            history = _rewound(history, kept.pop(target) if last_use[target] == number else kept[target].copy())
        elif number not in holes and record.kind not in _NOTHING:
            try:
                _change(history, number, record, gaps=bool(holes), stash=record.agent in stashing)
            except _WRONG as error:
                wrong(number, record, error)
    for agent in history.agents.values():
        agent.earlier = {}
    return history


_WRONG = (AttributeError, LookupError, TypeError, ValueError)
"""Errors that data of another shape than its kind's raises."""


def _targets(
    records: Sequence[Record], holes: set[int], wrong: Callable[[int, Record, Exception], None]
) -> dict[int, int]:
    """Return how many records each rewind goes back to, by its number."""
    targets: dict[int, int] = {}
    for number, record in enumerate(records):
        if record.kind == "rewind" and number not in holes:
            try:
                to = operator.index(record.data["to"])
                if to < 0:
                    raise ValueError(to)
                targets[number] = min(to, number)
            except _WRONG as error:
                wrong(number, record, error)
    return targets


def _change(history: History, number: int, record: Record, *, gaps: bool, stash: bool) -> None:
    if record.kind == "multi_agent":
        history.multi_agents[str(_typed(record.data["id"], str, int, float))] = _typed(record.data["state"], dict)
        return
    agent = history.agents.get(record.agent)
    if agent is None:
        agent = history.agents[record.agent] = AgentHistory(stash={} if stash else None)
    apply(agent, number, record, gaps=gaps)


def _rewound(left: History, history: History) -> History:
    """Keep where the messages are that are not shown any more: they can still be redacted, and come back."""
    for agent_id, agent in left.agents.items():
        entered = history.agents.setdefault(agent_id, AgentHistory())
        entered.numbers = {**agent.numbers, **entered.numbers}
        entered.authors = {**agent.authors, **entered.authors}
        entered.uses = agent.uses
        entered.earlier = {**entered.earlier, **agent.earlier, **_by_id(agent.messages)}
    return history


def _by_id(messages: Iterable[Message]) -> dict[str, Message]:
    return {id_of(message): message for message in messages}


def _typed(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(f"a {type(value).__name__}, not a {kinds[0].__name__}")
    return value


def apply(agent: AgentHistory, number: int, record: Record, *, gaps: bool = False) -> None:  # noqa: C901, PLR0912 - a table would hide the shapes
    """Make one change to what an agent's records before it add up to.

    What is wrong raises before anything has changed.
    """
    data = record.data
    match record.kind:
        case "message":
            message = usable(data["message"])
            _insert(agent, message, data.get("before"))
            agent.numbers[id_of(message)] = number
            agent.note_author(id_of(message), record.inputs)
            agent.remember(message)
        case "update" | "redact":
            message = usable(data["message"])
            # A prompt that was tried again is in the history twice, and neither may show redacted content.
            if agent.replace(message, everywhere=record.kind == "redact"):
                agent.numbers[id_of(message)] = number
                agent.note_author(id_of(message), record.inputs)
            agent.remember(message, only=record.kind == "redact")
            if record.kind == "redact":
                agent.internal = replaced(agent.internal, {id_of(message): message})
                agent.approvals = [one.redacted(id_of(message)) for one in agent.approvals]
        case "window" if "drop" in data:
            _drop(agent, set(map(str, _typed(data["drop"], list))))
        case "window":
            _keep(agent, [str(tracking_id) for tracking_id in _typed(data["keep"], list)], gaps=gaps)
        case "state":
            agent.state = _typed(data, dict)
        case "prompt":
            agent.system_prompt = _typed(data, list, type(None))
        case "internal":
            agent.internal = _typed(data, dict)
        case "tool":
            _run_of_tool(agent, data, record.at)
        case "connection":
            agent.connection = _typed(data, dict)
        case "approval":
            agent.approvals.append(approval(number, record.at, data, record.inputs, agent.internal))
        case "stash":
            entries, gone = _typed(data["entries"], dict), set(_typed(data["gone"], list))
            agent.stash = {name: value for name, value in (agent.stash or {}).items() if name not in gone} | entries
        case _:  # "agent", and kinds of a later minor version: they name what an older reader can do without
            pass


def _run_of_tool(agent: AgentHistory, data: dict[str, Any], at: int) -> None:
    if not is_tool_use_id(data["tool_use_id"]):
        raise TypeError(f"the tool use id {data['tool_use_id']!r}, which is none")
    tool_use_id, use, began = str(data["tool_use_id"]), data.get("use", 1), data["phase"] == "started"
    places = agent.uses.get(tool_use_id, [])
    if type(use) is not int or not 1 <= use <= len(places) + _MOST_MISSING:
        raise TypeError(f"the number {use!r} of a use of {tool_use_id!r}, which is none")
    key = key_of(tool_use_id, use)
    before = {} if began else agent.tools.get(key, {})
    agent.tools[key] = {**before, **data, "started_at" if began else "ended_at": at}  # tried again: under way again
    if began:
        agent.uses[tool_use_id] = places = [*places, *[UNKNOWN] * (use - len(places))]
        places[use - 1] = data.get("message", places[use - 1])


def _keep(agent: AgentHistory, keep: Sequence[str], *, gaps: bool) -> None:
    known = _by_id(agent.messages)
    known |= {back: agent.earlier[back] for back in keep if back not in known and back in agent.earlier}
    missing = [tracking_id for tracking_id in keep if tracking_id not in known]
    if missing and not gaps:  # otherwise they may be what a damaged record held
        raise ValueError(f"keeps messages that were never recorded: {missing[:3]}")
    agent.messages = [known[tracking_id] for tracking_id in keep if tracking_id in known]
    agent.earlier |= known


def _drop(agent: AgentHistory, lost: set[str]) -> None:
    agent.earlier |= {known: one for known, one in _by_id(agent.messages).items() if known in lost}
    agent.messages = [message for message in agent.messages if id_of(message) not in lost]


def _insert(agent: AgentHistory, message: Message, before: str | None) -> None:
    index = None if before is None else agent.index(before)
    if index is None:
        agent.messages.append(message)
    else:
        agent.messages.insert(index, message)


def under_way(tools: dict[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The tool runs that began and, for all the records say, never ended."""
    return (run for run in tools.values() if "status" not in run)
