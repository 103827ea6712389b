"""``list`` and ``points``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from segue.admin.listing import SessionFacts, list_sessions, mark_stale, stream_sessions
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, iso, iso_seconds, print_json, print_table, progress, waiting
from segue.cli.selection import Selection, selecting
from segue.cli.show_tail import tell_damage
from segue.history.points import points_of
from segue.ids import shown


@click.command("list")
@click.option("--no-watch", is_flag=True, help="Do not watch holders: quicker, but no holder is shown as stale.")
@click.option("--stream", is_flag=True, help="Print sessions as they are found, unsorted; with --json one line each.")
@selecting
@json_option
@located
@click.pass_context
def list_(
    ctx: click.Context, place: Place, *, selection: Selection, no_watch: bool, stream: bool, as_json: bool
) -> None:
    """List sessions: who holds them, how long they are, when they expire.

    A holder that is silent for as long as its lease lasts is stale: its session may be taken over. To see that, holders
    are watched until they show themselves, for a lease at most. None of this takes a lease. --stream watches none, and
    reads a table of any size page by page.
    """
    if stream and (selection.sort or selection.reverse):
        raise click.UsageError("--stream prints sessions as they are found: leave out --sort and --reverse")
    prefix = "" if place.principal is None else f"{place.principal}/"
    if stream:
        shown_ones = _streamed(place, prefix, selection, as_json=as_json)
    else:
        with progress("reading the guard") as advance:
            listing = place.run(lambda stores, clock: list_sessions(stores, clock, prefix, advance))
        found = listing.found
        if listing.held and not no_watch:
            with waiting(f"watching holders: {len(listing.held)}"):
                found = place.run(lambda stores, clock: mark_stale(stores, clock, listing))
        shown_ones = [_facts(one) for one in selection.select(found)]
        if as_json:
            print_json(shown_ones)
        else:
            _print(shown_ones)
    for one in shown_ones:
        if one["problem"] is not None:
            click.echo(f"{one['session']}: {one['problem']}", err=True)
    if any(one["state"] == "unreadable" for one in shown_ones):
        ctx.exit(1)


def _streamed(place: Place, prefix: str, selection: Selection, *, as_json: bool) -> list[dict[str, Any]]:
    """Print sessions as they are found; return those that have a problem."""
    printed = 0
    problems: list[dict[str, Any]] = []

    def tell(found: Sequence[SessionFacts]) -> bool:
        nonlocal printed
        for one in found:
            if not selection.takes(one) or printed == selection.limit:
                continue
            facts = _facts(one)
            if as_json:
                print_json(facts, line=True)
            else:
                click.echo("\t".join("" if facts[field] is None else clean(str(facts[field])) for field in _FIELDS))
            printed += 1
            if one.problem is not None:
                problems.append(facts)
        return printed != selection.limit

    place.run(lambda stores, clock: stream_sessions(stores, clock, prefix, tell))
    return problems


_FIELDS = ("session", "state", "holder", "epoch", "head", "expires_at")


def _print(found: list[dict[str, Any]]) -> None:
    columns = ("SESSION", "STATE", "HOLDER", "EPOCH", "HEAD", "EXPIRES")
    told = [{**one, "state": "stale" if one["stale"] else one["state"]} for one in found]
    print_table(columns, [[one[field] for field in _FIELDS] for one in told], "no sessions")


def _facts(one: SessionFacts) -> dict[str, Any]:
    """Return the facts under the names that ``--json`` promises."""
    return {**asdict(one), "expires_at": None if one.expires_at is None else iso_seconds(one.expires_at)}


@click.command()
@click.argument("session")
@json_option
@located
def points(place: Place, *, session: str, as_json: bool) -> None:
    """List the points in time of a SESSION, one for each commit."""
    key = place.key(session)
    journal = place.existing().journal(session)
    tell_damage(journal.damaged)
    found = points_of(journal)
    facts = [
        {"records": one.records, "epoch": one.epoch, "commit_id": one.commit_id, "at": iso(one.at)} for one in found
    ]
    if as_json:
        print_json(facts)
    else:
        columns = ("RECORDS", "AT", "EPOCH", "COMMIT")
        rows = [(one["records"], one["at"], one["epoch"], one["commit_id"]) for one in facts]
        print_table(columns, rows, f"{shown(key)}: no records yet")
