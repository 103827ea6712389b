"""``list`` and ``points``."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from segue.cli.output import Advance, iso, iso_seconds, print_json, print_table, progress
from segue.cli.place import Place, json_option, located
from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.ids import shown
from segue.item import GuardItem
from segue.points import points as points_of_session
from segue.session import Stores

_READS = 16
"""Guard items that are read at once."""


@click.command("list")
@click.option("--all", "ended", is_flag=True, help="Also sessions that were deleted or have expired.")
@json_option
@located
@click.pass_context
def list_(ctx: click.Context, place: Place, *, ended: bool, as_json: bool) -> None:
    """List sessions: who holds them, how long they are, when they expire."""
    prefix = "" if place.principal is None else f"{place.principal}/"
    with progress("reading the guard") as advance:
        found = place.run(lambda stores, clock: _read_all(stores, clock, prefix, advance))
    shown = [one for one in found if ended or one["state"] not in {"deleted", "expired"}]
    if as_json:
        print_json(shown)
    else:
        columns = ("SESSION", "STATE", "HOLDER", "EPOCH", "HEAD", "EXPIRES")
        fields = ("session", "state", "holder", "epoch", "head", "expires_at")
        print_table(columns, [[one[field] for field in fields] for one in shown], "no sessions")
    unreadable = [one for one in shown if one["state"] == "unreadable"]
    for one in unreadable:
        click.echo(f"{one['session']}: {one['problem']}", err=True)
    if unreadable:
        ctx.exit(1)


async def _read_all(stores: Stores, clock: Clock, prefix: str, advance: Advance) -> list[dict[str, Any]]:
    keys = await stores.guard.keys(prefix)
    found: list[dict[str, Any]] = []
    for start in range(0, len(keys), _READS):
        batch = keys[start : start + _READS]
        facts = await asyncio.gather(*(_facts(stores, clock, key) for key in batch))
        found += [one for one in facts if one is not None]
        advance(start + len(batch), len(keys))
    return found


async def _facts(stores: Stores, clock: Clock, key: str) -> dict[str, Any] | None:
    try:
        attributes = await stores.guard.read(key)
        if attributes is None:
            return None  # gone since the keys were listed
        return facts_of(GuardItem.parse(attributes), clock.wall())
    except JournalCorrupt as error:
        nothing = dict.fromkeys(("holder", "epoch", "head", "pages", "segments", "unswept", "expires_at", "born"))
        return {"session": shown(key), "key": key, "state": "unreadable", **nothing, "problem": str(error)}


def facts_of(item: GuardItem, wall: float) -> dict[str, Any]:
    """What a guard item says, under the names that ``--json`` promises."""
    state = "held" if item.held else "free"
    if item.ended(wall):
        state = "deleted" if item.deleted else "expired"
    return {
        "session": shown(item.session_key),
        "key": item.session_key,
        "state": state,
        "holder": item.holder,
        "epoch": item.epoch,
        "head": item.head,
        "pages": item.pages,
        "segments": len(item.tail),
        "unswept": item.scrub is not None,
        "expires_at": iso_seconds(item.expires_at),
        "born": item.born,
        "problem": None,
    }


@click.command()
@click.argument("session")
@json_option
@located
def points(place: Place, *, session: str, as_json: bool) -> None:
    """List the points in time of a SESSION: each commit is one."""
    key = place.key(session)
    found = place.run(lambda stores, clock: points_of_session(stores, key, clock))
    facts = [
        {"records": one.records, "epoch": one.epoch, "commit_id": one.commit_id, "at": iso(one.at)} for one in found
    ]
    if as_json:
        print_json(facts)
    else:
        columns = ("RECORDS", "AT", "EPOCH", "COMMIT")
        rows = [(one["records"], one["at"], one["epoch"], one["commit_id"]) for one in facts]
        print_table(columns, rows, f"{shown(key)}: no records yet")
