"""Metrics of the functions, told to CloudWatch as log lines (Embedded Metric Format).

Namespace ``Segue``, dimensions ``service`` and ``stage``, as the workers'. A line is written for what is rare: a line
for every frame would cost more than the frame, and API Gateway and Lambda count those anyway.

    name             unit          service        what
    Claims           Count         segue-gateway  claims sent, to a worker or to the queue
    ClaimsQueued     Count         segue-gateway  of those, the ones that no worker took directly
    Refused          Count         segue-gateway  frames and hellos refused, whatever the reason
    Failures         Count         segue-gateway  messages that something inside failed at
    AnswersLost      Count         segue-gateway  answers of the message function itself that a client was not told
    SessionsOffered  Count         segue-gateway  sessions of stopped tasks offered to others
    Turns            Count         segue-turn     text turns taken
    TurnTime         Milliseconds  segue-turn     from the invocation to the end of a turn that was taken
    TurnFailures     Count         segue-turn     tries that failed; the text is tried again
    Commits          Count         segue-turn     commits of text turns
    CommitLatency    Milliseconds  segue-turn     how long each took
    Restores         Count         segue-turn     sessions read, because no warm process had them as they are
    RestoreTime      Milliseconds  segue-turn     to take and read one, and to build its agent
    Fenced           Count         segue-turn     turns whose session another holder acquired meanwhile
    Sweeps           Count         segue-janitor  sweeps done, of an incarnation that ended or of the bucket each week
    ObjectsDeleted   Count         segue-janitor  objects that they deleted
    SweepFailures    Count         segue-janitor  sweeps that failed; they are tried again
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE: Final = "Segue"


class FunctionCount(StrEnum):
    """Things that happen."""

    CLAIMS = "Claims"
    CLAIMS_QUEUED = "ClaimsQueued"
    REFUSED = "Refused"
    FAILURES = "Failures"
    ANSWERS_LOST = "AnswersLost"
    SESSIONS_OFFERED = "SessionsOffered"
    TURNS = "Turns"
    TURN_FAILURES = "TurnFailures"
    COMMITS = "Commits"
    RESTORES = "Restores"
    FENCED = "Fenced"
    SWEEPS = "Sweeps"
    OBJECTS_DELETED = "ObjectsDeleted"
    SWEEP_FAILURES = "SweepFailures"


class FunctionTime(StrEnum):
    """Durations, counted in milliseconds."""

    TURN = "TurnTime"
    COMMIT = "CommitLatency"
    RESTORE = "RestoreTime"


def count(what: FunctionCount, times: int = 1) -> None:
    """Count an event."""
    _write_metric(what, MetricUnit.Count, times)


def time(what: FunctionTime, seconds: float) -> None:
    """Sample a duration."""
    _write_metric(what, MetricUnit.Milliseconds, seconds * 1000)


def _write_metric(name: str, unit: MetricUnit, value: float) -> None:
    dimensions = {
        "service": os.environ.get("POWERTOOLS_SERVICE_NAME", "unknown"),
        "stage": os.environ.get("SEGUE_STAGE", "unknown"),
    }
    with single_metric(name, unit, value, namespace=NAMESPACE, default_dimensions=dimensions):
        pass
