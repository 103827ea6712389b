"""The way from the offline model to its reader. For development and tests."""

from __future__ import annotations

import asyncio
from collections import deque

from strands.bidi.types.events import BidiOutputEvent

_ROOM = 4


class OutputQueue:
    """Events in order, until it is ended."""

    def __init__(self) -> None:
        self._events: deque[BidiOutputEvent] = deque()
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._error: Exception | None = None
        self.ended = False

    def put(self, event: BidiOutputEvent) -> None:
        """Send an event; after the end it is dropped, as on a closed connection."""
        if not self.ended:
            self._events.append(event)
            self._arrived.set()

    async def room(self) -> None:
        """Wait while the reader is behind: a provider's buffers are not endless."""
        while len(self._events) >= _ROOM and not self.ended:
            self._drained.clear()
            await self._drained.wait()

    def end(self, error: Exception | None = None) -> None:
        """Let the reader come to an end.

        Args:
            error: What the reader is to raise after the events that are on their way. Without an error, those are
                dropped and the reader just ends.
        """
        if error is None:
            self._events.clear()
            self._error = None
        elif not self.ended:
            self._error = error
        self.ended = True
        self._arrived.set()
        self._drained.set()

    async def next_event(self) -> BidiOutputEvent | None:
        """Wait for the next event.

        Returns:
            The event, or None at the end.

        Raises:
            Exception: What ``end`` was given, once.
        """
        while not self._events and not self.ended:
            self._arrived.clear()
            await self._arrived.wait()
        if self._events:
            event = self._events.popleft()
            self._drained.set()
            return event
        error, self._error = self._error, None
        if error is not None:
            raise error
        return None
