"""The plan of a run, its place and its outcome."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.deployment.outputs import Deployment
from tests.chaos.faults import FaultRates
from tests.chaos.fleet import Fleet


@dataclass(frozen=True)
class Plan:
    """Plan of a run.

    Attributes:
        calls: How many sessions at once.
        redeploys: How often all workers are replaced.
        kills: How often the worker of some call gets SIGKILL.
        stops: How often the worker of some call gets SIGSTOP, and later SIGCONT.
        lines: The least number of lines that each call says.
        faults: Rates of faults on the clients' sockets.
        fault_free: Whether no hop has faults, so that no frame comes twice and no number is missing.
        partitions: How often the worker of some call reaches neither DynamoDB nor S3 nor SQS for longer than a lease.
        mixed: Whether calls differ (the first has a second client that listens, the next renews its connection all the
            time, the third is plain, and so on), and some faults do not wait for those before them. Measurements are
            made without.
        pause_s: Seconds, about, for which a caller says nothing after an answer.
        last_silence: Whether a call goes on at its end until its last silence is acknowledged, which takes seconds.
    """

    calls: int
    redeploys: int
    kills: int
    stops: int
    lines: int
    faults: FaultRates
    fault_free: bool = True
    partitions: int = 0
    mixed: bool = False
    pause_s: float = 0.0
    last_silence: bool = False


@dataclass
class Outcome:
    """Outcome of a run.

    Attributes:
        problems: Every violation, in words.
        lines: Lines that were said and answered.
        frames: Frames that were sent.
        received: Frames that arrived.
        moves: When a client saw a ``moved``, and the next ``ready``, on the monotonic clock.
        gaps: Seconds between the two, for each planned handoff during which nothing else was done to a worker.
        disturbed: The same for the others: a worker was taken away meanwhile, or told a second time to end.
        answers: Seconds from a line's last frame to its answer.
        killed: Seconds from the SIGKILL of a call's worker to the next ``ready`` that the call heard, unless the
            adversary did something else meanwhile.
        stopped: The same for SIGSTOP, where it lasted long enough.
        stopped_from_hello: The same from the first ``hello`` over another connection, by which another worker learned
            of it, if there was one.
        partitioned: The same for a partition.
        connections: How many sockets there were in all, of clients that do not renew them.
        clients: How many clients that were.
        renewals: How many sockets followed the first of clients that do renew them.
        late: Messages of an epoch that came after one of a later epoch, none of which was too late.
    """

    problems: list[str] = field(default_factory=list)
    lines: int = 0
    frames: int = 0
    received: int = 0
    moves: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    stopped_from_hello: list[float] = field(default_factory=list)
    partitioned: list[float] = field(default_factory=list)
    connections: int = 0
    clients: int = 0
    renewals: int = 0
    late: int = 0


@dataclass(frozen=True)
class Place:
    """Place of a run.

    Attributes:
        deployment: What is deployed.
        token: Makes what lets a client in.
        fleet: The workers.
        model_log: What their models heard.
        dice: Decides everything.
        urls: Addresses of the doors, which calls take in turn; the API's alone if left out.
    """

    deployment: Deployment
    token: Callable[[], str]
    fleet: Fleet
    model_log: Path
    dice: random.Random
    urls: tuple[str, ...] = ()

    def url_of(self, number: int) -> str:
        """Return the address that a call connects to."""
        urls = self.urls or (self.deployment.websocket_url,)
        return urls[number % len(urls)]
