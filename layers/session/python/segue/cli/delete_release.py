"""``delete`` and ``release``: commands that need the lease, and take it as any other program does."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from segue.admin.delete_release import item_of, needs_release, watching
from segue.admin.delete_release import release as release_session
from segue.cli.location import Place, json_option, located
from segue.cli.output import print_json, waiting
from segue.errors import SegueError, SessionHeld
from segue.ids import shown


@click.command()
@click.argument("session")
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@click.option("--force", is_flag=True, help="Wait for a silent holder's lease to expire, then delete.")
@json_option
@located
def delete(place: Place, *, session: str, yes: bool, force: bool, as_json: bool) -> None:
    """Delete all records of a SESSION for good. A new session may have its id.

    A session that is held is not deleted. --force waits for as long as a lease lasts and takes the session if its
    holder stayed silent, as any other program would; a holder that lives keeps it, and has to be stopped first.
    """
    key = place.key(session)
    item = place.run(lambda stores, clock: item_of(stores, key, clock))
    if not item.deleted and not yes:
        click.confirm(f"Delete {shown(key)} with its {item.head} records for good?", abort=True, err=True)
    with waiting(f"waiting for {item.holder or shown(key)}"):
        try:
            swept = place.existing().delete(session, wait=force)
        except SessionHeld as held:
            raise SegueError(refusal(key, held, waited=force)) from held
    if as_json:
        print_json({"session": shown(key), "deleted": True, "objects": swept})
    else:
        click.echo(f"{shown(key)} is deleted, {swept} objects of it")


def refusal(key: str, held: SessionHeld, *, waited: bool) -> str:
    """Say that a holder keeps its session, and what to do about it."""
    holder = f"{shown(key)} is held by {held.holder!r} at epoch {held.epoch}"
    if waited:
        return f"{holder}, which lives: stop that first; a living holder is never passed over"
    return f"{holder}: stop that first, or use --force to wait until its lease has expired"


@click.command()
@click.argument("session")
@json_option
@located
def release(place: Place, *, session: str, as_json: bool) -> None:
    """Release a SESSION whose holder is dead, and finish its redactions.

    Forces nothing: watches the holder for as long as its lease lasts, takes the session if it stayed silent, sweeps
    an unfinished redaction, and releases. A holder that lives keeps the session.
    """
    key = place.key(session)
    before = place.run(lambda stores, clock: item_of(stores, key, clock, current=True))
    watched = waiting(f"watching {before.holder or shown(key)} for {watching(before):.0f} s")
    with watched if needs_release(before) else contextlib.nullcontext():
        try:
            done = place.run(lambda stores, clock: release_session(stores, before, clock))
        except SessionHeld as held:
            raise SegueError(refusal(key, held, waited=True)) from held
    after = done.after
    facts: dict[str, Any] = {
        "session": shown(key),
        "released": done.needed,
        "holder": before.holder,
        "epoch": after.epoch,
        "swept": before.scrub is not None,
    }
    if as_json:
        print_json(facts)
    elif not done.needed:
        click.echo(f"{shown(key)} is free already, at epoch {after.epoch}")
    else:
        outcome = f"taken from {before.holder!r} and released" if before.held else "swept"
        click.echo(f"{shown(key)} is {outcome}, at epoch {after.epoch}")
