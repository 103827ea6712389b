"""``fork``, ``export`` and ``import``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import click
from strands.session.session_manager import SessionManager

from segue.admin.exchange import MovedPart, read_agent, read_multi_agent, write
from segue.admin.fork import commits_of, create, fork
from segue.cli.layouts import LAYOUTS, existing, naming, new
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, print_json, print_table, progress, waiting
from segue.cli.show_tail import (
    at_option,
    chosen_agents,
    damage_facts,
    point_named,
    refuse_unknown,
    tell_damage,
)
from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound
from segue.history.agent_history import History
from segue.history.points import history_at
from segue.ids import shown
from segue.lease.item import GuardItem
from segue.session.options import DAY_SECONDS, SessionSettings
from segue.storage.stores import Stores
from segue.strands.transfer import Kind

DEFAULT_AGENT = "default"
DEFAULT_MULTI_AGENTS = ("default_graph", "default_swarm")
"""Strands' ids of an agent, a Graph and a Swarm that were given none."""

retention_option = click.option(
    "--retention-days",
    type=click.IntRange(min=1),
    default=SessionSettings().retention_days,
    help="Days that the new session is kept after its last use.",
)
layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    help="Strands' layout: messages (FileSessionManager, S3SessionManager) or snapshot (SnapshotSessionManager).",
)
multi_agent_option = click.option(
    "--multi-agent", multiple=True, metavar="ID", help="Id of a Graph or Swarm; repeatable."
)
kind_option = click.option(
    "--kind",
    type=click.Choice(["Agent", "BidiAgent"]),
    help="Kind of the agents that are written.  [default: as recorded]",
)


@click.command("fork")
@click.argument("source")
@click.argument("target")
@at_option
@click.option("--to-principal", metavar="PRINCIPAL", help="Principal of the copy.  [default: the source's]")
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
    """Copy the session SOURCE to a new session TARGET, as it is now or was at a point in time.

    The source may be in use, and stays as it is.
    """
    source_key = place.key(source)
    target_key = place.key(target, to_principal or source_key.partition("/")[0])
    damaged: list[JournalCorrupt] = []
    with progress(f"copying to {shown(target_key)}") as advance:

        async def copy(stores: Stores, clock: Clock) -> GuardItem:
            named = stores, source_key, target_key, clock
            seconds = retention_days * DAY_SECONDS
            return await fork(*named, at=at, retention_s=seconds, progress=advance, damaged=damaged)

        try:
            item = place.run(copy)
        except ValueError as error:  # there is no such point
            raise click.UsageError(str(error)) from error
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
@click.option("--as", "target_id", metavar="ID", help="Session id at TARGET.  [default: the same]")
@click.option("--agent", multiple=True, metavar="ID", help="Id of an agent; repeatable.  [default: all]")
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
    journal = place.existing().journal(session)
    point = point_named(journal, at)
    upto = point.records if point else None
    damaged: list[JournalCorrupt] = []
    history = history_at(journal, upto, damaged)
    tell_damage(damaged)
    agents = chosen_agents(history, agent) if agent or not multi_agent else []
    orchestrators = _chosen_multi_agents(history, agent, multi_agent)
    changes: list[str] = []
    with naming(target), progress(f"writing {target}") as advance:
        manager = new(place, layout, target, target_id or shown(key).partition("/")[2])
        which: Any = {"agents": agents, "multi_agents": orchestrators, "upto": upto, "kind": kind}
        moved = write(journal, history, manager, **which, changes=changes, progress=advance)
    for change in changes:
        click.echo(clean(f"changed, since Strands cannot carry it: {change}"), err=True)
    facts = {"session": shown(key), "layout": layout, "target": target}
    facts |= _moved_facts(moved, target_session=manager.session_id)
    _print_moved(facts | damage_facts(damaged) | ({"changes": changes} if changes else {}), as_json=as_json)


@click.command("import")
@click.argument("source")
@click.argument("session")
@layout_option
@click.option("--from", "source_id", metavar="ID", help="Session id at SOURCE.  [default: the same]")
@click.option(
    "--agent", multiple=True, metavar="ID", help="Id of an agent; repeatable.  [default: those with Strands' own ids]"
)
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
    records = [record for one in found for record in one.records]
    with progress(f"writing {shown(key)}") as advance:

        async def begin(stores: Stores, clock: Clock) -> GuardItem:
            seconds = retention_days * DAY_SECONDS
            return await create(stores, key, commits_of(records), clock, retention_s=seconds, progress=advance)

        item = place.sessions().run(begin)
    facts = {"session": shown(key), "layout": layout, "source": source, "head": item.head}
    _print_moved(facts | _moved_facts(found), as_json=as_json)


def _found(
    manager: SessionManager[Any], agents: Sequence[str], multi_agents: Sequence[str], kind: Kind | None
) -> list[MovedPart]:
    """Read what is named; else what is there under the ids that Strands gives by itself.

    Raises:
        SessionNotFound: Something that was named is not there, or nothing was named and nothing is there.
    """
    if agents or multi_agents:
        return [
            *(read_agent(manager, name, kind) for name in dict.fromkeys(agents)),
            *(read_multi_agent(manager, name) for name in dict.fromkeys(multi_agents)),
        ]
    found: list[MovedPart] = []
    with contextlib.suppress(SessionNotFound):
        found.append(read_agent(manager, DEFAULT_AGENT, kind))
    for name in DEFAULT_MULTI_AGENTS:
        with contextlib.suppress(SessionNotFound):
            found.append(read_multi_agent(manager, name))
    if not found:
        names = f"agent {DEFAULT_AGENT}, Graph or Swarm {' or '.join(DEFAULT_MULTI_AGENTS)}"
        raise SessionNotFound(f"{type(manager).__name__} {manager.session_id}, {names}")
    return found


def _moved_facts(moved: Sequence[MovedPart], **of_agents: str) -> dict[str, Any]:
    """The facts of what moved, for programs."""
    agents = [
        {"agent": one.name, "kind": one.kind, "messages": one.messages, **of_agents}
        for one in moved
        if one.messages is not None
    ]
    multi_agents = [{"id": one.name, "kind": one.kind, "status": one.status} for one in moved if one.status is not None]
    return {"agents": agents} | ({"multi_agents": multi_agents} if multi_agents else {})


def _chosen_multi_agents(history: History, agents: Sequence[str], named: Sequence[str]) -> list[str]:
    """The Graphs and Swarms that options name; all if they name nothing.

    Raises:
        click.UsageError: The session does not have one of them.
    """
    refuse_unknown(named, history.multi_agents, "Graph or Swarm", "Graphs and Swarms")
    return list(dict.fromkeys(named)) or ([] if agents else list(history.multi_agents))


def _print_moved(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        rows: list[tuple[Any, ...]] = [(one["agent"], one["kind"], one["messages"]) for one in facts["agents"]]
        rows += [(one["id"], one["kind"], None) for one in facts.get("multi_agents", ())]
        print_table(("AGENT", "KIND", "MESSAGES"), rows, "no agents")
