"""Renewal of a model's connection in a silence, before the provider's time limit ends it in a sentence."""

from __future__ import annotations

from typing import Final

from strands.bidi.models import ConnectionTimeoutError

from worker.providers.connection.activity import Activity
from worker.providers.counters import count

RENEWAL_SHARE: Final = 0.8
"""The share of a connection's time after which it is renewed in the next silence. Strands renews at the end of it."""

QUIET_SECONDS: Final = 1.5
"""Seconds without any event that count as silence: longer than a pause within a sentence."""


def renew_if_due(limit_seconds: float, activity: Activity, provider: str) -> None:
    """Have the agent replace the connection if most of its time is over and the conversation is silent.

    Args:
        limit_seconds: Seconds after which the agent replaces a connection, silence or not; 0: never.
        activity: Of the connection.
        provider: The provider's name, for the metric.

    Raises:
        ConnectionTimeoutError: The connection is to be replaced.
    """
    due = 0 < limit_seconds * RENEWAL_SHARE <= activity.age()
    if due and activity.quiet_for() >= QUIET_SECONDS:
        count("ModelConnectionRenewed", provider)
        raise ConnectionTimeoutError("renewed between turns, before the provider's limit")
