"""Tasks in the background: kept until they are done, since the event loop itself keeps no reference to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any


class BackgroundTasks:
    """Runs tasks that no caller waits for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` as a task of its own.

        Args:
            work: It handles its own errors.
            name: The task's name in asyncio's messages.
        """
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def done(self) -> None:
        """Wait for the tasks that run now."""
        if self._running:
            await asyncio.wait(self._running)


async def first_of(*waited: Awaitable[Any], timeout: float | None = None) -> None:
    """Wait until one of several is done; the others are cancelled.

    Args:
        waited: Coroutines or tasks.
        timeout: Seconds after which this returns although none is done; None: waits.
    """
    tasks = [asyncio.ensure_future(one) for one in waited]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
