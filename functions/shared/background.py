"""Tasks in the background: kept until they are done, since the event loop itself keeps no reference to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

from shared.log import logger


class BackgroundTasks:
    """Tasks that no caller waits for."""

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


async def first_of[T](work: Awaitable[T], *ends: Awaitable[object], timeout: float | None = None) -> T | None:
    """Wait until one of several is done; the others are cancelled, and their ends not waited for.

    The first that is done decides, of two at one moment the one that is named first. An error of it is raised. Errors
    of the others are logged. If this wait is cancelled, all are.

    Args:
        work: Coroutine or task.
        ends: The same: each ends the wait for ``work``.
        timeout: Seconds after which this returns although none is done; None: waits.

    Returns:
        The result of ``work``; None if another was done before it, or none in time. One that was cancelled elsewhere
        has no result either.
    """
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in (work, *ends)]
    first: asyncio.Future[Any] | None = None
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        first = next((task for task in tasks if task in done), None)
    finally:
        for task in tasks:
            if task is not first:
                task.cancel()
                task.add_done_callback(_log_failure)
    if first is None or first.cancelled():
        return None
    result: T = first.result()
    return result if first is tasks[0] else None


def _log_failure(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        kind = type(error).__name__
        logger.error("work that is not waited for any longer has failed", exc_info=error, kind=kind)
