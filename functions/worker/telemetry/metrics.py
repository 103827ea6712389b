"""Metrics of this worker, told to CloudWatch once a minute as log lines (Embedded Metric Format).

Namespace ``Segue``, dimensions ``service`` and ``stage``; one line for the whole process, none in a minute without
anything to tell. Counting is one addition on the event loop; only the line of each minute costs more.

    name               unit           what
    ActiveSessions     Count          sessions held, when the minute ends; told as soon as there was one
    Commits            Count          commits to journals
    CommitLatency      Milliseconds   how long one took, all its tries included
    RecordsPerCommit   Count          how many records one had
    GateWait           Milliseconds   how long a frame of journal content waited at the gate
    Restores           Count          sessions opened with a history
    RestoreTime        Milliseconds   from the claim to ``ready``, the model's start included
    RestoreSize        Bytes          what was read for one, as it is stored
    Handoffs           Count          sessions passed on by this worker
    HandoffGap         Milliseconds   successor: from the predecessor's last frame to ``ready`` (see below)
    HandoffsPrepared   Count          of those, the ones whose successor was ready before
    Takeovers          Count          sessions taken over from a holder that had not released them
    Fenced             Count          sessions that turned out to be another holder's
    LeaseLosses        Count          sessions given up because the lease could not be renewed in time
    FramesIn           Count          frames taken from clients
    FramesOut          Count          frames posted to clients
    Resends            Count          frames that clients sent again although they were there
    DroppedAudio       Count          audio frames dropped because a client reads too slowly
    ModelRestarts      Count          restarts of a model's connection
    FirstAudioLatency  Milliseconds   from a text, or a user's transcript, to the first audio of the answer
    Unanswered         Count          texts found without an answer after a restore, and given to the model again
    DrainOverruns      Count          sessions that were not passed on before the drain's time was up
    LoopBlocked        Count          times that code held the event loop for more than half a second; the log has where
    Sockets            Count          clients' sockets at this worker (direct transport), when the minute ends
    SocketsOpened      Count          sockets that were let in
    SocketsTurnedAway  Count          those that were closed with 1013: this worker was full, or leaving
    HandshakesExpired  Count          connections over which no request came in time
    FramesForwarded    Count          frames of this worker's sockets passed to holders on other workers
    OutputForwarded    Count          messages of this worker's sessions passed to sockets of other workers
    SessionsFollowed   Count          sessions handed to the worker where their client's socket is
    Errors             Count          errors shown to clients; ``Errors.<code>`` for each kind
    Model…             Count          what became of model connections, see ``Model`` and docs/providers.md

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
    LOOP_BLOCKED = "LoopBlocked"
    SOCKETS_OPENED = "SocketsOpened"
    SOCKETS_TURNED_AWAY = "SocketsTurnedAway"
    HANDSHAKES_EXPIRED = "HandshakesExpired"
    FRAMES_FORWARDED = "FramesForwarded"
    OUTPUT_FORWARDED = "OutputForwarded"
    SESSIONS_FOLLOWED = "SessionsFollowed"


class Model(StrEnum):
    """Counts of connections to a model: how each began, and why it ended or was refused."""

    BY_HANDLE = "ModelConnectedByHandle"
    BY_HISTORY = "ModelConnectedByHistory"
    BY_ADDITIONS = "ModelConnectedByAdditions"
    BY_NOTHING = "ModelConnectedByNothing"
    HANDLE_UNUSABLE = "ModelHandleUnusable"
    HISTORY_CUT = "ModelHistoryCut"
    OFFER_REFUSED = "ModelOfferRefused"
    RENEWED = "ModelConnectionRenewed"
    THROTTLED = "ModelThrottled"
    UNAVAILABLE = "ModelUnavailable"
    DISCONNECTED = "ModelDisconnected"
    ACCESS = "ModelAccessDenied"
    NOT_FOUND = "ModelNotFound"
    CREDENTIALS = "ModelCredentialsInvalid"
    CONTENT = "ModelContentRefused"
    REQUEST = "ModelRequestRefused"
    FAILED = "ModelFailed"


class Time(StrEnum):
    """Durations, counted in milliseconds."""

    COMMIT_LATENCY = "CommitLatency"
    GATE_WAIT = "GateWait"
    RESTORE = "RestoreTime"
    HANDOFF_GAP = "HandoffGap"
    FIRST_AUDIO = "FirstAudioLatency"


class Size(StrEnum):
    """Distributions of sizes."""

    RECORDS = "RecordsPerCommit"
    RESTORE = "RestoreSize"


class Level(StrEnum):
    """Gauges: values of the moment."""

    ACTIVE_SESSIONS = "ActiveSessions"
    SOCKETS = "Sockets"


UNITS: Final[dict[str, MetricUnit]] = {
    **dict.fromkeys(Time, MetricUnit.Milliseconds),
    Size.RECORDS: MetricUnit.Count,
    Size.RESTORE: MetricUnit.Bytes,
}
"""Of what is measured."""


class Metrics:
    """Metrics of this process, collected until they are written."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._counts: Counter[str] = Counter()
        self._values: defaultdict[str, list[float]] = defaultdict(list)
        self._counted: Counter[str] = Counter()
        self._levels: dict[str, float] = {}

    def count(self, what: Count | Model, times: int = 1) -> None:
        """Count an event."""
        self._counts[what] += times

    def error(self, code: str) -> None:
        """Count an error that a client was shown.

        Args:
            code: Its code.
        """
        self._counts[Count.ERRORS] += 1
        self._counts[f"{Count.ERRORS}.{code}"] += 1

    def time(self, what: Time, seconds: float) -> None:
        """Sample a duration."""
        self._sample(what, seconds * 1000)

    def size(self, what: Size, value: int) -> None:
        """Sample a size."""
        self._sample(what, value)

    def committed(self, records: int, seconds: float) -> None:
        """Count a journal's commit, its records and its duration."""
        self.count(Count.COMMITS)
        self.time(Time.COMMIT_LATENCY, seconds)
        self.size(Size.RECORDS, records)

    def level(self, what: Level, value: float) -> None:
        """Set a level to its present value."""
        self._levels[what] = value

    def take_figures(self) -> tuple[dict[str, int], dict[str, list[float]], dict[str, float]]:
        """Return counts and measures since the last call, and how things stand."""
        taken = dict(self._counts), dict(self._values), dict(self._levels)
        for collected in (self._counts, self._values, self._counted):
            collected.clear()
        return taken

    def _sample(self, what: str, value: float) -> None:
        self._counted[what] += 1
        values = self._values[what]
        if len(values) < SAMPLES:
            values.append(value)
        elif (place := random.randrange(self._counted[what])) < SAMPLES:  # noqa: S311 - a sample
            values[place] = value


metrics: Final = Metrics()
"""The process's."""


class Reporter:
    """Writer of collected metrics to the standard output."""

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

    async def run(self, seconds: float) -> None:
        """Tell again and again after so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            # In a thread: the reader of the output may be slow.
            await asyncio.to_thread(self._write, *self._collected.take_figures())

    def write_line(self) -> None:
        """Write one line, or nothing if nothing happened."""
        self._write(*self._collected.take_figures())

    def _write(self, counts: dict[str, int], measures: dict[str, list[float]], levels: dict[str, float]) -> None:
        if not (counts or measures or levels):
            return
        provider = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=self._service)
        provider.add_dimension("stage", self._stage)
        # The provider would write by itself when a hundred values have come: one less makes it one line.
        for name, count in (*counts.items(), *levels.items()):
            provider.add_metric(name, MetricUnit.Count, count)
        for name, values in measures.items():
            for value in values[: SAMPLES - 1]:
                provider.add_metric(name, UNITS[name], value)
        provider.flush_metrics()
