"""What this worker counts and measures, told to CloudWatch once a minute as log lines (Embedded Metric Format).

Namespace ``Segue``, dimensions ``service`` and ``stage``; one line for the whole process, none in a minute without
anything to tell. Counting is one addition on the event loop; only the line of each minute costs more.

    name               unit           what
    ActiveSessions     Count          sessions held, when the minute ends; told as soon as there was one
    Commits            Count          times that the journal was found to have grown
    CommitLatency      Milliseconds   from what the gate waits for to its being durable
    GateWait           Milliseconds   how long a frame of journal content waited at the gate
    Restores           Count          sessions opened with a history
    RestoreTime        Milliseconds   from the claim to ``ready``, the model's start included
    Handoffs           Count          sessions passed on by this worker
    HandoffGap         Milliseconds   successor: from the predecessor's last frame to ``ready`` (see below)
    HandoffsPrepared   Count          of those, the ones whose successor was ready before
    Takeovers          Count          sessions taken from a holder that had not let go
    Fenced             Count          sessions that turned out to be somebody else's
    LeaseLosses        Count          sessions given up because the lease could not be renewed in time
    FramesIn           Count          frames taken from clients
    FramesOut          Count          frames posted to clients
    Resends            Count          frames that clients sent again although they were there
    DroppedAudio       Count          audio frames dropped because a client reads too slowly
    ModelRestarts      Count          restarts of a model's connection
    FirstAudioLatency  Milliseconds   from a text, or a user's transcript, to the first audio of the answer
    Unanswered         Count          texts found without an answer after a restore, and given to the model again
    DrainOverruns      Count          sessions that were not passed on before the drain's time was up
    Errors             Count          errors shown to clients; ``Errors.<code>`` for each kind

``HandoffGap`` is the predecessor's pause (from refusing frames to the release, told with the claim) plus the
successor's own (from the claim to ``ready``): two durations, each on one clock. The way between the two is left out.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from enum import StrEnum
from typing import Final

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

NAMESPACE: Final = "Segue"

PERIOD_SECONDS: Final = 60.0
"""CloudWatch's own resolution: more often would cost more and show no more."""

SAMPLES: Final = 100
"""Values of one measure in a line: the format takes no more. Of more, a fair sample is told."""


class Count(StrEnum):
    """Things that happen."""

    COMMITS = "Commits"
    RESTORES = "Restores"
    HANDOFFS = "Handoffs"
    HANDOFFS_PREPARED = "HandoffsPrepared"
    TAKEOVERS = "Takeovers"
    FENCED = "Fenced"
    LEASE_LOSSES = "LeaseLosses"
    FRAMES_IN = "FramesIn"
    FRAMES_OUT = "FramesOut"
    RESENDS = "Resends"
    DROPPED_AUDIO = "DroppedAudio"
    MODEL_RESTARTS = "ModelRestarts"
    UNANSWERED = "Unanswered"
    DRAIN_OVERRUNS = "DrainOverruns"
    ERRORS = "Errors"


class Time(StrEnum):
    """Durations, counted in milliseconds."""

    COMMIT_LATENCY = "CommitLatency"
    GATE_WAIT = "GateWait"
    RESTORE = "RestoreTime"
    HANDOFF_GAP = "HandoffGap"
    FIRST_AUDIO = "FirstAudioLatency"


class Level(StrEnum):
    """How things stand."""

    ACTIVE_SESSIONS = "ActiveSessions"


class Metrics:
    """Collects what happens until it is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._counts: Counter[str] = Counter()
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        self._seen: Counter[str] = Counter()
        self._levels: dict[str, float] = {}

    def count(self, what: Count, times: int = 1) -> None:
        """Something happened."""
        self._counts[what] += times

    def error(self, code: str) -> None:
        """A client was shown an error.

        Args:
            code: Its code.
        """
        self._counts[Count.ERRORS] += 1
        self._counts[f"{Count.ERRORS}.{code}"] += 1

    def time(self, what: Time, seconds: float) -> None:
        """Something took so long."""
        self._seen[what] += 1
        values = self._times[what]
        if len(values) < SAMPLES:
            values.append(seconds * 1000)
        elif (place := random.randrange(self._seen[what])) < SAMPLES:  # noqa: S311 - a sample
            values[place] = seconds * 1000

    def level(self, what: Level, value: float) -> None:
        """Something stands at so much."""
        self._levels[what] = value

    def take(self) -> tuple[dict[str, int], dict[str, list[float]], dict[str, float]]:
        """Return counts and times since the last call, and how things stand."""
        taken = dict(self._counts), dict(self._times), dict(self._levels)
        for collected in (self._counts, self._times, self._seen):
            collected.clear()
        return taken


metrics: Final = Metrics()
"""The process's."""


class Reporter:
    """Writes what was collected to the standard output."""

    def __init__(self, collected: Metrics, *, service: str, stage: str) -> None:
        """Keep what to tell and of whom.

        Args:
            collected: What to tell.
            service: Dimension.
            stage: Dimension.
        """
        self._collected = collected
        self._service = service
        self._stage = stage

    async def run(self) -> None:
        """Tell every minute, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            # In a thread: whoever reads the output may be slow.
            await asyncio.to_thread(self._write, *self._collected.take())

    def tell(self) -> None:
        """Write one line, or nothing if nothing happened."""
        self._write(*self._collected.take())

    def _write(self, counts: dict[str, int], times: dict[str, list[float]], levels: dict[str, float]) -> None:
        if not (counts or times or levels):
            return
        provider = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=self._service)
        provider.add_dimension("stage", self._stage)
        # The provider would write by itself when a hundred values have come: one less makes it one line.
        for name, count in (*counts.items(), *levels.items()):
            provider.add_metric(name, MetricUnit.Count, count)
        for name, values in times.items():
            for value in values[: SAMPLES - 1]:
                provider.add_metric(name, MetricUnit.Milliseconds, value)
        provider.flush_metrics()
