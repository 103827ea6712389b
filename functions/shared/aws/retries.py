"""Failed requests that are sent again: botocore's mode ``standard``.

    no answer, half an answer, 500, 502, 503, 504    again after up to 25 ms, 50 ms, …
    throttled                                        again after up to 1 s, 2 s, …
    all else                                         not again

The same request is sent again, signed anew. Attempts end at a number and, for a process whose requests keep failing,
at a budget that answers fill up again
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

ATTEMPTS: Final = 3
"""Attempts of one request, the first included; after them its failure is raised. A frame that comes late is worth
little: its client sends it again."""

PAUSE_SECONDS: Final = 0.025
"""Seconds before the second attempt at most; doubled for the third, and shortened at random."""

THROTTLED_PAUSE_SECONDS: Final = 1.0
"""The same in seconds after a throttled attempt."""

LONGEST_PAUSE_SECONDS: Final = 20.0
"""Seconds that no pause exceeds, however often it was doubled."""

BUDGET: Final = 100
"""Attempts after the first that a process may have ahead of its answers; beyond them nothing is tried again."""

TRANSIENT_STATUS: Final = frozenset({500, 502, 503, 504})
TRANSIENT: Final = frozenset({"ReplicatedWriteConflictException", "RequestTimeout", "RequestTimeoutException"})
THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Error codes by which services say that they are asked too often."""


class RetryPolicy:
    """Policy for the attempts of one client's requests."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        """Begin with the whole budget.

        Args:
            chance: Returns a number from 0 to 1, by which pauses differ.
        """
        self._chance = chance
        self._budget = BUDGET

    def answered(self) -> None:
        """Take note of an answer."""
        self._budget = min(self._budget + 1, BUDGET)

    def pause(self, attempt: int, status: int, code: str) -> float | None:
        """Return the seconds after which a request is sent again; None: it is not.

        Args:
            attempt: The attempts made, 1 after the first.
            status: The answer's status; 0: there was none.
            code: The answer's error code; "": it has none.
        """
        throttled = code in THROTTLED or status == 429
        if not (throttled or status == 0 or status in TRANSIENT_STATUS or code in TRANSIENT):
            return None
        if attempt >= ATTEMPTS or self._budget == 0:
            return None
        self._budget -= 1
        first = THROTTLED_PAUSE_SECONDS if throttled else PAUSE_SECONDS
        return self._chance() * min(first * 2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
