"""Time-outs that grow with the machine: a slow or busy one gets more time, and no more is waited on a quick one."""

from __future__ import annotations

import os
import time

MOST = 10.0
"""Times that a time-out is made longer at most: a machine that is busier than that is not waited for."""

USUAL_MS = 6.0
"""Milliseconds that the piece of work below takes on a usual machine with nothing else to do."""

_LOOPS = 200_000


def factor(load: float, work_ms: float) -> float:
    """Return how many times longer than usual things may take: 1 to 10.

    Args:
        load: Processes that want to run, for each core.
        work_ms: Milliseconds that the piece of work has taken.
    """
    return min(MOST, max(1.0, load, work_ms / USUAL_MS))


def measured() -> tuple[float, float]:
    """Return the load of the last minute, for each core, and the milliseconds of the piece of work."""
    begun = time.perf_counter()
    sum(range(_LOOPS))
    return os.getloadavg()[0] / (os.cpu_count() or 1), (time.perf_counter() - begun) * 1000


def patient(seconds: float) -> float:
    """Return a time-out for this machine, as busy as it is.

    Args:
        seconds: Enough on a usual machine.
    """
    return seconds * factor(*measured())
