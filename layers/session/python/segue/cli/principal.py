"""``segue principals name``, which is ``segue principal`` too: the name under which a user's sessions are kept."""

from __future__ import annotations

import click

from segue.ids import principal_of


@click.command(short_help="The same as `principals name`: print a user's principal.")
@click.option("--issuer", required=True, help="The `iss` of the user's tokens.")
@click.option("--subject", required=True, help="The `sub` of the user's tokens.")
def principal(*, issuer: str, subject: str) -> None:
    """Print a user's principal: a hash of the issuer and the subject of its tokens.

    --principal and "segue principals delete" take this principal. "segue principal" and "segue principals name" are one
    command.
    """
    click.echo(principal_of(issuer, subject))
