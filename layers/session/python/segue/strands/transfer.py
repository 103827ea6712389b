"""Moving a conversation between Segue and Strands' own layouts, one agent at a time.

    portable(records, "default")  ──▶  export(…, FileSessionManager(…))       out
    import_(S3SessionManager(…), "default")  ──▶  records  ──▶  a new session  in

Any Strands session manager serves, through Strands' public interface: an agent that is never run carries the
history to or from it. What a layout has no place for does not move; ``docs/cli.md`` says what that is.

Everything here blocks, as Strands' managers do: call it in a thread from an event loop.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session.repository_session_manager import RepositorySessionManager
from strands.session.session_manager import SessionManager

from segue.errors import JournalCorrupt, SessionExists, SessionNotFound
from segue.history.agent_history import AgentHistory
from segue.history.fold import fold
from segue.history.pauses import PAUSE, fit_to_use, without_pause
from segue.history.points import as_redacted
from segue.history.repair import uses_of
from segue.journal.message_shape import Message, id_of
from segue.journal.records import Record
from segue.strands.layouts.carrier import CarryingAgent, carrying_agent, carrying_bidi_agent
from segue.strands.layouts.sources import (
    agent_file,
    message_file,
    messages_of,
    object_of,
    reading,
    snapshot_file,
    whole,
)
from segue.strands.layouts.strands_json import carried
from segue.strands.private import SNAPSHOT_SCHEMA_VERSION, Snapshot

Kind = Literal["Agent", "BidiAgent"]
"""Which of Strands' agents a history belongs to: their layouts differ in what is kept beside the messages."""

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@dataclass(frozen=True, slots=True)
class PortableAgent:
    """One agent as it moves between Segue and Strands' layouts.

    Attributes:
        agent_id: Its id.
        kind: Its class.
        messages: Its history, fit to use.
        removed: Messages that a conversation manager took out of the history, oldest first.
        state: Its state.
        system_prompt: Its system prompt as content blocks.
        internal: The further state of an ``Agent``: conversation manager, interrupts, model.
    """

    agent_id: str
    kind: Kind
    messages: list[Message] = field(default_factory=list)
    removed: list[Message] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    system_prompt: list[dict[str, Any]] | None = None
    internal: dict[str, Any] = field(default_factory=dict)


def portable(
    records: Sequence[Record],
    agent_id: str = "default",
    *,
    upto: int | None = None,
    kind: Kind | None = None,
    damaged: list[JournalCorrupt] | None = None,
) -> PortableAgent:
    """Gather what can move of an agent.

    Args:
        records: All records of its session.
        agent_id: The agent.
        upto: As it was after so many records; default: now.
        kind: Move it as this kind of agent; default: what it was.
        damaged: Takes what is wrong with records that are left out; default: raise.

    Raises:
        SessionNotFound: The session has no such agent.
        JournalCorrupt: A record is wrong, and no later one says to skip it.
    """
    records = as_redacted(records, damaged)
    stored = fold(records, upto, damaged).agents.get(agent_id)
    if stored is None:
        raise SessionNotFound(f"agent {agent_id}")
    # The same records, but nothing ever leaves the history: what the window records took out shows.
    unshortened = [Record(kind="agent", agent=one.agent) if one.kind == "window" else one for one in records]
    whole = fold(unshortened, upto, None if damaged is None else [])
    kept = {id_of(message) for message in stored.messages}
    removed = [one for one in whole.agents[agent_id].messages if id_of(one) not in kept]
    moving_as = kind or _recorded_kind(records, stored, agent_id)
    history = fit_to_use(stored, can_resume=moving_as == "Agent")
    return PortableAgent(
        agent_id,
        moving_as,
        history.messages,
        [message for message in removed if message.get("content")],
        stored.state,
        stored.system_prompt,
        without_pause(history.internal),
    )


def export(
    moving: PortableAgent,
    target: SessionManager[Any],
    progress: Progress | None = None,
    changes: list[str] | None = None,
) -> int:
    """Write an agent's history into a Strands session that does not have that agent yet.

    If this fails midway, the target has a part of it: delete that and try again. What Strands' encoding cannot carry
    is changed to what it can (see ``segue.strands.layouts.strands_json``), and named.

    Args:
        moving: What moves.
        target: Strands' manager of the target session.
        progress: Told of every message written.
        changes: Takes what had to be changed, a sentence each; default: it is logged.

    Returns:
        How many messages were written.

    Raises:
        SessionExists: The target has such an agent with a history already.
        strands.types.exceptions.SessionException: The target could not be written.
        strands.types.exceptions.StorageError: The same.
    """
    carrying = carrying_agent if moving.kind == "Agent" else carrying_bidi_agent
    agent = carrying(moving.agent_id, target)
    if agent.messages or agent.state.get() or agent.restored:
        raise SessionExists(f"{type(target).__name__} {target.session_id}, agent {moving.agent_id}")
    moving = _carried(moving, changes)
    log, internal = moving.messages, dict(moving.internal)
    if moving.kind == "Agent":
        internal.setdefault("conversation_manager_state", SlidingWindowConversationManager().get_state())
        if isinstance(target, RepositorySessionManager):
            log, internal = _as_log(moving, internal)
    data: dict[str, Any] = {"messages": moving.messages, "state": moving.state, "system_prompt": moving.system_prompt}
    if moving.kind == "Agent":
        data |= internal
    agent.load_snapshot(Snapshot("agent", SNAPSHOT_SCHEMA_VERSION, data, {}))
    for count, message in enumerate(log, start=1):
        target.append_message(message, agent)  # type: ignore[arg-type]  # the dictionary that the TypedDict describes
        if progress is not None:
            progress(count, len(log))
    target.sync_agent(agent)
    return len(log)


def _carried(moving: PortableAgent, changes: list[str] | None) -> PortableAgent:
    fields = ("messages", "removed", "state", "system_prompt", "internal")
    names = {field: f"{moving.agent_id}.{field}" for field in fields}
    return replace(moving, **{field: carried(getattr(moving, field), name, changes) for field, name in names.items()})


def _as_log(moving: PortableAgent, internal: dict[str, Any]) -> tuple[list[Message], dict[str, Any]]:
    """Arrange an ``Agent``'s history as the message layouts keep it.

    They keep every message ever added, skip those that were removed when they restore, and put a summary, which
    they keep with the conversation manager, in front.
    """
    manager = {**internal["conversation_manager_state"], "removed_message_count": len(moving.removed)}
    summary = manager.get("summary_message")
    live = [message for message in moving.messages if not _same(message, summary)]
    return [*moving.removed, *live], {**internal, "conversation_manager_state": manager}


def import_(source: SessionManager[Any], agent_id: str = "default", *, kind: Kind | None = None) -> list[Record]:
    """Read an agent of a Strands session as the records of a new Segue session (see ``segue.admin.fork``).

    Messages that never got their content are left out; tool uses and results stay as they are, since Segue pairs
    them at every restore; messages without a tracking id get one.

    Args:
        source: Strands' manager of the source session.
        agent_id: The agent.
        kind: Which kind of agent it is; default: what the source says.

    Raises:
        SessionNotFound: The source has no such agent.
        SourceDamaged: A file of it cannot be read; it is named.
        strands.types.exceptions.SessionException: The source could not be read.
        strands.types.exceptions.StorageError: The same.
    """
    if isinstance(source, RepositorySessionManager):
        found, times = _from_repository(source, agent_id)
    else:
        found, times = _from_agent(source, agent_id), {}
    return list(_records(replace(found, kind=kind or found.kind), times))


def _from_repository(source: RepositorySessionManager, agent_id: str) -> tuple[PortableAgent, dict[str, int]]:
    """Read a message layout: also what its conversation manager removed, and when each message was written."""
    agent = carrying_agent(agent_id)
    with reading(agent_file(source, agent_id)):
        stored = source.session_repository.read_agent(source.session_id, agent_id)
        if stored is None:
            raise SessionNotFound(f"{type(source).__name__} {source.session_id}, agent {agent_id}")
        stored.initialize_internal_state(agent)
        manager = agent.conversation_manager
        ahead = _keyed(map(whole, manager.restore_from_session(stored.conversation_manager_state) or []))
        object_of(stored.state)
    found_messages = messages_of(source, agent_id)
    log = _keyed(message for message, _ in found_messages)
    times = {}
    for message, (_, entry) in zip(log, found_messages, strict=True):
        with reading(message_file(source, agent_id, entry.message_id)):
            times[message["tracking_id"]] = _milliseconds(entry.created_at)
    removed, live = log[: manager.removed_message_count], log[manager.removed_message_count :]
    found = PortableAgent(
        agent_id,
        "Agent" if stored.conversation_manager_state else "BidiAgent",
        [*ahead, *live],
        removed,
        stored.state,
        internal=_internal(agent),
    )
    return found, times


def _from_agent(source: SessionManager[Any], agent_id: str) -> PortableAgent:
    """Read any other layout by letting it restore an agent."""
    with reading(snapshot_file(source.session_id, agent_id)):
        agent = carrying_agent(agent_id, source)
        messages = _keyed(map(whole, agent.messages))
        object_of(agent.state.get())
    if agent.restored is None and not agent.messages:
        raise SessionNotFound(f"{type(source).__name__} {source.session_id}, agent {agent_id}")
    is_agent = agent.restored is None or "conversation_manager_state" in agent.restored
    return PortableAgent(
        agent_id,
        "Agent" if is_agent else "BidiAgent",
        messages,
        [],
        agent.state.get(),
        agent.system_prompt_content,  # type: ignore[arg-type]  # the dictionaries that the TypedDict describes
        _internal(agent),
    )


def _records(found: PortableAgent, times: dict[str, int]) -> Iterable[Record]:
    now = int(time.time() * 1000)

    def record(kind: str, data: Any, at: int = now) -> Record:
        return Record(kind=kind, data=data, agent=found.agent_id, at=at)

    ordered = [message for message in (*found.removed, *found.messages) if message.get("content")]
    begun = times.get(ordered[0]["tracking_id"], now) if ordered else now
    yield record("agent", {"class": found.kind, "name": found.agent_id}, begun)
    for message in ordered:
        yield record("message", {"message": message}, times.get(message["tracking_id"], now))
    if found.removed:
        yield record("window", {"keep": [one["tracking_id"] for one in found.messages if one.get("content")]})
    if found.state:
        yield record("state", found.state)
    if found.system_prompt is not None:
        yield record("prompt", found.system_prompt)
    if found.kind == "Agent":
        yield record("internal", _with_pause(found.internal, ordered))


def _with_pause(internal: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """Leave tool uses at the end open, as Strands does, which does not say whether that is a checkpoint or a crash."""
    uses = uses_of(messages[-1]) if messages else []
    waits_for_answer = (internal.get("interrupt_state") or {}).get("activated", False)
    return {**internal, PAUSE: {"checkpoint": uses}} if uses and not waits_for_answer else internal


def _internal(agent: CarryingAgent) -> dict[str, Any]:
    return agent.take_snapshot(include=["conversation_manager_state", "interrupt_state", "model_state"]).data


def _recorded_kind(records: Sequence[Record], stored: AgentHistory, agent_id: str) -> Kind:
    """Return the class for an export: ``Agent`` if an ``Agent`` ever had the history, which then has its state."""
    began = [one.data["class"] for one in records if one.kind == "agent" and one.agent == agent_id]
    return "Agent" if stored.internal or began[:1] == ["Agent"] else "BidiAgent"


def _keyed(messages: Iterable[Any]) -> list[Message]:
    """Give every message a tracking id of its own, as Strands does: older sessions have none, retries repeat one."""
    seen: set[str] = set()
    keyed = []
    for message in messages:
        tracking_id = message.get("tracking_id")
        if not tracking_id or tracking_id in seen:
            tracking_id = str(uuid.uuid4())
        seen.add(tracking_id)
        keyed.append({**message, "tracking_id": tracking_id})
    return keyed


def _same(message: Message, summary: Message | None) -> bool:
    if summary is None:
        return False
    if summary.get("tracking_id"):
        return bool(message.get("tracking_id") == summary["tracking_id"])
    return bool(message["content"] == summary["content"])


def _milliseconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp() * 1000)
