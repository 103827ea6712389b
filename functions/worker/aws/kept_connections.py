"""HTTP/1.1 over kept-alive connections to one origin, for a small request that is made hundreds of times a second.

aiohttp's client takes two to three times as long for one: it is ready for cookies, redirects and proxies each time.
Here a request is one write. aiohttp's parser reads the answer, whose body is small.

    idle ─▶ taken, the latest first ─▶ request ─▶ answer, its body has ended ─▶ idle
                                          └ an error, a cancellation, ``connection: close`` ─▶ closed

Nothing is sent twice unless the caller says that it may be. A new connection is opened only when none is idle, or in
the place of one that was idle for too long, so there are never more than requests at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

HTTP_ERRORS: Final = (OSError, HttpProcessingError)
"""Errors of a request that brought no answer, or one that cannot be read. A ``TimeoutError`` is an ``OSError``."""

BODY_BYTES: Final = 64 * 1024
"""Bytes of an answer's body at most; a longer one counts as no answer. Those of API Gateway have some hundred."""

ATTEMPT_SECONDS: Final = 0.25
"""Seconds after which the next of a host's addresses is tried beside the one before."""


type _Address = tuple[Any, ...]


class NotConnected(TimeoutError):  # noqa: N818 - an observation
    """Raised when no connection is made in time; nothing was sent."""


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeptConnections:
    """Kept-alive connections to one origin."""

    def __init__(
        self, url: str, *, most: int, idle_seconds: float, seconds: float, connect_seconds: float | None = None
    ) -> None:
        """Open no connection yet.

        Args:
            url: Any URL of the origin.
            most: Connections at once; further requests wait.
            idle_seconds: How long one that is unused may be used again.
            seconds: For a request, its wait for a connection included.
            connect_seconds: For a new connection; None: as long as the request has.

        Raises:
            ValueError: It is no URL of a host.
        """
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("the URL has no host")
        self._host = parts.hostname
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        names_default = parts.port == (443 if self._tls else 80)  # the ``host`` header leaves the default port out
        self._netloc = parts.netloc.rpartition(":")[0] if names_default else parts.netloc
        self._idle_seconds = idle_seconds
        self._seconds = seconds
        self._connect_seconds = connect_seconds
        self._free = asyncio.Semaphore(most)
        self._idle: OrderedDict[_Connection, float] = OrderedDict()
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        repeatable: bool = False,
        idle_seconds: float | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Make one request.

        Args:
            method: The HTTP method.
            url: A URL of the origin, percent-encoded.
            headers: Beside ``host`` and ``content-length``.
            body: Empty: there is none.
            repeatable: Whether it may be sent twice: if a kept connection ends without an answer, a new one follows.
            idle_seconds: How long its connection may have been unused; None: as long as for any.
            seconds: For this request; None: as long as any.

        Raises:
            NotConnected: There was no connection within ``connect_seconds``.
            OSError: There was no answer; what was sent may have had its effect.
            HttpProcessingError: The same: the answer is none.
            ValueError: A header's value cannot be one. Nothing was sent.
        """
        request = self._encoded(method, url, headers, body)
        async with asyncio.timeout(self._seconds if seconds is None else seconds), self._free:
            kept = self._take_idle(self._idle_seconds if idle_seconds is None else idle_seconds)
            if kept is None:
                return await self._exchange(await self._connect(), request)
            try:
                return await self._exchange(kept, request)
            except ConnectionError:
                if not repeatable:
                    raise
            return await self._exchange(await self._connect(), request)

    async def once(self, url: str, seconds: float) -> Answer:
        """Ask for something over a connection that is new, and is closed after it.

        Args:
            url: A URL of the origin, percent-encoded.
            seconds: For the answer, whole, from when the connection is there.

        Raises:
            NotConnected: There was no connection within ``connect_seconds``.
            TimeoutError: There was no answer in time.
            OSError: There was no answer.
            HttpProcessingError: The answer is none.
        """
        request = self._encoded("GET", url, {"connection": "close"}, b"")
        connection = await self._connect()
        try:
            async with asyncio.timeout(seconds):
                message, body = await connection.exchange(request)
        finally:
            connection.close()
        return Answer(message.code, message.headers, body)

    def _encoded(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        if not all(map(str.isprintable, headers.values())):
            raise ValueError("a header's value has characters that end it")
        path = urlsplit(url).path or "/"
        length = f"content-length: {len(body)}\r\n" if body or method == "POST" else ""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._netloc}\r\n{length}{lines}\r\n"
        return head.encode("latin-1") + body

    async def _exchange(self, connection: _Connection, request: bytes) -> Answer:
        try:
            message, body = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if message.should_close or self._closed:
            connection.close()
        else:
            self._idle[connection] = asyncio.get_running_loop().time()
        return Answer(message.code, message.headers, body)

    async def close(self) -> None:
        """Close the connections that are idle, and those under way once they have their answer."""
        self._closed = True
        while self._idle:
            self._idle.popitem()[0].close()
        await asyncio.sleep(0)  # in which transports are closed

    def _take_idle(self, idle_seconds: float) -> _Connection | None:
        """Take the connection that was used last; those that were not used for long are closed."""
        now = asyncio.get_running_loop().time()
        while self._idle and next(iter(self._idle.values())) < now - self._idle_seconds:
            self._idle.popitem(last=False)[0].close()
        while self._idle:
            connection, since = self._idle.popitem()
            if since < now - idle_seconds:
                connection.close()  # the new one takes its place, or their number would grow
                return None
            if connection.connected:
                return connection
        return None

    def _lost(self, connection: _Connection) -> None:
        self._idle.pop(connection, None)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._resolved(loop)
        limit = asyncio.timeout(self._connect_seconds)
        try:
            async with limit:
                connected = await start_connection(addresses, happy_eyeballs_delay=ATTEMPT_SECONDS, loop=loop)
        except TimeoutError:
            if limit.expired():
                raise NotConnected("no connection in time") from None
            raise
        name = self._host if self._tls else None
        _, connection = await loop.create_connection(
            lambda: _Connection(loop, self._lost), sock=connected, ssl=self._tls, server_hostname=name
        )
        return connection

    async def _resolved(self, loop: asyncio.AbstractEventLoop) -> list[_Address]:
        """Look the host up, which is no part of the time for a connection; an address needs no thread for it."""
        try:
            return socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)


class _Connection(BaseProtocol):
    """One connection, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[_Connection], None]) -> None:
        super().__init__(loop)
        self._lost = lost
        self._reader = HttpResponseParser(self, loop, BODY_BYTES, read_until_eof=True, auto_decompress=False)
        self._parser = self._reader  # which the base class pauses
        self._message: RawResponseMessage | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._answer: asyncio.Future[RawResponseMessage] | None = None

    async def exchange(self, request: bytes) -> tuple[RawResponseMessage, bytes]:
        """Send a request; return the head of its answer and its body, when that has ended."""
        if self.transport is None:
            raise ConnectionResetError("the connection was closed")
        self._message = None
        self._answer = self._loop.create_future()
        self.transport.write(request)
        message = await self._answer
        return message, self._body.read_nowait()

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
            self._message, self._body = message, payload
            payload.on_eof(self._ended)

    def connection_lost(self, error: BaseException | None) -> None:
        """End the request under way: a body without a length ends with its connection."""
        super().connection_lost(error)
        self._lost(self)
        if error is None and self._message is not None:
            try:
                self._reader.feed_eof()
            except Exception as incomplete:  # noqa: BLE001 - the parser's own kinds
                self._fail(incomplete)
        self._fail(ConnectionResetError("the connection was closed before the answer"))

    def _ended(self) -> None:
        if self._answer is not None and not self._answer.done() and self._message is not None:
            self._answer.set_result(self._message)

    def _fail(self, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            known = isinstance(error, OSError | HttpProcessingError)
            self._answer.set_exception(error if known else HttpProcessingError(message=type(error).__name__))
        self.close()
