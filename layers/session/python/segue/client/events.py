"""The events that wait for the user's loop."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self

from segue.client.errors import ClientError
from segue.wire.frames import AudioOutput, InputAck, ServerFrame, Transcript


class EventBuffer:
    """A queue that never makes the connection wait: when it is full, the oldest of what may be lost goes."""

    def __init__(self, capacity: int) -> None:
        """Start empty."""
        self._capacity = capacity
        self._waiting: deque[ServerFrame] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._failure: ClientError | None = None

    def put(self, events: Iterable[ServerFrame]) -> None:
        """Add events."""
        self._waiting.extend(events)
        while len(self._waiting) > self._capacity:
            losable = next((event for event in self._waiting if _is_losable(event)), None)
            if losable is None:
                break
            self._waiting.remove(losable)
        if self._waiting:
            self._arrived.set()

    def end(self, failure: ClientError | None) -> None:
        """Nothing more will come; `failure` is raised after the last event."""
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
        return self._waiting.popleft()


class EventStream:
    """An async iterator over the events."""

    def __init__(self, buffer: EventBuffer) -> None:
        """Read from a buffer."""
        self._buffer = buffer

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> ServerFrame:
        """The next event."""
        return await self._buffer.next()


def _is_losable(event: ServerFrame) -> bool:
    return isinstance(event, AudioOutput | InputAck) or (isinstance(event, Transcript) and not event.final)
