"""The commands of ``python -m local`` for a person who writes an agent: ``check``, ``add``, ``sessions``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import click

from local.deployment.issuer import SUBJECT
from local.developing import check as checks
from local.processes.children import base_environment
from local.settings import Settings
from local.stack import run_file
from local.stack.control import Client


@click.command()
@click.pass_obj
def check(settings: Settings, /) -> None:
    """Check functions/worker/agent.py: import it, build both agents, look at their tools. Replaces nothing.

    Each mistake is a line with file and line. A redeployment, ``npx cdk synth`` and the image's build do the same.
    """
    # The command is fixed but for paths of this checkout.
    result = subprocess.run(  # noqa: S603
        checks.command(settings), env=checks.environment(settings, base_environment()), check=False
    )
    if result.returncode == 0:
        click.echo("agent.py is fine: both agents can be built.")
    sys.exit(result.returncode)


@click.command()
@click.argument("package")
@click.pass_obj
def add(settings: Settings, /, package: str) -> None:
    """Add a PACKAGE of PyPI for the agent: to requirements/agent.in and to the locks. ``make setup`` then installs it.

    PACKAGE is as pip takes it: httpx, or 'httpx>=0.28'.
    """
    from local.developing.packages import add as added

    click.echo(f"{added(settings, package)} is in requirements/agent.in and locked.")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--subject", default=SUBJECT, help="User whose sessions are meant.  [default: local]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def sessions(settings: Settings, /, subject: str, arguments: tuple[str, ...]) -> None:
    """Run ``segue sessions`` (docs/cli.md) on the running stack's sessions.

    list | show conversation | tail conversation | …; without arguments the commands are listed. A session is an id,
    or <subject>/<id>.
    """
    from local.developing import sessions as lookups

    facts = asyncio.run(Client(run_file.require(settings)).status())
    sys.exit(lookups.run(arguments or ("--help",), facts, subject, os.environ))


COMMANDS = (check, add, sessions)
