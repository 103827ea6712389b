"""A clock that stands still while the machine is busy with other processes."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

TICK_SECONDS = 0.01
"""Seconds between two looks at the real clock."""

LONGEST_TICK_SECONDS = 0.02
"""Seconds that count, at most, of the time between two looks. What is longer, the machine gave to other processes."""


class SteadyClock:
    """Counts the seconds in which this process had its turns: on a quiet machine, all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = self._now = time.monotonic()
        threading.Thread(target=self._tick, name="steady-clock", daemon=True).start()

    def now(self) -> float:
        with self._lock:
            seen = time.monotonic()
            self._now += min(seen - self._seen, LONGEST_TICK_SECONDS)
            self._seen = seen
            return self._now

    def stopped(self) -> AbstractContextManager[object]:
        """Stop the clock in a block, and whatever asks for its time there."""
        return self._lock

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            self.now()


_clocks: dict[int, SteadyClock] = {}


def steady() -> SteadyClock:
    """Return this process's clock. A forked child has its own: threads do not survive a fork."""
    if (process := os.getpid()) not in _clocks:
        _clocks[process] = SteadyClock()
    return _clocks[process]


@pytest.fixture(scope="session", autouse=True)
def steady_clock() -> Iterator[None]:
    """Let all sessions of this process go by that clock, from here on.

    A lease of two seconds is lost by right if the machine stops its holder's process for so long; but that is not what
    a test of heartbeats and hangs is about. Holders and successors in one process share the clock.
    """
    from segue.session.runtime import Runtime  # only where there are sessions

    runtime = Runtime.shared()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "clock", steady())
        patch.setattr(runtime.heartbeats, "_clock", steady())
        yield
