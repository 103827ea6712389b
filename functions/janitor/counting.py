"""Metrics of the janitor's sweeps, written as the other functions' (``shared.metrics``)."""

from __future__ import annotations

from shared import metrics
from shared.metrics import FunctionCount


def swept(objects: int) -> None:
    """A sweep is done, which deleted so many objects."""
    metrics.count(FunctionCount.SWEEPS)
    metrics.count(FunctionCount.OBJECTS_DELETED, objects)


def failed() -> None:
    """A sweep has failed, and will be tried again."""
    metrics.count(FunctionCount.SWEEP_FAILURES)
