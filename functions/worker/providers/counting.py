"""Counts what became of model connections: one metric line in the log a time, which CloudWatch reads out of it."""

from __future__ import annotations

from typing import Final

from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE: Final = "Segue"


def count(metric: str, provider: str) -> None:
    """Count something that happened once.

    Args:
        metric: Its name.
        provider: With which provider.
    """
    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as line:
        line.add_dimension(name="provider", value=provider)
