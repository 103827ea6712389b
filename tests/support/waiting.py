"""Waiting for a condition, bounded. Bounds are in seconds of the steady clock: a busy machine does not reach them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from tests.support.steady_clock import steady

_T = TypeVar("_T")

PATIENCE_SECONDS = 60.0
"""Half of what a test may take. A condition that holds costs nothing of it."""


SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.25
"""Seconds between two looks at a condition: three times as long as the look took. One that asks a server, or starts a
process, would otherwise take a core from what it waits for."""


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as a condition holds; fail if it does not in time."""
    for pause in _pauses(condition, seconds):
        await asyncio.sleep(pause)


def eventually_sync(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """The same for tests without an event loop."""
    for pause in _pauses(condition, seconds):
        time.sleep(pause)


def _pauses(condition: Callable[[], object], seconds: float) -> Iterator[float]:
    deadline, began = steady().now() + seconds, time.monotonic()
    while not condition():
        assert steady().now() < deadline, f"not within {seconds} s"
        yield min(max(3 * (time.monotonic() - began), SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        began = time.monotonic()


@contextlib.asynccontextmanager
async def within(seconds: float = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """Do as ``asyncio.timeout``: raise TimeoutError in a block that takes longer."""
    loop, deadline = asyncio.get_running_loop(), steady().now() + seconds
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal timer
            if (left := deadline - steady().now()) > 0:
                timer = loop.call_later(max(left, 0.005), look)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(seconds, look)
        try:
            yield
        finally:
            timer.cancel()


async def promptly(awaited: Awaitable[_T], seconds: float = PATIENCE_SECONDS) -> _T:
    """Do as ``asyncio.wait_for``: raise TimeoutError if that takes longer."""
    async with within(seconds):
        return await awaited
