"""The way from a client to the agent and back, the pauses of handoffs and takeovers, and what a worker carries.

    .venv/bin/python -m benchmarks.wire                               the whole run: tables
    .venv/bin/python -m benchmarks.wire --quick                       two minutes
    .venv/bin/python -m benchmarks.wire --docs docs/benchmarks.md --plot docs/images/wire.png

Everything runs on one machine, on the local deployment: the gateway is the emulator's, and its floor is measured
beside it. On the direct transport a client's socket is straight at the worker's sockets' port, without the local
stack's balancer. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from benchmarks.wire import import_times, many_sessions, pauses, round_trips
from benchmarks.wire.deployment import place
from benchmarks.wire.figures import Wire, tables
from benchmarks.wire.plot import draw

BEGIN, END = "<!-- wire: begin -->", "<!-- wire: end -->"


@dataclass(frozen=True)
class Extent:
    """Extent of a run.

    Attributes:
        echoes: Frames there and back, by each way.
        crowds: Sessions on a worker.
        crowd_s: Seconds for each.
        redeploys: Planned handoffs of two calls each, with a model that is there at once.
        slow_redeploys: The same in each other scene, of models that take their time and of the workers' own sockets.
        kills: Holders killed; half as many at the workers' sockets.
        stops: Holders stopped, likewise.
        imports: Interpreters for each function.
    """

    echoes: int
    crowds: tuple[int, ...]
    crowd_s: float
    redeploys: int
    slow_redeploys: int
    kills: int
    stops: int
    imports: int


WHOLE = Extent(
    echoes=600, crowds=(10, 40, 80), crowd_s=8.0, redeploys=15, slow_redeploys=8, kills=10, stops=6, imports=5
)
QUICK = Extent(echoes=50, crowds=(10,), crowd_s=5.0, redeploys=2, slow_redeploys=2, kills=1, stops=1, imports=2)


def say(text: str) -> None:
    """Tell of progress, apart from the figures."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)


async def measure(home: Path, extent: Extent, parts: Sequence[str]) -> Wire:
    """Measure everything."""
    run = Wire()
    if "imports" in parts:
        run.entries = await asyncio.to_thread(import_times.measure, extent.imports)
    if set(parts) <= {"imports"}:
        return run
    async with place(home) as deployed:
        if "echo" in parts:
            run.echoes = await round_trips.measure(deployed, extent.echoes, say)
        if "crowd" in parts:
            for sessions in extent.crowds:
                run.crowds += await many_sessions.measure(deployed, sessions, extent.crowd_s, say)
        faults = pauses.Faults(extent.redeploys, extent.slow_redeploys, extent.kills, extent.stops)
        target = pauses.Target(deployed.settings, deployed.deployment, deployed.token, say)
        if "pauses" in parts:
            await pauses.measure(target, faults, run)
        elif HANDOFFS in parts:
            await pauses.measure_handoffs(target, faults, run)
    return run


def put_into(path: Path, text: str) -> None:
    """Put the tables between the two marks of a page.

    Raises:
        click.ClickException: The marks are not there.
    """
    page = path.read_text(encoding="utf-8")
    head, begin, marked = page.partition(BEGIN)
    _, end, tail = marked.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{path} has no place between {BEGIN} and {END}")
    path.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}", encoding="utf-8")


PARTS = ("imports", "echo", "crowd", "pauses")
HANDOFFS = "handoffs"
"""Of the pauses, those that are planned."""


@click.command()
@click.option("--quick", is_flag=True, help="Make a small run, to see that it works.")
@click.option(
    "--part",
    "parts",
    type=click.Choice([*PARTS, HANDOFFS]),
    multiple=True,
    help="Part to measure; repeatable.  [default: all but handoffs]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="File for a plot (PNG).  [default: none]")
@click.option(
    "--docs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Page to write the tables into.  [default: none]",
)
def main(*, quick: bool, parts: tuple[str, ...], as_json: bool, docs: Path | None, plot: Path | None) -> None:
    """Measure the WebSocket protocol on the local deployment."""
    with tempfile.TemporaryDirectory(prefix="segue-wire-") as home:
        run = asyncio.run(measure(Path(home), QUICK if quick else WHOLE, parts or PARTS))
    if docs is not None:
        put_into(docs, tables(run))
    if plot is not None:
        draw(run, plot)
    click.echo(msgspec.json.format(msgspec.json.encode(run)).decode() if as_json else tables(run))
