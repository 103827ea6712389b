"""Time, injected, so that no test waits and no two machines' clocks are compared.

Durations are measured on a process's own monotonic clock. Wall-clock time is used for the ``at`` of a record, which
people read, and where a directory is storage; DynamoDB tells its own time, which ``expires_at`` goes by.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

# CLOCK_MONOTONIC stands still while a machine is suspended; a lease does not. Linux has a clock that
# counts the suspended time too, other systems' time.monotonic() already does or has no better one.
_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """A source of time: the system's, or a test's."""

    def now(self) -> float:
        """Seconds on this process's own monotonic clock."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for people, and for storage that tells no time of its own."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The real clock. Counts the time that the machine was suspended, where the system can tell."""

    def now(self) -> float:
        """Seconds since boot, suspension included."""
        return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
