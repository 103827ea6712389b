"""Segue's session manager beside those of Strands, in one run, on one endpoint, with a delay on each request.

    .venv/bin/python -m benchmarks.sessions                     the whole run: tables
    .venv/bin/python -m benchmarks.sessions --quick             less than a minute
    .venv/bin/python -m benchmarks.sessions --docs docs/benchmarks.md --plot docs/images/benchmarks.png

docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from benchmarks.measuring import endpoint, figures
from benchmarks.sessions import handoffs, histories, idle_sessions, managers, tables
from benchmarks.sessions import measured_manager as cells
from benchmarks.sessions.plot import draw


class Extent(msgspec.Struct, kw_only=True, frozen=True):
    """Extent of a run.

    Attributes:
        sizes: Lengths of history, in messages.
        messages: Messages added in each part, with managers whose messages take the same time at any length.
        slow: The same for the others, at up to a thousand messages of history.
        slowest: And beyond.
        restores: Times that a history is restored, if that is quick.
        handoffs: Handoffs between two processes.
        takeovers: Holders killed, and holders stopped.
        crowd: Sessions in one process.
        crowd_s: Seconds that they are watched.
    """

    sizes: tuple[int, ...]
    messages: int
    slow: int
    slowest: int
    restores: int
    handoffs: int
    takeovers: int
    crowd: int
    crowd_s: float


WHOLE = Extent(
    sizes=(10, 100, 1_000, 5_000, 10_000),
    messages=200,
    slow=100,
    slowest=20,
    restores=5,
    handoffs=40,
    takeovers=5,
    crowd=1_000,
    crowd_s=20.0,
)
QUICK = Extent(
    sizes=(10, 200), messages=6, slow=6, slowest=6, restores=1, handoffs=3, takeovers=1, crowd=50, crowd_s=6.5
)

_LONG = 1_000
PARTS = ("managers", "handover", "crowd")


def say(text: str) -> None:
    """Tell of progress, apart from the figures."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)


def measure(url: str, extent: Extent, delay_s: float, parts: Sequence[str]) -> figures.Run:
    """Measure everything.

    Args:
        url: The endpoint.
        extent: How much.
        delay_s: Seconds added to each request.
        parts: Which parts.
    """
    start = time.monotonic()
    run = figures.Run(machine=_machine(), date=f"{datetime.now(UTC):%Y-%m-%d}", delay_ms=delay_s * 1e3)
    with _environment(endpoint.client_environment(url)):
        if "managers" in parts:
            run.cells = list(_cells(url, extent, delay_s))
        place = histories.place_for("many", url)
        if "handover" in parts:
            run.handover = handoffs.measure(
                place, url, delay_s, handoffs=extent.handoffs, takeovers=extent.takeovers, say=say
            )
        if "crowd" in parts:
            say(f"{extent.crowd:,} sessions in one process")
            task = idle_sessions.Task(place=place, delay_s=delay_s, sessions=extent.crowd, seconds=extent.crowd_s)
            run.crowd = _child("benchmarks.sessions.idle_sessions", task, url, figures.Crowd)
    run.seconds = time.monotonic() - start
    return run


def _cells(url: str, extent: Extent, delay_s: float) -> Iterator[figures.Cell]:
    for name in managers.NAMES:
        place = histories.place_for(name, url)
        histories.prepare(name, cells.WARM, 2, place, url)
        for length in extent.sizes:
            say(f"{managers.LABELS[name]}, {length:,} messages")
            histories.prepare(name, f"history-{length}", length, place, url)
            yield _cell(name, length, place, url, extent, delay_s)
    shortest, longest = min(extent.sizes), max(extent.sizes)
    for length in (shortest, longest) if longest >= _LONG else (shortest,):
        say(f"{managers.LABELS['none']}, {length:,} messages")
        yield _cell("none", length, managers.Place(bucket="", lock_table=""), url, extent, delay_s)


def _cell(name: str, length: int, place: managers.Place, url: str, extent: Extent, delay_s: float) -> figures.Cell:
    same_at_any_length = name.startswith("segue") or name == "none"
    messages = extent.messages if same_at_any_length else extent.slow if length <= _LONG else extent.slowest
    task = cells.Task(
        manager=name, length=length, place=place, delay_s=delay_s, messages=messages, restores=extent.restores
    )
    return _child("benchmarks.sessions.measured_manager", task, url, figures.Cell)


def _child[T](module: str, task: msgspec.Struct, url: str, kind: type[T]) -> T:
    """Measure something in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", module, msgspec.json.encode(task).decode()],
        env=endpoint.client_environment(url),
        cwd=endpoint.ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if process.returncode:
        raise endpoint.BenchmarkError(f"{module} ended with {process.returncode}: its error is above")
    return msgspec.json.decode(process.stdout, type=kind)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Be an AWS client of the endpoint, and of nothing else."""
    variables_before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables_before)


def _machine() -> str:
    undisturbed = hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER
    priority = ", with real-time priority" if undisturbed else ""
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, {python}{priority}"


@click.command()
@click.option("--quick", is_flag=True, help="Make a small run, in less than a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="File for a plot (PNG).  [default: none]")
@click.option(
    "--docs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Page to write the tables into.  [default: none]",
)
@click.option(
    "--figures",
    "given",
    type=click.Path(exists=True, path_type=Path),
    help="JSON of an earlier run to show, instead of a new run.",
)
@click.option("--sizes", help="Lengths of history in messages, such as 10,100,1000.")
@click.option("--parts", default=",".join(PARTS), show_default=True, help="Parts to measure, with commas between.")
@click.option("--delay-ms", default=30.0, show_default=True, help="Milliseconds added to each request.")
@click.option("--endpoint", "url", help="URL of a running emulator.  [default: one is started]")
def main(
    *,
    quick: bool,
    as_json: bool,
    plot: Path | None,
    docs: Path | None,
    given: Path | None,
    sizes: str | None,
    parts: str,
    delay_ms: float,
    url: str | None,
) -> None:
    """Measure session managers side by side."""
    extent = QUICK if quick else WHOLE
    if sizes:
        extent = msgspec.structs.replace(extent, sizes=tuple(int(size) for size in sizes.split(",")))
    try:
        if given:
            run = msgspec.json.decode(given.read_bytes(), type=figures.Run)
        else:
            with nullcontext(url) if url else endpoint.emulator() as at:
                run = measure(at, extent, delay_ms / 1e3, parts.split(","))
    except endpoint.BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    _show(run, as_json=as_json)
    if docs:
        tables.write(run, docs)
    if plot:
        draw(run, plot)


def _show(run: figures.Run, *, as_json: bool) -> None:
    show: Callable[[figures.Run], None] = tables.show
    if as_json:
        click.echo(msgspec.json.encode(run).decode())
    else:
        show(run)
