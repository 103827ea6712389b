"""``python -m smoke --url wss://…``, the token in SEGUE_TOKEN: after a deployment."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from functools import partial
from typing import Final

import click
from rich.console import Console

from smoke import redeploy, stack
from smoke.report import Line
from smoke.story import Story
from smoke.visit import Visit

LONG_SECONDS = 600.0
"""API Gateway ends a connection after ten idle minutes; flows inside a VPC are dropped earlier."""

ADDRESS: Final = re.compile(r"wss?://[^/\s]+\S*")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--url", required=True, help="The deployment's WebSocket address: the output WebSocketUrl or DirectEndpoint."
)
@click.option(
    "--stack",
    "name",
    help="Common name of the stacks, such as Segue-dev; with AWS credentials, the sessions are deleted at the end.",
)
@click.option("--long", "is_long", is_flag=True, help="Stay silent for ten minutes, too, then say one thing.")
@click.option(
    "--idle-seconds", type=click.FloatRange(min=0), help="Stay silent for so many seconds, then say one thing."
)
@click.option(
    "--redeploy", "is_redeployed", is_flag=True, help="Replace all worker tasks during the call. Needs --stack."
)
@click.option("--redeploy-with", "command", help="Shell command that replaces the workers, and ends when they are.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def main(
    url: str,
    *,
    name: str | None,
    is_long: bool,
    idle_seconds: float | None,
    is_redeployed: bool,
    command: str | None,
    as_json: bool,
) -> None:
    """Play a whole story against a deployment, in about three minutes, and report what came.

    The token comes from SEGUE_TOKEN. A spoken turn talks to the deployment's own model, which costs some cents.
    Exit codes: 0 nothing differs, 1 something does, 2 wrong usage.
    """
    if not ADDRESS.fullmatch(url):
        raise click.UsageError(
            f"--url {url!r} is no WebSocket address: `make smoke URL=wss://…` with the output WebSocketUrl."
        )
    token = os.environ.get("SEGUE_TOKEN")
    if not token:
        raise click.UsageError("SEGUE_TOKEN is not set: it holds the token (docs/deploy.md says how to get one).")
    if is_redeployed and not name:
        raise click.UsageError("--redeploy needs --stack and AWS credentials.")
    idle = idle_seconds if idle_seconds is not None else LONG_SECONDS if is_long else 0.0
    visit = Visit(url=url, token=token, idle_seconds=idle)
    console = Console(stderr=True)

    def show(line: Line) -> None:
        console.print(f"{line.state.value:<8}{line.step}", highlight=False, markup=False)

    async def work() -> Story:
        story = Story(visit, show)
        deployed = await _find_stack(name) if name else None
        redeployment = partial(redeploy.by_command, command) if command else None
        if is_redeployed and deployed is not None:
            redeployment = deployed.redeploy  # type: ignore[assignment]  # takes nothing either
        await story.play(deployed=deployed, redeployment=redeployment)
        return story

    report = asyncio.run(work()).report
    if as_json:
        click.echo(json.dumps(report.facts(), indent=2))
    else:
        report.show(Console())
    sys.exit(0 if report.well else 1)


async def _find_stack(name: str) -> stack.Stack:
    try:
        return await stack.find(name)
    except OSError as error:
        raise click.UsageError(f"--stack {name}: {error}") from None


if __name__ == "__main__":
    main(prog_name="python -m smoke")
