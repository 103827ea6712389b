"""Metrics of the janitor's sweeps, written as the other functions' (``shared.metrics``)."""

from shared import metrics
from shared.metrics import Count


def swept(objects: int) -> None:
    """A sweep is done, which deleted so many objects."""
    metrics.count(Count.SWEEPS)
    metrics.count(Count.OBJECTS_DELETED, objects)


def failed() -> None:
    """A sweep has failed, and will be tried again."""
    metrics.count(Count.SWEEP_FAILURES)
