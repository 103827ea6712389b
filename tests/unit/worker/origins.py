"""A server that answers byte by byte as it is told, at the other end of kept connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Origin:
    """Keeps what it is sent. ``answers`` are used up one by one, then it answers with 200; None hangs up."""

    def __init__(self) -> None:
        self.answers: list[tuple[bytes, ...] | None] = []
        self.asked: list[bytes] = []
        self.connected = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, found, rest = head.lower().partition(b"content-length: ")
                body = await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""
                self.asked.append(head + body)
                parts = self.answers.pop(0) if self.answers else (EMPTY,)
                if parts is None:
                    break
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if parts[-1] == b"":  # an empty last part: the connection ends
                    break
        writer.close()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    made = Origin()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
