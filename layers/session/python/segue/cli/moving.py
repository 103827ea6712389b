"""``fork``, ``export`` and ``import``."""

from __future__ import annotations

from typing import Any

import click

from segue.cli.layouts import LAYOUTS, existing, naming, new
from segue.cli.output import print_json, print_table, progress, waiting
from segue.cli.place import Place, json_option, located
from segue.cli.reading import at_option, chosen_agents, point_named, read_journal
from segue.clock import Clock
from segue.copies import commits_of, create, fork
from segue.exchange import Kind, export, import_, portable
from segue.history import fold
from segue.ids import shown
from segue.item import GuardItem
from segue.options import Settings
from segue.points import Point
from segue.records import Record
from segue.session import Stores

_DAY_S = 86_400

retention_option = click.option(
    "--retention-days",
    type=click.IntRange(min=1),
    default=Settings().retention_days,
    help="Days after which the new session expires if nobody uses it.",
)
layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    help="messages: of FileSessionManager and S3SessionManager. snapshot: of SnapshotSessionManager.",
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
        point = point_named(read_journal(place, source_key), at)
    with progress(f"copying to {shown(target_key)}") as advance:

        async def copy(stores: Stores, clock: Clock) -> GuardItem:
            upto = point.records if point else None
            seconds = retention_days * _DAY_S
            return await fork(stores, source_key, target_key, clock, at=upto, retention_s=seconds, progress=advance)

        item = place.run(copy)
    if as_json:
        print_json({"session": shown(target_key), "source": shown(source_key), "head": item.head, "epoch": item.epoch})
    else:
        click.echo(f"{shown(target_key)} begins with {item.head} records of {shown(source_key)}")


@click.command("export")
@click.argument("session")
@click.argument("target")
@layout_option
@click.option("--as", "target_id", metavar="ID", help="Session id there.  [default: the same]")
@click.option("--agent", multiple=True, help="Only this agent; may be given again.  [default: all]")
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
    kind: Kind | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Write a SESSION to TARGET, a directory or s3://bucket/prefix, in a layout of Strands' own.

    The session may be in use, and stays as it is. An agent that TARGET has already is not overwritten.
    """
    key = place.key(session)
    journal = read_journal(place, key)
    point = point_named(journal, at)
    upto = point.records if point else None
    agents = chosen_agents(fold(journal.records, upto), agent)
    facts = []
    with naming(target):
        manager = new(place, layout, target, target_id or shown(key).partition("/")[2])
        for name in agents:
            moving = portable(journal.records, name, upto=upto, kind=kind)
            with progress(f"writing {name}") as advance:
                count = export(moving, manager, advance)
            facts.append({"agent": name, "kind": moving.kind, "messages": count, "target_session": manager.session_id})
    _print_moved({"session": shown(key), "layout": layout, "target": target, "agents": facts}, as_json=as_json)


@click.command("import")
@click.argument("source")
@click.argument("session")
@layout_option
@click.option("--from", "source_id", metavar="ID", help="Session id there.  [default: the same]")
@click.option("--agent", multiple=True, default=("default",), help="Which agent; may be given again.")
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
    kind: Kind | None,
    retention_days: int,
    as_json: bool,
) -> None:
    """Read a session of Strands' own from SOURCE, a directory or s3://bucket/prefix, into a new SESSION."""
    key = place.key(session)
    records: list[Record] = []
    facts: list[dict[str, Any]] = []
    with naming(source), waiting(f"reading {source}"):
        manager = existing(place, layout, source, source_id or shown(key).partition("/")[2])
        for name in dict.fromkeys(agent):
            found = import_(manager, name, kind=kind)
            messages = sum(record.kind == "message" for record in found)
            facts.append({"agent": name, "kind": found[0].data["class"], "messages": messages})
            records += found
    with progress(f"writing {shown(key)}") as advance:

        async def begin(stores: Stores, clock: Clock) -> GuardItem:
            seconds = retention_days * _DAY_S
            return await create(stores, key, commits_of(records), clock, retention_s=seconds, progress=advance)

        item = place.run(begin, new=True)
    moved = {"session": shown(key), "layout": layout, "source": source, "head": item.head, "agents": facts}
    _print_moved(moved, as_json=as_json)


def _print_moved(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        rows = [(one["agent"], one["kind"], one["messages"]) for one in facts["agents"]]
        print_table(("AGENT", "KIND", "MESSAGES"), rows, "no agents")
