"""``delete`` and ``release``: what needs the lease, and takes it as everybody else does."""

from __future__ import annotations

from typing import Any

import click

from segue.admin.fork import answered
from segue.cli.location import Place, json_option, located
from segue.cli.output import print_json, waiting
from segue.clock import Clock
from segue.errors import SegueError, SessionHeld, SessionNotFound, StorageUnavailable
from segue.ids import shown
from segue.journal.garbage import finish_deletion, sweep_ended
from segue.lease.item import GuardItem
from segue.lease.item_reader import look, wall_of
from segue.lease.lease import Lease
from segue.session.options import this_process
from segue.session.runtime import Runtime
from segue.session.session import TOMBSTONE_S, Session
from segue.storage.stores import Stores

_PATIENCE_S = 2.0
"""Seconds beyond a holder's lease that are waited: looks are a quarter of a second apart."""


async def _item_of(stores: Stores, key: str, clock: Clock) -> GuardItem:
    seen = await look(stores.guard, key, clock, stores.prefix)
    if seen.item is None:
        raise SessionNotFound(key, shown(key))
    return seen.item


async def _living(stores: Stores, key: str, clock: Clock) -> GuardItem:
    seen = await look(stores.guard, key, clock, stores.prefix)
    if seen.living is None:
        raise SessionNotFound(key, shown(key))
    return seen.living


def watching(item: GuardItem) -> float:
    """Seconds in which a dead holder shows itself to be dead."""
    return item.lease_ms / 1000 + _PATIENCE_S


@click.command()
@click.argument("session")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="If it is held, wait until the holder's lease has run out.")
@json_option
@located
def delete(place: Place, *, session: str, yes: bool, force: bool, as_json: bool) -> None:
    """Delete a SESSION: every record of it, for good. Its id may begin anew.

    A session that is held is not deleted. --force waits for as long as a lease lasts and takes the session if its
    holder stayed silent, as any other program would; a holder that lives keeps it, and has to be stopped first.
    """
    key = place.key(session)
    item = place.run(lambda stores, clock: _item_of(stores, key, clock))
    if item.deleted:
        swept = place.run(lambda stores, clock: _finish(stores, key, clock))
        if not swept:
            raise SessionNotFound(key, shown(key))
    else:
        if not yes:
            click.confirm(f"Delete {shown(key)} with its {item.head} records for good?", abort=True, err=True)
        with waiting(f"waiting for {item.holder or 'nobody'}"):
            swept = place.run(lambda stores, clock: _delete(stores, key, clock, wait=force))
    if as_json:
        print_json({"session": shown(key), "deleted": True, "objects": swept})
    else:
        click.echo(f"{shown(key)} is deleted, {swept} objects of it")


async def _finish(stores: Stores, key: str, clock: Clock) -> int | None:
    return await finish_deletion(stores.guard, stores.objects, stores.prefix, key, clock)


async def _delete(stores: Stores, key: str, clock: Clock, *, wait: bool) -> int:
    """End a life as ``Session.delete`` does, but without reading it: what is damaged can be deleted, too.

    An expired life goes on if its holder comes back before somebody begins another. So another is begun, and buried.
    """
    item = await _item_of(stores, key, clock)
    lease = Lease(stores.guard, key, holder=f"segue delete on {this_process()}", prefix=stores.prefix, clock=clock)
    try:
        await lease.acquire(watching(item) if wait else 0.0)
    except SessionHeld as held:
        raise SegueError(refusal(key, held, waited=wait)) from held
    tombstone = await answered(clock, lambda: lease.bury(TOMBSTONE_S))
    return await sweep_ended(stores.objects, stores.prefix, tombstone, wall_of(stores.guard, clock))


def refusal(key: str, held: SessionHeld, *, waited: bool) -> str:
    """Say that a holder keeps its session, and what to do about it."""
    holder = f"{shown(key)} is held by {held.holder!r} at epoch {held.epoch}"
    if waited:
        return f"{holder}, which lives: stop that first; a living holder is never passed over"
    return f"{holder}: stop that first, or use --force to wait until its lease has run out"


@click.command()
@click.argument("session")
@json_option
@located
def release(place: Place, *, session: str, as_json: bool) -> None:
    """Free the lease of a SESSION whose holder is dead, and finish what it left unfinished.

    Forces nothing: watches the holder for as long as its lease lasts, takes the session if it stayed silent, sweeps
    an unfinished redaction, and lets go. A holder that lives keeps the session.
    """
    key = place.key(session)
    before = place.run(lambda stores, clock: _living(stores, key, clock))
    needed = before.held or before.scrub is not None
    if needed:
        with waiting(f"watching {before.holder or shown(key)} for {watching(before):.0f} s"):
            after = place.run(lambda stores, clock: _release(stores, before, clock))
    else:
        after = before
    facts: dict[str, Any] = {
        "session": shown(key),
        "released": needed,
        "holder": before.holder,
        "epoch": after.epoch,
        "swept": before.scrub is not None,
    }
    if as_json:
        print_json(facts)
    elif not needed:
        click.echo(f"{shown(key)} is free already, at epoch {after.epoch}")
    else:
        who = f"taken from {before.holder!r} and released" if before.held else "swept"
        click.echo(f"{shown(key)} is {who}, at epoch {after.epoch}")


async def _release(stores: Stores, item: GuardItem, clock: Clock) -> GuardItem:
    holder = f"segue release on {this_process()}"
    lease = Lease(stores.guard, item.session_key, holder=holder, prefix=stores.prefix, clock=clock)
    session = Session(lease, stores, Runtime.shared().heartbeats, clock)
    try:
        await session.open(watching(item))
    except SessionHeld as held:
        raise SegueError(refusal(item.session_key, held, waited=True)) from held
    await session.close()
    after = await _item_of(stores, item.session_key, clock)
    if after.held and after.epoch == lease.epoch:
        runs_out = f"the lease of {holder!r} runs out within {watching(after):.0f} s"
        raise StorageUnavailable(f"{shown(item.session_key)}: taken, but its release was not answered; {runs_out}")
    return after
