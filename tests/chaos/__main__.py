"""``python -m tests.chaos``: as many redeployments, kills and stops as wanted, with or without faults."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.chaos.calls import Outcome, Plan
from tests.chaos.faults import NO_FAULTS, REQUEST_FAULTS, SOCKET_FAULTS, FaultRates
from tests.chaos.stage import deployed


@click.command()
@click.option("--seed", type=int, default=None, help="Seed of the order of events.  [default: a new one]")
@click.option(
    "--calls", type=click.IntRange(min=1), default=2, show_default=True, help="Number of calls at the same time."
)
@click.option(
    "--redeploys", type=click.IntRange(min=0), default=5, show_default=True, help="Times that all workers are replaced."
)
@click.option(
    "--kills", type=click.IntRange(min=0), default=2, show_default=True, help="Times that a holder gets SIGKILL."
)
@click.option(
    "--stops",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Times that a holder gets SIGSTOP, and SIGCONT later.",
)
@click.option(
    "--partitions",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Times that a holder reaches neither DynamoDB, S3 nor SQS for longer than its lease.",
)
@click.option(
    "--lines", type=click.IntRange(min=1), default=3, show_default=True, help="Lines that each call says at least."
)
@click.option(
    "--storm/--calm", default=False, help="Whether messages are lost, delayed, reordered and refused on every hop."
)
@click.option(
    "--transport",
    type=click.Choice(("api", "direct", "both")),
    default="api",
    show_default=True,
    help="Calls' way to their workers; with `both` every second call is direct.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder of state and logs.  [default: temporary]")
def main(
    *,
    seed: int | None,
    calls: int,
    redeploys: int,
    kills: int,
    stops: int,
    partitions: int,
    lines: int,
    storm: bool,
    transport: str,
    home: Path | None,
) -> None:
    """Hold calls while their workers are replaced, killed and stopped; account for every frame at the end."""
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    plan = Plan(
        calls,
        redeploys,
        kills,
        stops,
        lines,
        SOCKET_FAULTS if storm else NO_FAULTS,
        fault_free=not storm,
        partitions=partitions,
        mixed=True,
        last_silence=True,
    )
    began = time.monotonic()

    def tell(text: str) -> None:
        click.echo(f"{time.monotonic() - began:7.1f} s  {text}", err=True)

    tell(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="segue-chaos-") as scratch:
        faults = REQUEST_FAULTS if storm else NO_FAULTS
        outcome = asyncio.run(_run(plan, faults, random.Random(seed), home or Path(scratch), tell, transport))
    tell("done")
    click.echo(
        f"{outcome.lines} lines answered, {outcome.frames} frames sent, {outcome.received} received, "
        f"{outcome.connections} connections of {outcome.clients} clients, and {outcome.renewals} renewals"
    )
    click.echo(f"{outcome.late} messages of an epoch came when a later one had begun")
    if outcome.answers:
        slowest = ", ".join(f"{one:.1f} s" for one in sorted(outcome.answers)[-5:])
        click.echo(f"answers took {statistics.median(outcome.answers):.1f} s in the median; the slowest: {slowest}")
    if outcome.gaps:
        ordered = sorted(outcome.gaps)
        click.echo(
            f"{len(ordered)} planned handoffs: p50 {statistics.median(ordered) * 1000:.0f} ms, "
            f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:.0f} ms, the slowest {ordered[-1] * 1000:.0f} ms"
        )
    if outcome.disturbed:
        click.echo(
            f"{len(outcome.disturbed)} more while a worker was killed, stopped, cut off or hurried: "
            f"the slowest {max(outcome.disturbed) * 1000:.0f} ms"
        )
    for fault, pauses in (
        ("killed", outcome.killed),
        ("stopped", outcome.stopped),
        ("stopped, from the first hello elsewhere", outcome.stopped_from_hello),
        ("cut off", outcome.partitioned),
    ):
        if pauses:
            click.echo(f"{fault}: the next worker after " + ", ".join(f"{pause:.1f} s" for pause in sorted(pauses)))
    for problem in outcome.problems:
        click.echo(problem)
    click.echo("something was lost or doubled" if outcome.problems else "nothing was lost or doubled")
    sys.exit(1 if outcome.problems else 0)


async def _run(
    plan: Plan, faults: FaultRates, dice: random.Random, home: Path, tell: Callable[[str], None], transport: str
) -> Outcome:
    async with deployed(home, transport) as stage:
        tell("deployed")
        return await stage.run(plan, faults, dice, home, tell)


if __name__ == "__main__":
    main()
