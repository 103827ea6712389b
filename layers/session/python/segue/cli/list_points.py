"""``list`` and ``points``."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from segue.cli.location import Place, json_option, located
from segue.cli.output import Advance, iso, iso_seconds, print_json, print_table, progress, waiting
from segue.cli.show_tail import read_journal, tell_damage
from segue.cli.staleness import READS, Seen, silent_holders
from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.history.points import points_of
from segue.ids import shown
from segue.lease.item import GuardItem
from segue.lease.item_reader import Look, look
from segue.storage.stores import Stores


@click.command("list")
@click.option("--all", "ended", is_flag=True, help="Also sessions that were deleted or have expired.")
@click.option("--no-watch", is_flag=True, help="Do not watch holders: quick, but tells none to be stale.")
@json_option
@located
@click.pass_context
def list_(ctx: click.Context, place: Place, *, ended: bool, no_watch: bool, as_json: bool) -> None:
    """List sessions: who holds them, how long they are, when they expire.

    A holder that is silent for as long as its lease lasts is stale: its session may be taken over. To see that, holders
    are watched until they show themselves, for a lease at most. None of this takes a lease.
    """
    prefix = "" if place.principal is None else f"{place.principal}/"
    with progress("reading the guard") as advance:
        found, held = place.run(lambda stores, clock: _read_all(stores, clock, prefix, advance))
    if held and not no_watch:
        with waiting(f"watching holders: {len(held)}"):
            silent = place.run(lambda stores, clock: silent_holders(stores, clock, held))
        for key in (seen.item.session_key for seen in held):
            found[key]["stale"] = key in silent
    shown_ones = [one for one in found.values() if ended or one["state"] not in {"deleted", "expired"}]
    if as_json:
        print_json(shown_ones)
    else:
        _print(shown_ones)
    for one in shown_ones:
        if one["problem"] is not None:
            click.echo(f"{one['session']}: {one['problem']}", err=True)
    if any(one["state"] == "unreadable" for one in shown_ones):
        ctx.exit(1)


def _print(found: list[dict[str, Any]]) -> None:
    columns = ("SESSION", "STATE", "HOLDER", "EPOCH", "HEAD", "EXPIRES")
    fields = ("session", "state", "holder", "epoch", "head", "expires_at")
    told = [{**one, "state": "stale" if one["stale"] else one["state"]} for one in found]
    print_table(columns, [[one[field] for field in fields] for one in told], "no sessions")


async def _read_all(
    stores: Stores, clock: Clock, prefix: str, advance: Advance
) -> tuple[dict[str, dict[str, Any]], list[Seen]]:
    """Read all guard items. Returns the facts by key, and the items that are held."""
    keys = await stores.guard.keys(prefix)
    found: dict[str, dict[str, Any]] = {}
    held: list[Seen] = []
    for start in range(0, len(keys), READS):
        batch = keys[start : start + READS]
        looks = await asyncio.gather(*(_look(stores, clock, key) for key in batch))
        for key, one in zip(batch, looks, strict=True):
            if isinstance(one, JournalCorrupt):
                found[key] = _unreadable(key, one)
            elif one.item is not None:  # else gone since the keys were listed
                found[key] = facts_of(one.item, one.at, stores.prefix)
                if found[key]["state"] == "held":
                    held.append(Seen(one.item, clock.now()))
        advance(start + len(batch), len(keys))
    return found, held


async def _look(stores: Stores, clock: Clock, key: str) -> Look | JournalCorrupt:
    try:
        return await look(stores.guard, key, clock)
    except JournalCorrupt as error:
        return error


def _unreadable(key: str, error: JournalCorrupt) -> dict[str, Any]:
    names = ("stale", "holder", "epoch", "head", "pages", "segments", "unswept", "expires_at", "born", "prefix")
    nothing = dict.fromkeys(names)
    return {"session": shown(key), "key": key, "state": "unreadable", **nothing, "problem": str(error)}


def facts_of(item: GuardItem, at: float, prefix: str) -> dict[str, Any]:
    """What a guard item says, under the names that ``--json`` promises.

    Args:
        item: The item.
        at: When it was read, by storage's own clock.
        prefix: Where its objects are looked for.
    """
    state = "held" if item.held else "free"
    elsewhere = item.prefix not in {None, prefix}
    if item.ended(at):
        state = "deleted" if item.deleted else "expired"
    return {
        "session": shown(item.session_key),
        "key": item.session_key,
        "state": state,
        "stale": None,
        "holder": item.holder,
        "epoch": item.epoch,
        "head": item.head,
        "pages": item.pages,
        "segments": len(item.tail),
        "unswept": item.scrub is not None,
        "expires_at": iso_seconds(item.expires_at),
        "born": item.born,
        "prefix": item.prefix,
        "problem": f"its records are under the prefix {item.prefix!r}, not under {prefix!r}" if elsewhere else None,
    }


@click.command()
@click.argument("session")
@json_option
@located
def points(place: Place, *, session: str, as_json: bool) -> None:
    """List the points in time of a SESSION: each commit is one."""
    key = place.key(session)
    journal = read_journal(place, key)
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
