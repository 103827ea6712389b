"""Relays between two parties, which hand on messages and requests or inject faults into them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol
from yarl import URL

from segue.wire.binary import LENGTH_BYTES
from segue.wire.codes import SERVICE_RESTART, TRY_AGAIN_LATER
from tests.chaos.faults import Fate, FaultInjector
from tests.chaos.wire import Wire

LOOPBACK: Final = "127.0.0.1"

CONNECT_SECONDS: Final = 0.25
"""The gateway's own: it connects to the relay at once, and must not wait longer for the worker behind it. One that is
killed while a connection is made may leave it without an answer for the kernel's second."""

TOLD_CODES: Final = frozenset({SERVICE_RESTART, TRY_AGAIN_LATER})
"""Close codes that tell a client what to do next; all others are passed on as an ordinary end."""

_HOP_BY_HOP: Final = frozenset({"transfer-encoding", "connection", "keep-alive", "content-length", "content-encoding"})


class SocketRelay:
    """A WebSocket server that hands messages on to another, both ways.

    Attributes:
        url: Where clients connect; the path and query of the real one stay the same.
        wire: Messages as they came, before faults were applied.
    """

    def __init__(self, upstream: str, injector: FaultInjector, log: Path) -> None:
        """Prepare.

        Args:
            upstream: The other server's address.
            injector: Draws the faults.
            log: Gets a line of JSON for each frame: seconds, connection and direction, what became of it, and the frame
                without its sound.
        """
        self.url = ""
        self.wire = Wire()
        self._upstream = upstream
        self._injector = injector
        self._server: Server | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._log = log.open("a")
        self._connections = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, LOOPBACK, 0, compression=None, select_subprotocol=lambda _, offered: next(iter(offered), None)
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = str(URL(self._upstream).with_host(LOOPBACK).with_port(port))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for task in self._late:
            task.cancel()
        self._log.close()

    async def _serve(self, client: ServerConnection) -> None:
        assert client.request is not None
        number = next(self._connections)
        url = str(URL(self._upstream).with_query(URL(client.request.path).query))
        offered = [
            Subprotocol(name.strip())
            for header in client.request.headers.get_all("Sec-WebSocket-Protocol")
            for name in header.split(",")
        ]
        try:
            async with connect(url, compression=None, subprotocols=offered or None) as server:
                await self._relay(client, server, number)
        except ConnectionClosed:
            pass
        except (OSError, WebSocketException):
            client.transport.abort()  # its worker has just ended, or hangs: a client has no other sign of that either

    async def _relay(self, client: ServerConnection, server: ClientConnection, number: int) -> None:
        ways = self._pump(client, server, "in", number), self._pump(server, client, "out", number)
        pumps = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        if server.close_code in TOLD_CODES:
            await client.close(server.close_code)

    async def _pump(
        self,
        source: ClientConnection | ServerConnection,
        sink: ClientConnection | ServerConnection,
        way: str,
        connection: int,
    ) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in source:
                fate = self._injector.draw()
                self._note(connection, way, fate, message)
                match fate:
                    case Fate.LOST:
                        continue
                    case Fate.CUT:
                        source.transport.abort()
                        return
                    case Fate.LATE:
                        task = asyncio.create_task(self._send_late(sink, message))
                        self._late.add(task)
                        task.add_done_callback(self._late.discard)
                    case _:
                        await sink.send(message)

    def _note(self, connection: int, way: str, fate: Fate, message: str | bytes) -> None:
        now, frames = time.monotonic(), _frames_of(message)
        if way == "in":
            self.wire.said(connection, frames, now)
        else:
            self.wire.heard(connection, frames, now)
        for frame in frames:
            if "audio" in frame and isinstance(frame["audio"], str):
                frame["audio"] = len(frame["audio"])
            print(json.dumps([round(now, 3), f"{connection} {way}", fate, frame]), file=self._log, flush=True)

    async def _send_late(self, sink: ClientConnection | ServerConnection, message: str | bytes) -> None:
        await self._injector.linger()
        with contextlib.suppress(ConnectionClosed):
            await sink.send(message)


def _frames_of(message: str | bytes) -> list[dict[str, Any]]:
    """Return the frames of a message; of a binary one its header, with the length of its sound."""
    if isinstance(message, str):
        said = json.loads(message)
        return said if isinstance(said, list) else [said]
    end = LENGTH_BYTES + int.from_bytes(message[:LENGTH_BYTES])
    return [{**json.loads(message[LENGTH_BYTES:end]), "audio": len(message) - end}]


class HttpRelay:
    """An HTTP server that hands requests on to another.

    Attributes:
        url: Where it listens, without a slash at its end.
        swallowed: Requests that a partition kept from their answers.
    """

    def __init__(self, upstream: str, injector: FaultInjector) -> None:
        self.url = ""
        self.swallowed = 0
        self._upstream = upstream
        self._injector = injector
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self._reachable = asyncio.Event()
        self._reachable.set()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        self._http = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.heal()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    def partition(self) -> None:
        """Answer nothing from now on, not even requests under way: the caller finds the other side silent."""
        self._reachable.clear()

    def heal(self) -> None:
        """Hand on again; what came meanwhile is never carried out."""
        self._reachable.set()

    async def _serve(self, request: web.Request) -> web.Response:
        if not self._reachable.is_set():
            return await self._swallow(request)
        return await self._carry_out(request, self._injector.draw())

    async def _carry_out(self, request: web.Request, fate: Fate) -> web.Response:
        match fate:
            case Fate.REFUSED:
                return web.Response(status=429)
            case Fate.BROKEN:
                return web.Response(status=503)
            case Fate.LOST:
                return self._hang_up(request)
            case Fate.LATE:
                await self._injector.linger()
            case _:
                pass
        body = await request.read()
        try:
            answer = await self._hand_on(request, body)
        except (aiohttp.ClientError, TimeoutError):
            return self._hang_up(request)
        if not self._reachable.is_set():
            return await self._swallow(request)
        return self._hang_up(request) if fate is Fate.UNANSWERED else answer

    async def _hand_on(self, request: web.Request, body: bytes) -> web.Response:
        assert self._http is not None
        # As it came, not decoded and encoded again: signatures and connection ids cover the exact path.
        url = URL(self._upstream + request.raw_path, encoded=True)
        async with self._http.request(request.method, url, data=body, headers=request.headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def _swallow(self, request: web.Request) -> web.Response:
        self.swallowed += 1
        await self._reachable.wait()
        return self._hang_up(request)

    def _hang_up(self, request: web.Request) -> web.Response:
        """Break the connection, so that the caller learns nothing."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
