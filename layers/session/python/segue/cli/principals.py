"""``segue principals``: the name of a user's principal, and the deletion of everything that it has."""

from __future__ import annotations

from typing import Any

import click

from segue.admin.principals import DeletedPrincipal
from segue.cli.location import Place, json_option, located
from segue.cli.output import print_json, progress


@click.group()
def principals() -> None:
    """Print the principal of a user, or delete all of its sessions.

    A principal owns sessions: one user of a deployment, by a name that is made from the user's tokens.

    Exit codes: 0 done, 1 failed or a session is left, 2 wrong usage.
    """


@principals.command("delete")
@click.argument("principal_id", metavar="PRINCIPAL")
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@click.option("--force", is_flag=True, help="Wait for the leases of silent holders to expire, then delete.")
@json_option
@located
@click.pass_context
def delete_all(ctx: click.Context, place: Place, *, principal_id: str, yes: bool, force: bool, as_json: bool) -> None:
    """Delete every session of a PRINCIPAL for good, and every object that no session of it has.

    A session that is held is named and left: stop its holder, or use --force, which waits for as long as a lease lasts
    and takes the session of a holder that stayed silent. If this is cut short, the same command does the rest.
    """
    sessions = place.existing()
    if not yes:
        click.confirm(f"Delete every session of {principal_id!r} for good?", abort=True, err=True)
    try:
        with progress(f"deleting the sessions of {principal_id}") as advance:
            done = sessions.delete_principal(principal_id, wait=force, progress=advance)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(_facts(principal_id, done))
    else:
        click.echo(f"{principal_id}: {done.sessions} sessions are deleted, {done.objects} objects")
        _tell_left(done, forced=force)
    if not done.complete:
        ctx.exit(1)


def _facts(principal: str, done: DeletedPrincipal) -> dict[str, Any]:
    return {
        "principal": principal,
        "complete": done.complete,
        "sessions": done.sessions,
        "objects": done.objects,
        "held": done.held,
        "unreadable": done.unreadable,
        "young": done.young,
        "foreign": done.foreign,
    }


def _tell_left(done: DeletedPrincipal, *, forced: bool) -> None:
    then = "it lives: stop it first" if forced else "stop it first, or use --force to wait until its lease has expired"
    for session, holder in done.held.items():
        click.echo(f"{session} is held by {holder!r} and left: {then}", err=True)
    for session, damage in done.unreadable.items():
        click.echo(f"{session} is left: {damage}", err=True)
    if done.young:
        click.echo(f"{done.young} objects are younger than two hours and may be of a copy: delete again then", err=True)
    for key in done.foreign:
        click.echo(f"{key} is not Segue's, and left", err=True)
