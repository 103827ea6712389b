"""``fork``, ``export`` and ``import``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
from strands.session.session_manager import SessionManager

from segue.admin.fork import commits_of, create, fork
from segue.cli.layouts import LAYOUTS, existing, naming, new
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, print_json, print_table, progress, waiting
from segue.cli.show_tail import at_option, chosen_agents, damage_facts, journal_of, point_named, tell_damage
from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound
from segue.history.fold import History
from segue.history.points import Point, history_at
from segue.ids import shown
from segue.journal.records import Record
from segue.lease.item import GuardItem
from segue.session.options import SessionSettings
from segue.storage.stores import Stores
from segue.strands.transfer import Kind, export, import_, portable
from segue.strands.transfer_multi_agents import export_multi_agent, import_multi_agent

_DAY_S = 86_400

DEFAULT_AGENT = "default"
DEFAULT_MULTI_AGENTS = ("default_graph", "default_swarm")
"""Strands' ids of an agent, a Graph and a Swarm that were given none."""

retention_option = click.option(
    "--retention-days",
    type=click.IntRange(min=1),
    default=SessionSettings().retention_days,
    help="Days after its last use at which the new session expires.",
)
layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    help="messages: of FileSessionManager and S3SessionManager. snapshot: of SnapshotSessionManager.",
)
multi_agent_option = click.option(
    "--multi-agent", multiple=True, metavar="ID", help="Only this Graph or Swarm; may be given again."
)
kind_option = click.option(
    "--kind", type=click.Choice(["Agent", "BidiAgent"]), help="Move as this kind of agent.  [default: what it was]"
)


@click.command("fork")
@click.argument("source")
@click.argument("target")
@at_option
@click.option("--to-principal", metavar="PRINCIPAL", help="Whose the copy is.  [default: whose the source is]")
@retention_option
@json_option
@located
def fork_command(
    place: Place,
    *,
    source: str,
    target: str,
    at: str | None,
    to_principal: str | None,
    retention_days: int,
    as_json: bool,
) -> None:
    """Copy the SOURCE session, as it is or was, to a new one, TARGET. The source may be in use."""
    source_key = place.key(source)
    target_key = place.key(target, to_principal or source_key.partition("/")[0])
    point: Point | None = None
    if at is not None:
        point = point_named(journal_of(place, source_key), at)
    damaged: list[JournalCorrupt] = []
    with progress(f"copying to {shown(target_key)}") as advance:

        async def copy(stores: Stores, clock: Clock) -> GuardItem:
            upto = point.records if point else None
            seconds = retention_days * _DAY_S
            return await fork(
                *(stores, source_key, target_key, clock),
                at=upto,
                retention_s=seconds,
                progress=advance,
                damaged=damaged,
            )

        item = place.run(copy)
    tell_damage(damaged)
    if as_json:
        told = {"session": shown(target_key), "source": shown(source_key), "head": item.head, "epoch": item.epoch}
        print_json(told | damage_facts(damaged))
    else:
        click.echo(f"{shown(target_key)} begins with {item.head} records of {shown(source_key)}")


@click.command("export")
@click.argument("session")
@click.argument("target")
@layout_option
@click.option("--as", "target_id", metavar="ID", help="Session id there.  [default: the same]")
@click.option("--agent", multiple=True, help="Only this agent; may be given again.  [default: all]")
@multi_agent_option
@kind_option
@at_option
@json_option
@located
def export_command(  # noqa: PLR0913 - one for each option
    place: Place,
    *,
    session: str,
    target: str,
    layout: str,
    target_id: str | None,
    agent: tuple[str, ...],
    multi_agent: tuple[str, ...],
    kind: Kind | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Write a SESSION to TARGET, a directory or s3://bucket/prefix, in a layout of Strands' own.

    The session may be in use, and stays as it is. An agent, Graph or Swarm that TARGET has already is not overwritten.
    """
    key = place.key(session)
    journal = journal_of(place, key)
    point = point_named(journal, at)
    upto = point.records if point else None
    damaged: list[JournalCorrupt] = []
    history = history_at(journal, upto, damaged)
    tell_damage(damaged)
    agents = chosen_agents(history, agent) if agent or not multi_agent else []
    orchestrators = _chosen_multi_agents(history, agent, multi_agent)
    facts: list[dict[str, Any]] = []
    changes: list[str] = []
    with naming(target):
        manager = new(place, layout, target, target_id or shown(key).partition("/")[2])
        for name in agents:
            moving = portable(journal.records, name, upto=upto, kind=kind, damaged=[])
            with progress(f"writing {name}") as advance:
                count = export(moving, manager, advance, changes)
            facts.append({"agent": name, "kind": moving.kind, "messages": count, "target_session": manager.session_id})
        for name in orchestrators:
            export_multi_agent(name, history.multi_agents[name], manager, changes)
    for change in changes:
        click.echo(clean(f"changed, since Strands cannot carry it: {change}"), err=True)
    moved: dict[str, Any] = {"session": shown(key), "layout": layout, "target": target, "agents": facts}
    moved |= damage_facts(damaged) | ({"changes": changes} if changes else {})
    if orchestrators:
        moved["multi_agents"] = [_multi_agent_facts(name, history.multi_agents[name]) for name in orchestrators]
    _print_moved(moved, as_json=as_json)


@click.command("import")
@click.argument("source")
@click.argument("session")
@layout_option
@click.option("--from", "source_id", metavar="ID", help="Session id there.  [default: the same]")
@click.option("--agent", multiple=True, help="Which agent; may be given again.  [default: those with Strands' own ids]")
@multi_agent_option
@kind_option
@retention_option
@json_option
@located
def import_command(  # noqa: PLR0913 - one for each option
    place: Place,
    *,
    source: str,
    session: str,
    layout: str,
    source_id: str | None,
    agent: tuple[str, ...],
    multi_agent: tuple[str, ...],
    kind: Kind | None,
    retention_days: int,
    as_json: bool,
) -> None:
    """Read a session of Strands' own from SOURCE, a directory or s3://bucket/prefix, into a new SESSION.

    If no agent, Graph or Swarm is named, those are read that have the ids which Strands gives by itself.
    """
    key = place.key(session)
    with naming(source), waiting(f"reading {source}"):
        manager = existing(place, layout, source, source_id or shown(key).partition("/")[2])
        found = _found(manager, agent, multi_agent, kind)
    agents, orchestrators = [one for one in found if one.is_agent], [one for one in found if not one.is_agent]
    records = [record for one in found for record in one.records]
    with progress(f"writing {shown(key)}") as advance:

        async def begin(stores: Stores, clock: Clock) -> GuardItem:
            seconds = retention_days * _DAY_S
            return await create(stores, key, commits_of(records), clock, retention_s=seconds, progress=advance)

        item = place.run(begin, new=True)
    moved = {"session": shown(key), "layout": layout, "source": source, "head": item.head}
    moved["agents"] = [one.facts for one in agents]
    if orchestrators:
        moved["multi_agents"] = [one.facts for one in orchestrators]
    _print_moved(moved, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Found:
    """An agent, Graph or Swarm that was read."""

    records: list[Record]
    facts: dict[str, Any]

    @property
    def is_agent(self) -> bool:
        return "agent" in self.facts


def _found(
    manager: SessionManager[Any], agents: Sequence[str], multi_agents: Sequence[str], kind: Kind | None
) -> list[_Found]:
    """Read what is named; else what is there under the ids that Strands gives by itself.

    Raises:
        SessionNotFound: Something that was named is not there, or nothing was named and nothing is there.
    """
    if agents or multi_agents:
        return [
            *(_found_agent(manager, name, kind) for name in dict.fromkeys(agents)),
            *(_found_multi_agent(manager, name) for name in dict.fromkeys(multi_agents)),
        ]
    found: list[_Found] = []
    with contextlib.suppress(SessionNotFound):
        found.append(_found_agent(manager, DEFAULT_AGENT, kind))
    for name in DEFAULT_MULTI_AGENTS:
        with contextlib.suppress(SessionNotFound):
            found.append(_found_multi_agent(manager, name))
    if not found:
        names = f"agent {DEFAULT_AGENT}, Graph or Swarm {' or '.join(DEFAULT_MULTI_AGENTS)}"
        raise SessionNotFound(f"{type(manager).__name__} {manager.session_id}, {names}")
    return found


def _found_agent(manager: SessionManager[Any], name: str, kind: Kind | None) -> _Found:
    records = import_(manager, name, kind=kind)
    messages = sum(record.kind == "message" for record in records)
    return _Found(records, {"agent": name, "kind": records[0].data["class"], "messages": messages})


def _found_multi_agent(manager: SessionManager[Any], name: str) -> _Found:
    records = import_multi_agent(manager, name)
    return _Found(records, _multi_agent_facts(name, records[0].data["state"]))


def _multi_agent_facts(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "kind": str(state.get("type", "?")).capitalize(), "status": str(state.get("status", "?"))}


def _chosen_multi_agents(history: History, agents: Sequence[str], named: Sequence[str]) -> list[str]:
    """The Graphs and Swarms that options name; all if they name nothing.

    Raises:
        click.UsageError: The session does not have one of them.
    """
    missing = [name for name in named if name not in history.multi_agents]
    if missing:
        there = ", ".join(history.multi_agents) or "none"
        raise click.UsageError(f"the session has no Graph or Swarm {missing[0]!r}; its Graphs and Swarms: {there}")
    return list(dict.fromkeys(named)) or ([] if agents else list(history.multi_agents))


def _print_moved(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        rows: list[tuple[Any, ...]] = [(one["agent"], one["kind"], one["messages"]) for one in facts["agents"]]
        rows += [(one["id"], one["kind"], None) for one in facts.get("multi_agents", ())]
        print_table(("AGENT", "KIND", "MESSAGES"), rows, "no agents")
