"""Agents, Graphs and Swarms that move between a session and one of Strands' own managers, and what is told of each.

journal, history ─▶ write ─▶ Strands' manager ─▶ read_agent, read_multi_agent ─▶ records of a new session
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strands.session.session_manager import SessionManager

from segue.admin.progress import Progress, no_progress
from segue.errors import JournalCorrupt
from segue.history.agent_history import History
from segue.history.points import history_at
from segue.journal.reader import StoredJournal
from segue.journal.records import Record
from segue.strands.transfer import Kind, export, import_, portable
from segue.strands.transfer_multi_agents import export_multi_agent, import_multi_agent


@dataclass(frozen=True, slots=True)
class MovedPart:
    """An agent, Graph or Swarm that moved.

    Attributes:
        name: Its id.
        kind: ``Agent``, ``BidiAgent``, ``Graph`` or ``Swarm``.
        messages: The number of an agent's messages; None for a Graph or Swarm.
        status: The status of a Graph or Swarm; None for an agent.
        records: Its records, if it was read from a manager.
    """

    name: str
    kind: str
    messages: int | None = None
    status: str | None = None
    records: Sequence[Record] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Attributes:
        messages: The number of messages of each agent.
        multi_agents: The Graphs and Swarms.
        changes: What Strands' encoding cannot carry, and what stands for it, a sentence each.
        damaged: Records that were left out.
        moved: All of these agents, Graphs and Swarms, with the kind of each.
    """

    messages: dict[str, int]
    multi_agents: tuple[str, ...]
    changes: tuple[str, ...]
    damaged: tuple[JournalCorrupt, ...]
    moved: tuple[MovedPart, ...] = ()


def write(  # noqa: PLR0913 - each names one thing of an export
    journal: StoredJournal,
    history: History,
    target: SessionManager[Any],
    *,
    agents: Sequence[str],
    multi_agents: Sequence[str],
    upto: int | None = None,
    kind: Kind | None = None,
    changes: list[str] | None = None,
    progress: Progress = no_progress,
) -> list[MovedPart]:
    """Write agents, Graphs and Swarms of a session to one of Strands' own managers.

    If this fails midway, the target has a part of it: delete that and try again.

    Args:
        journal: The session, as it was read.
        history: The same, added up to the point that is written.
        target: Strands' manager of the target session, which has none of them yet.
        agents: The agents.
        multi_agents: The Graphs and Swarms.
        upto: As it was after so many records; default: as it is.
        kind: Move agents as this kind; default: what they were.
        changes: Takes what Strands' encoding cannot carry, a sentence each; default: it is logged.
        progress: Told of every message written, an agent at a time.

    Raises:
        SessionExists: The target has one of them already.
        SessionNotFound: The session has no such agent.
    """
    moved = []
    for name in agents:
        moving = portable(journal.records, name, upto=upto, kind=kind, damaged=[])
        moved.append(MovedPart(name, moving.kind, messages=export(moving, target, progress, changes)))
    for name in multi_agents:
        export_multi_agent(name, history.multi_agents[name], target, changes)
        moved.append(_multi_agent(name, history.multi_agents[name]))
    return moved


def read_agent(source: SessionManager[Any], name: str, kind: Kind | None = None) -> MovedPart:
    """Read an agent of one of Strands' own managers.

    Raises:
        SessionNotFound: The source has no such agent.
        SourceDamaged: A file of it cannot be read.
    """
    records = import_(source, name, kind=kind)
    messages = sum(record.kind == "message" for record in records)
    return MovedPart(name, records[0].data["class"], messages=messages, records=records)


def read_multi_agent(source: SessionManager[Any], name: str) -> MovedPart:
    """Read a Graph or Swarm of one of Strands' own managers.

    Raises:
        SessionNotFound: The source has no such Graph or Swarm.
        SourceDamaged: What it has cannot be read.
    """
    records = import_multi_agent(source, name)
    return _multi_agent(name, records[0].data["state"], records)


def write_session(
    journal: StoredJournal,
    target: SessionManager[Any],
    *,
    agents: Sequence[str] | None = None,
    upto: int | None = None,
    kind: Kind | None = None,
    progress: Progress = no_progress,
) -> Exported:
    """Write a session to one of Strands' own managers, without the records that cannot be read.

    Args:
        journal: The session, as it was read.
        target: Strands' manager of the target session.
        agents: Only these, and no Graph or Swarm; default: all.
        upto: As it was after so many records; default: as it is.
        kind: Move agents as this kind; default: what they were.
        progress: Told of every message written, an agent at a time.

    Raises:
        SessionExists: The target has one of them already.
        SessionNotFound: The session has no such agent.
    """
    damaged: list[JournalCorrupt] = []
    changes: list[str] = []
    history = history_at(journal, upto, damaged)
    chosen = list(history.agents if agents is None else agents)
    multi_agents = tuple(history.multi_agents) if agents is None else ()
    which: Any = {"agents": chosen, "multi_agents": multi_agents, "upto": upto, "kind": kind}
    moved = write(journal, history, target, **which, changes=changes, progress=progress)
    messages = {one.name: one.messages for one in moved if one.messages is not None}
    return Exported(messages, multi_agents, tuple(changes), tuple(damaged), tuple(moved))


def read_session(
    source: SessionManager[Any], agents: Sequence[str], multi_agents: Sequence[str], kind: Kind | None = None
) -> list[Record]:
    """Read agents, Graphs and Swarms of one of Strands' own managers, as the records of one session.

    Raises:
        SessionNotFound: The source has no such agent, Graph or Swarm.
        SourceDamaged: What it has cannot be read.
    """
    found = [read_agent(source, name, kind) for name in agents]
    found += [read_multi_agent(source, name) for name in multi_agents]
    return [record for one in found for record in one.records]


def _multi_agent(name: str, state: dict[str, Any], records: Sequence[Record] = ()) -> MovedPart:
    kind, status = str(state.get("type", "?")).capitalize(), str(state.get("status", "?"))
    return MovedPart(name, kind, status=status, records=records)
