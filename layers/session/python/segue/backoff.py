"""Pauses between attempts, each longer than the one before, up to a limit."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first: float, longest: float, *, factor: float = 2.0, jitter: bool = True) -> Iterator[float]:
    """Yield pauses without end.

    Args:
        first: Seconds of the first pause.
        longest: Seconds of the longest.
        factor: Length of each pause, in lengths of the one before.
        jitter: Shortens each pause by up to half, so that many processes do not try at the same moment.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0) if jitter else pause  # noqa: S311 - jitter, not a secret
        pause = min(pause * factor, longest)
