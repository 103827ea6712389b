"""HTTP/1.1 over kept-alive connections to one origin, for a small request that is made hundreds of times a second.

aiohttp's client takes two to three times as long for one: it is ready for cookies, redirects and proxies each time.
Here a request is one write. aiohttp's parser reads the answer, of which only status and headers are wanted.

    idle ─▶ taken, the latest first ─▶ request ─▶ answer, its body has ended ─▶ idle
                                          └ an error, a cancellation, ``connection: close`` ─▶ closed

Nothing is sent twice: the caller knows what may be.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage

HTTP_ERRORS: Final = (OSError, HttpProcessingError)
"""Errors of a request that brought no answer, or one that cannot be read. A ``TimeoutError`` is an ``OSError``."""

BODY_BYTES: Final = 64 * 1024
"""Bytes of an answer's body that are read: more is taken for no answer. Those of API Gateway have some hundred."""

ATTEMPT_SECONDS: Final = 0.25
"""Seconds after which the next of a host's addresses is tried beside the one before."""


class KeptConnections:
    """Makes requests of one origin."""

    def __init__(self, url: str, *, most: int, idle_seconds: float, seconds: float) -> None:
        """Open no connection yet.

        Args:
            url: Any URL of the origin.
            most: Connections at once; further requests wait.
            idle_seconds: How long one that is unused may be used again.
            seconds: For a request, its wait for a connection included.
        """
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        usual = parts.port in {None, 443 if self._tls else 80}
        self._netloc = parts.netloc.rpartition(":")[0] if usual and parts.port else parts.netloc
        self._idle_seconds = idle_seconds
        self._seconds = seconds
        self._free = asyncio.Semaphore(most)
        self._idle: deque[tuple[float, _Connection]] = deque()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str]]:
        """Make one request; return the answer's status and headers.

        Args:
            method: The HTTP method.
            url: A URL of the origin, percent-encoded.
            headers: Beside ``host`` and ``content-length``.
            body: Empty: there is none.

        Raises:
            OSError: There was no answer; what was sent may have had its effect.
            HttpProcessingError: The same: the answer is none.
        """
        parts = urlsplit(url)
        length = f"content-length: {len(body)}\r\n" if body or method == "POST" else ""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {parts.path or '/'} HTTP/1.1\r\nhost: {self._netloc}\r\n{length}{lines}\r\n"
        async with asyncio.timeout(self._seconds), self._free:
            connection = self._kept() or await self._connect()
            try:
                answer = await connection.exchange(head.encode("latin-1") + body)
            except BaseException:
                connection.close()
                raise
        if answer.should_close:
            connection.close()
        else:
            self._idle.append((asyncio.get_running_loop().time(), connection))
        return answer.code, answer.headers

    async def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop()[1].close()
        await asyncio.sleep(0)  # in which transports are closed

    def _kept(self) -> _Connection | None:
        """Take the connection that was used last; those that were not used for long are closed."""
        since = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle and self._idle[0][0] < since:
            self._idle.popleft()[1].close()
        while self._idle:
            connection = self._idle.pop()[1]
            if connection.connected:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls else None
        _, connection = await loop.create_connection(
            lambda: _Connection(loop),
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=name,
            happy_eyeballs_delay=ATTEMPT_SECONDS,
        )
        return connection


class _Connection(BaseProtocol):
    """One connection, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._reader = HttpResponseParser(self, loop, BODY_BYTES, read_until_eof=True, auto_decompress=False)
        self._parser = self._reader  # which the base class pauses
        self._message: RawResponseMessage | None = None
        self._answer: asyncio.Future[RawResponseMessage] | None = None

    async def exchange(self, request: bytes) -> RawResponseMessage:
        """Send a request; return the head of its answer when its body has ended."""
        if self.transport is None:
            raise ConnectionResetError("the connection was closed")
        self._message = None
        self._answer = self._loop.create_future()
        self.transport.write(request)
        return await self._answer

    def close(self) -> None:
        """End the connection, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read a part of an answer."""
        try:
            messages, _, _ = self._reader.feed_data(data)
        except Exception as error:  # noqa: BLE001 - the parser's own kinds
            self._fail(error)
            return
        for message, payload in messages:
            if self._answer is None or self._message is not None:
                self._fail(ConnectionResetError("an answer that nothing asked for"))
                return
            self._message = message
            payload.on_eof(self._ended)

    def connection_lost(self, error: BaseException | None) -> None:
        """End the request under way: a body without a length ends with its connection."""
        super().connection_lost(error)
        if error is None and self._message is not None:
            self._reader.feed_eof()
        self._fail(ConnectionResetError("the connection was closed before the answer"))

    def _ended(self) -> None:
        if self._answer is not None and not self._answer.done() and self._message is not None:
            self._answer.set_result(self._message)

    def _fail(self, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            known = isinstance(error, OSError | HttpProcessingError)
            self._answer.set_exception(error if known else HttpProcessingError(message=type(error).__name__))
        self.close()
