"""``segue principal``: the name under which a deployment keeps the sessions of a user."""

from __future__ import annotations

import click

from segue.ids import principal_of


@click.command()
@click.option("--issuer", required=True, help="As the `iss` of the user's tokens names it.")
@click.option("--subject", required=True, help="The `sub` of the user's tokens.")
def principal(*, issuer: str, subject: str) -> None:
    """Print the principal of a user, for --principal: a hash of the issuer and the subject of its tokens."""
    click.echo(principal_of(issuer, subject))
