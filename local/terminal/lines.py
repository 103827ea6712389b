"""Lines from standard input without a thread: from a terminal, a pipe or a file."""

import asyncio
import codecs
import os
from collections.abc import AsyncIterator

READ_BYTES = 65_536


async def lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file descriptor, without their ends, until it is at its end.

    A thread blocked in a read could not be ended when the program wants to stop; a reader of the event loop can.

    Args:
        descriptor: An open file descriptor; it is left open and in blocking mode.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := await _read(descriptor):
        *complete, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in complete:
            yield line.removesuffix("\r")
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


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
        return os.read(descriptor, READ_BYTES)
    finally:
        loop.remove_reader(descriptor)
