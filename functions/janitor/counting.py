"""Metrics of the janitor's sweeps, written as the other functions' (``shared.metrics``)."""

from __future__ import annotations

from shared import metrics
from shared.metrics import FunctionCount


def swept(objects: int) -> None:
    """Count a finished sweep, and the objects that it deleted."""
    metrics.count(FunctionCount.SWEEPS)
    metrics.count(FunctionCount.OBJECTS_DELETED, objects)


def failed() -> None:
    """Count a failed sweep, which will be tried again."""
    metrics.count(FunctionCount.SWEEP_FAILURES)
