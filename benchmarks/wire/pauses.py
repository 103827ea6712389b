"""The pauses of handoffs and takeovers, with two calls under way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import Handoffs, Wire
from local.deployment.outputs import Deployment
from local.settings import Settings
from tests.chaos import calls
from tests.chaos.faults import NO_FAULTS
from tests.chaos.fleet import LEASE_SECONDS, Fleet

MODEL_START_S = 0.5
"""Time of a provider to accept a connection with a history: some tenths of a second."""


@dataclass(frozen=True)
class Faults:
    """Faults of the calls.

    Attributes:
        redeploys: Planned handoffs of both calls, with a model that is there at once.
        slow_redeploys: The same with a model whose connection takes its time.
        kills: Holders killed.
        stops: Holders stopped.
    """

    redeploys: int
    slow_redeploys: int
    kills: int
    stops: int


@dataclass(frozen=True)
class Where:
    """The deployment to measure, and the listener of progress."""

    settings: Settings
    deployment: Deployment
    token: Callable[[], str]
    say: Callable[[str], None]


async def measure(where: Where, faults: Faults, run: Wire) -> None:
    """Measure handoffs and takeovers as two callers see them."""
    for name, redeploys, start_s in (
        ("a model that is there at once", faults.redeploys, 0.0),
        (f"a model that takes {MODEL_START_S:g} s to start", faults.slow_redeploys, MODEL_START_S),
    ):
        where.say(f"{redeploys} redeployments, {name}")
        outcome, gaps = await _faults(where, start_s, redeploys=redeploys)
        run.handoffs.append(
            Handoffs(
                name=name,
                start_ms=1000 * start_s,
                seen_ms=_milliseconds(outcome.gaps),
                gap_ms=Spread.of(gaps) if gaps else None,
            )
        )
    where.say(f"{faults.kills} kills, {faults.stops} stops")
    killed, _ = await _faults(where, 0.0, kills=faults.kills)
    stopped, _ = await _faults(where, 0.0, stops=faults.stops)
    run.killed_ms, run.stopped_ms = _milliseconds(killed.killed), _milliseconds(stopped.stopped)
    run.lease_ms = round(1000 * LEASE_SECONDS)


async def _faults(
    where: Where, start_s: float, *, redeploys: int = 0, kills: int = 0, stops: int = 0
) -> tuple[calls.Outcome, list[float]]:
    """Have two calls live through something; also return the gaps of handoffs that the workers measured, in ms.

    Raises:
        click.ClickException: The account of the frames is not right.
    """
    home = where.settings.home / f"faults-{random.randbytes(3).hex()}"
    (home / "logs").mkdir(parents=True)
    model_log = home / "heard.jsonl"
    variables = {"SEGUE_REHEARSAL_LOG": str(model_log), "SEGUE_REHEARSAL_START": str(start_s)}
    settings = replace(where.settings, home=home, worker_environment=variables)
    dice = random.Random(f"{start_s} {redeploys} {kills} {stops}")  # also names the sessions: each has its own
    plan = calls.Plan(2, redeploys, kills, stops, lines=1, faults=NO_FAULTS)
    async with Fleet(settings, where.deployment, 2, NO_FAULTS, dice) as fleet:
        outcome = await calls.play(plan, calls.Place(where.deployment, where.token, fleet, model_log, dice), where.say)
    if outcome.problems:
        raise click.ClickException(
            "frames were lost or doubled, so there are no figures:\n" + "\n".join(outcome.problems)
        )
    return outcome, list(gaps(settings.logs))


def gaps(logs: Path) -> Iterator[float]:
    """From the first frame that the predecessor refused to the successor's `ready`, as the workers' logs have it."""
    for log in logs.glob("worker-*.log"):
        for line in log.read_text(encoding="utf-8").splitlines():
            # Of the calls only: sessions of the crowd that were in the queue are taken as well.
            if '"session opened"' in line and '"reason":"handoff"' in line and "/call-" in line:
                yield float(json.loads(line)["gap_ms"])


def _milliseconds(seconds: Sequence[float]) -> Spread | None:
    return Spread.of([1000 * one for one in seconds]) if seconds else None
