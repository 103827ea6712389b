"""The pauses of handoffs and takeovers, with two calls under way."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import Handoffs, Wire
from local.deployment.outputs import Deployment
from local.settings import Settings
from segue import LeaseSettings
from tests.chaos import calls
from tests.chaos.faults import NO_FAULTS
from tests.chaos.fleet import Fleet

DEFAULT_LEASE = LeaseSettings()

MODEL_START_SECONDS = 0.5
"""Time of a provider to accept a connection with a history: some tenths of a second."""


SHOWN: Final = 3
"""Handoffs of each kind, the slowest, of which the parts are told."""

CALLER_PAUSE_SECONDS = 2.0
"""Time, about, for which callers who pause say nothing after an answer: half of it at least."""


@dataclass(frozen=True)
class Scene:
    """A kind of planned handoff.

    Attributes:
        name: Of its model and callers.
        start_s: Time that the model takes to start.
        additions: Whether the model can be told, once it is connected, what was said since.
        pause_s: Time for which callers say nothing after an answer.
        judged: Whether it is held against the target.
        directly: Whether callers connect to the workers' own sockets.
    """

    name: str
    start_s: float
    additions: bool = True
    pause_s: float = 0.0
    judged: bool = True
    directly: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The worker's variables. A model by another name takes no additions; see ``worker.providers.table``."""
        plain = {} if self.additions else {"SEGUE_MODEL_ID": "offline-without-additions"}
        return {"SEGUE_REHEARSAL_START": str(self.start_s), **plain}


AT_ONCE = Scene("a model that is there at once", 0.0)
DIRECTLY = Scene(f"{AT_ONCE.name}, at the workers' sockets", 0.0, directly=True)
_SLOW = f"a model that takes {MODEL_START_SECONDS:g} s to start"
SCENES = (
    AT_ONCE,
    DIRECTLY,
    Scene(f"{_SLOW} and takes additions", MODEL_START_SECONDS),
    Scene(f"{_SLOW}, callers who pause", MODEL_START_SECONDS, additions=False, pause_s=CALLER_PAUSE_SECONDS),
    Scene(f"{_SLOW}, callers who never pause", MODEL_START_SECONDS, additions=False, judged=False),
)


@dataclass(frozen=True)
class Faults:
    """Faults of the calls.

    Attributes:
        redeploys: Planned handoffs of both calls, with a model that is there at once.
        slow_redeploys: The same in each other scene.
        kills: Holders killed; half as many at the workers' sockets.
        stops: Holders stopped, likewise.
    """

    redeploys: int
    slow_redeploys: int
    kills: int
    stops: int


@dataclass(frozen=True)
class Target:
    """The deployment to measure, and the listener of progress."""

    settings: Settings
    deployment: Deployment
    token: Callable[[], str]
    say: Callable[[str], None]


async def measure(target: Target, faults: Faults, run: Wire) -> None:
    """Measure handoffs and takeovers as two callers see them."""
    await measure_handoffs(target, faults, run)
    run.killed_ms, run.stopped_ms = await _lost_holders(target, AT_ONCE, faults.kills, faults.stops)
    run.direct_killed_ms, run.direct_stopped_ms = await _lost_holders(
        target, DIRECTLY, (faults.kills + 1) // 2, (faults.stops + 1) // 2
    )
    run.lease_ms = round(1000 * DEFAULT_LEASE.duration)


async def _lost_holders(target: Target, scene: Scene, kills: int, stops: int) -> tuple[Spread | None, Spread | None]:
    """Measure the pauses after SIGKILL and SIGSTOP of holders."""
    target.say(f"{kills} kills, {stops} stops, {scene.name}")
    killed, _ = await _faults(target, scene, kills=kills)
    stopped, _ = await _faults(target, scene, stops=stops)
    return _milliseconds(killed.killed), _milliseconds(stopped.stopped)


async def measure_handoffs(target: Target, faults: Faults, run: Wire) -> None:
    """Measure planned handoffs, whatever their model takes to start."""
    for scene in SCENES:
        redeploys = faults.redeploys if scene is AT_ONCE else faults.slow_redeploys
        target.say(f"{redeploys} redeployments, {scene.name}")
        outcome, gaps = await _faults(target, scene, redeploys=redeploys)
        run.handoffs.append(
            Handoffs(
                name=scene.name,
                judged=scene.judged,
                seen_ms=_milliseconds(outcome.gaps),
                gap_ms=Spread.of(gaps) if gaps else None,
            )
        )


async def _faults(
    target: Target, scene: Scene, *, redeploys: int = 0, kills: int = 0, stops: int = 0
) -> tuple[calls.Outcome, list[float]]:
    """Have two calls live through something; also return the gaps of handoffs that the workers measured, in ms.

    Raises:
        click.ClickException: The account of the frames is not right.
    """
    home = target.settings.home / f"faults-{random.randbytes(3).hex()}"
    (home / "logs").mkdir(parents=True)
    model_log = home / "heard.jsonl"
    variables = {"SEGUE_REHEARSAL_LOG": str(model_log), **scene.variables}
    settings = replace(target.settings, home=home, worker_environment=variables)
    dice = random.Random(f"{scene} {redeploys} {kills} {stops}")  # also names the sessions: each has its own
    plan = calls.Plan(2, redeploys, kills, stops, lines=1, faults=NO_FAULTS, pause_s=scene.pause_s)
    async with Fleet(settings, target.deployment, 2, NO_FAULTS, dice, lease=DEFAULT_LEASE) as fleet:
        urls = (fleet.direct_url,) if scene.directly else ()
        place = calls.Place(target.deployment, target.token, fleet, model_log, dice, urls)
        outcome = await calls.play(plan, place, target.say)
    if outcome.problems:
        raise click.ClickException(
            "frames were lost or doubled, so there are no figures:\n" + "\n".join(outcome.problems)
        )
    for line in slowest(settings.logs):
        target.say(line)
    return outcome, list(gaps(settings.logs))


def gaps(logs: Path) -> Iterator[float]:
    """Gaps from the first frame that the predecessor refused to the successor's ``ready``, from the workers' logs."""
    return (float(line["gap_ms"]) for line in _opened_by_handoff(logs))


def slowest(logs: Path, count: int = SHOWN) -> Iterator[str]:
    """Return what the longest of these gaps consist of, in words."""
    for line in heapq.nlargest(count, _opened_by_handoff(logs), key=lambda line: line["gap_ms"]):
        parts = {"refused to claim": round(line["gap_ms"] - line["ms"]), **line["parts_ms"]}
        ready = "ready" if line["prepared"] else "out of date" if line["opened_ahead"] else "not ready"
        yield f"{line['gap_ms']} ms, {ready}: " + ", ".join(f"{part} {spent}" for part, spent in parts.items())


def _opened_by_handoff(logs: Path) -> Iterator[dict[str, Any]]:
    for log in logs.glob("worker-*.log"):
        for line in log.read_text(encoding="utf-8").splitlines():
            # Of the calls only: sessions of the crowd that were in the queue are taken as well.
            if '"session opened"' in line and '"reason":"handoff"' in line and "/call-" in line:
                yield json.loads(line)


def _milliseconds(seconds: Sequence[float]) -> Spread | None:
    return Spread.of([1000 * one for one in seconds]) if seconds else None
