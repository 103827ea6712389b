"""The events that wait for the user's loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self

from segue.client.errors import ClientError, EventsNotRead
from segue.wire.frames import AudioOutput, InputAck, ServerFrame, Transcript
from segue.wire.memory import kept_bytes


class EventBuffer:
    """A queue that never makes the connection wait: when it is full, the oldest of what may be lost goes.

    Attributes:
        dropped: how many have gone.
    """

    def __init__(self, capacity: int, lasting_capacity: int, capacity_bytes: int = 64 * 1024 * 1024) -> None:
        """Start empty.

        Args:
            capacity: events that wait at most, as long as some of them may be lost.
            lasting_capacity: events that wait at most, whatever they are.
            capacity_bytes: what they take at most; here too, what may be lost goes first.
        """
        self.dropped = 0
        self._capacity = capacity
        self._lasting_capacity = lasting_capacity
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._waiting: deque[ServerFrame] = deque()
        self._losable = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self._failure: ClientError | None = None

    def put(self, events: Iterable[ServerFrame]) -> None:
        """Add events.

        Raises:
            EventsNotRead: So much is waiting that must not be lost.
        """
        for event in events:
            self._waiting.append(event)
            self._losable += _is_losable(event)
            self._bytes += kept_bytes(event)
        while (len(self._waiting) > self._capacity or self._bytes > self._capacity_bytes) and self._losable:
            self._drop_oldest_losable()
        if len(self._waiting) > self._lasting_capacity or self._bytes > self._capacity_bytes:
            raise EventsNotRead("too many events wait unread: iterate over events()")
        if self._waiting:
            self._arrived.set()

    def end(self, failure: ClientError | None) -> None:
        """End the events; ``failure`` is raised after the last one."""
        if not self._ended:
            self._ended = True
            self._failure = failure
        self._arrived.set()

    async def next(self) -> ServerFrame:
        """The next event.

        Raises:
            StopAsyncIteration: the client was closed.
            ClientError: what ended it otherwise.
        """
        while not self._waiting:
            if self._failure:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        self._losable -= _is_losable(event)
        self._bytes -= kept_bytes(event)
        return event

    def _drop_oldest_losable(self) -> None:
        index = next(index for index, event in enumerate(self._waiting) if _is_losable(event))
        self._bytes -= kept_bytes(self._waiting[index])
        del self._waiting[index]
        self._losable -= 1
        self.dropped += 1


class EventStream:
    """An async iterator over the events."""

    def __init__(self, buffer: EventBuffer) -> None:
        """Read from a buffer."""
        self._buffer = buffer

    def __aiter__(self) -> Self:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> ServerFrame:
        """The next event."""
        return await self._buffer.next()


def _is_losable(event: ServerFrame) -> bool:
    return isinstance(event, AudioOutput | InputAck) or (isinstance(event, Transcript) and not event.final)
