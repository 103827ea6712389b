"""Reader of a model's events in one task: a wait for the next one can be given up without breaking the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream's end, and why."""

    error: Exception | None


class Pump:
    """Pump of one stream's events."""

    def __init__(self, events: AsyncIterable[Any], mark: Callable[[], Any]) -> None:
        """Prepare.

        Args:
            events: What to read.
            mark: Called with each event as it is read, which is a little before it is taken.
        """
        self._events = events
        self._mark = mark
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._task: asyncio.Task[None] | None = None

    def start_reading(self) -> None:
        """Begin to read, unless that was done."""
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="model events")

    async def __aenter__(self) -> Self:
        """Begin to read."""
        self.start_reading()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading."""
        await self.stop_reading()

    async def stop_reading(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def next(self, timeout: float) -> tuple[Any, Any]:
        """Return the next event or an ``Ended``, with its mark; None and the present mark if nothing came in time.

        Args:
            timeout: Seconds to wait.
        """
        try:
            async with asyncio.timeout(timeout):
                event: tuple[Any, Any] = await self._queue.get()
                return event
        except TimeoutError:
            return None, self._mark()

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async for event in self._events:
                await self._queue.put((event, self._mark()))
        except asyncio.CancelledError:
            reader = asyncio.current_task()
            if reader is None or reader.cancelling():
                raise
            # This task was not cancelled: the provider's client cancelled one of its own, and the stream is over.
        except Exception as failure:  # noqa: BLE001 - passed on
            error = failure
        await self._queue.put((Ended(error), self._mark()))
