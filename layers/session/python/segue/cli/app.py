"""The commands, and what becomes of their failures: one line that says what to do, and an exit code."""

from __future__ import annotations

import copy
import importlib.metadata
import platform
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from segue.cli.delete_release import delete, release
from segue.cli.fork_export_import import export_command, fork_command, import_command
from segue.cli.list_points import list_, points
from segue.cli.principal import principal
from segue.cli.principals import principals
from segue.cli.show_tail import show, tail
from segue.cli.verify import verify
from segue.cli.watch import watch
from segue.errors import SegueError

FAILED = 1
"""Exit code of a command that failed, or found something; 2 is click's for wrong usage."""

_EXPECTED = (SegueError, BotoCoreError, ClientError)
"""Failures that are not this program's. AWS's own come from making a client: a profile or region that is not there."""


class Commands(click.Group):
    """A group whose failures are one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except _EXPECTED as error:
            click.echo(f"error: {_sentence(error)}", err=True)
            ctx.exit(FAILED)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SegueError):
        return text
    return f"{text}; check --profile, --region and --endpoint-url"


def _version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click passes it so
    """Print the versions, and end."""
    if not asked or ctx.resilient_parsing:
        return
    segue_version, strands = (_installed(package) for package in ("segue", "strands-agents"))
    click.echo(f"segue {segue_version} (strands-agents {strands}, Python {platform.python_version()})")
    ctx.exit()


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the versions of Segue, Strands and Python.",
)
def segue() -> None:
    """Manage the conversations of real-time agents; each has one holder at a time."""


@segue.group()
def sessions() -> None:
    """Show, copy, move, check and delete sessions.

    Name their place with --bucket and --lock-table, with --directory, or in the environment (SEGUE_BUCKET,
    SEGUE_LOCK_TABLE, SEGUE_DIRECTORY, …). A SESSION is an id, or <principal>/<id>.

    Exit codes: 0 done, 1 failed or a problem found, 2 wrong usage.
    """


for command in (
    list_,
    watch,
    show,
    points,
    tail,
    fork_command,
    export_command,
    import_command,
    release,
    delete,
    verify,
):
    sessions.add_command(command)
segue.add_command(principals)
segue.add_command(principal)
named = copy.copy(principal)
named.short_help = "Print a user's principal."
principals.add_command(named, "name")
