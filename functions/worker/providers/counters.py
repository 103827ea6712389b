"""Counts of what became of model connections, among what the worker tells each minute."""

from __future__ import annotations

from shared.log import logger
from worker.telemetry.metrics import Model, metrics


def count(metric: str, provider: str) -> None:
    """Count something that happened once.

    Args:
        metric: Its name, one of ``worker.telemetry.metrics.Model``.
        provider: With which provider. Not a dimension: a deployment has one.
    """
    if metric in Model:
        metrics.count(Model(metric))
    else:  # a conversation is worth more than a number
        logger.error("a provider counts an unknown metric, it is left out", metric=metric, provider=provider)
