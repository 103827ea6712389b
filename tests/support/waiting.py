"""Waiting for a condition, bounded. The bound is for what never comes: a busy machine is not to reach it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Half of what a test may take. A condition that holds costs nothing of it."""


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return as soon as a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.005)


def eventually_sync(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.005)
