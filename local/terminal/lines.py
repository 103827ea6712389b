"""Lines from standard input without a thread: from a terminal, a pipe or a file."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
import os
from collections import deque
from typing import Self

READ_BYTES = 65_536
BEHIND_SECONDS = 0.2


class Lines:
    """The lines of a file descriptor, without their ends, until it is at its end.

    A thread blocked in a read could not be ended when the program wants to stop; a reader of the event loop can. A wait
    that is cancelled loses no line: the next one brings it.
    """

    def __init__(self, descriptor: int) -> None:
        """Read nothing yet.

        Args:
            descriptor: An open file descriptor; it is left open and in blocking mode.
        """
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._complete: deque[str] = deque()
        self._incomplete = ""
        self._ended = False

    def __aiter__(self) -> Self:
        """Return the same lines: what one reader has read, no other one gets."""
        return self

    async def __anext__(self) -> str:
        """Return the next line."""
        while not self._complete and not self._ended:
            self._take_chunk(await _read(self._descriptor))
        if not self._complete:
            raise StopAsyncIteration
        return self._complete.popleft()

    @property
    def may_continue(self) -> bool:
        """True if more may come."""
        return bool(self._complete) or not self._ended

    def _take_chunk(self, chunk: bytes) -> None:
        self._ended = not chunk
        *complete, self._incomplete = (self._incomplete + self._decoder.decode(chunk, final=self._ended)).split("\n")
        if self._ended and self._incomplete:
            complete.append(self._incomplete)
        self._complete.extend(line.removesuffix("\r") for line in complete)


async def _read(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not readable.done():
            readable.set_result(None)

    try:
        loop.add_reader(descriptor, ready)
    except PermissionError:  # a file or the null device: cannot be watched, and never makes a reader wait
        return os.read(descriptor, READ_BYTES)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError as error:
        if error.errno != errno.EIO or not _is_in_background(descriptor):
            raise
    # A debugger has the terminal: what is typed now is for it.
    await asyncio.sleep(BEHIND_SECONDS)
    return await _read(descriptor)


def _is_in_background(descriptor: int) -> bool:
    """Tell whether another process group has the terminal now."""
    with contextlib.suppress(OSError):
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    return False
