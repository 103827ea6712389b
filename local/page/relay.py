"""WebSocket connections passed on to the emulator, with the one thing that it leaves out: the chosen subprotocol.

A browser gives up a connection whose answer names none of the subprotocols that it offered. API Gateway sends back what
the ``$connect`` function chose; the emulator does not. All else is passed on unchanged: the handshake's status,
messages, pings and pongs, close codes with their reasons, and an end without a close frame as such an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Final, Literal

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

PROTOCOL: Final = "segue.v1"

HANDSHAKE_SECONDS: Final = 35.0
"""API Gateway gives ``$connect`` 29 s."""

CLOSE_SECONDS: Final = 5.0
"""Seconds that an answer to a close frame has; then the connection just ends."""

LARGEST_BYTES: Final = 1 << 20
"""Bytes of a message; API Gateway ends at 131,072."""

_OWN_HEADERS: Final = frozenset({
    "host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
    "sec-websocket-accept", "content-length", "transfer-encoding", "content-encoding", "keep-alive", "date", "server",
})  # fmt: skip
"""Headers of one connection alone (RFC 9110, 7.6.1), which each side makes for itself."""

type Upstream = aiohttp.ClientWebSocketResponse[Literal[False]]
type Socket = web.WebSocketResponse[Literal[False]] | Upstream


class Relay:
    """Passes connections on.

    Args:
        upstream: Tells the WebSocket API's address; asked for each connection, because a deployment may change it.
    """

    def __init__(self, upstream: Callable[[], str]) -> None:
        self._upstream = upstream
        self._http: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take one connection from its handshake to its end."""
        browser: web.WebSocketResponse[Literal[False]] = web.WebSocketResponse(
            protocols=(PROTOCOL,), autoping=False, autoclose=False, compress=False, max_msg_size=LARGEST_BYTES,
            decode_text=False,
        )  # fmt: skip
        if not browser.can_prepare(request):
            return web.Response(status=426, text="a WebSocket handshake is wanted here.\n")
        try:
            emulator = await self._connect(request)
        except aiohttp.WSServerHandshakeError as refused:
            return web.Response(status=refused.status, headers=_passed_on(refused.headers or CIMultiDict()))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return web.Response(status=502, text="the emulator does not answer.\n")
        try:
            await browser.prepare(request)
            await _join(browser, emulator, request)
        finally:
            await _abort(emulator)
        return browser

    async def _connect(self, request: web.Request) -> Upstream:
        if self._http is None:
            self._http = aiohttp.ClientSession(auto_decompress=False)
        address = self._upstream() + (f"?{request.query_string}" if request.query_string else "")
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await self._http.ws_connect(
                address, headers=_passed_on(request.headers), autoping=False, autoclose=False,
                max_msg_size=LARGEST_BYTES, decode_text=False,
            )  # fmt: skip

    async def close(self) -> None:
        """End all connections."""
        if self._http is not None:
            await self._http.close()


def _passed_on(headers: object) -> CIMultiDict[str]:
    named: CIMultiDict[str] = CIMultiDict(headers)  # type: ignore[arg-type]  # any multidict of aiohttp's
    return CIMultiDict((name, value) for name, value in named.items() if name.lower() not in _OWN_HEADERS)


async def _join(browser: web.WebSocketResponse[Literal[False]], emulator: Upstream, request: web.Request) -> None:
    """Pass on what comes from either side until both have closed, or one is gone."""
    directions = {
        asyncio.create_task(_pass_on(browser, emulator), name="up"),
        asyncio.create_task(_pass_on(emulator, browser), name="down"),
    }
    try:
        done, unfinished = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        if all(_closed(task) for task in done):
            _, unfinished = await asyncio.wait(directions, timeout=CLOSE_SECONDS)
        clean = not unfinished and all(map(_closed, directions))
    finally:
        for task in directions:
            task.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
    if request.transport is not None:
        # After a close frame both ways the connection just ends; without one it has to look broken here too.
        request.transport.close() if clean else request.transport.abort()


def _closed(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()


async def _pass_on(source: Socket, sink: Socket) -> bool:
    """Pass on frames; return true if the last was a close frame, false if the connection broke."""
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.PING | WSMsgType.PONG:
                await _send(sink, bytes(message.data), message.type)
            case WSMsgType.CLOSE:
                # 0 stands for a close frame without a code.
                code = struct.pack("!H", message.data) if message.data else b""
                await _send(sink, code + str(message.extra or "").encode(), WSMsgType.CLOSE)
                return True
            case _:
                return False


async def _send(sink: Socket, data: bytes, kind: WSMsgType) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # it is going: its own way says how
        await sink.send_frame(data, kind)


async def _abort(socket: Upstream) -> None:
    """Drop the connection to the emulator, whatever state it is in."""
    response = socket._response  # noqa: SLF001 - there is no public way to end without a close frame
    response.close()
