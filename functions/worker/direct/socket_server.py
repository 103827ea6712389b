"""The server that clients' WebSockets end at, behind a balancer that ends TLS.

    GET /health       200 as long as the process can take or refuse sockets, also while it leaves
    GET anything else an upgrade (``worker.direct.handshake``), else 426

    bytes of the request in ``handshake_seconds`` ─▶ token ─▶ ``hello`` in ``hello_seconds`` ─▶ frames, one by one

A ping every ``ping_seconds`` keeps what lies between from dropping the flow, and finds clients that have vanished.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, override

from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from aiohttp.web_protocol import RequestHandler

from segue.wire.codes import NO_HELLO, TRY_AGAIN_LATER
from segue.wire.frames import MAX_FRAME_BYTES
from shared.log import logger
from worker.direct.handshake import Handshake, chosen
from worker.direct.router import SocketRouter
from worker.direct.rows import SocketRows
from worker.direct.sockets import ClientSocket, ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.telemetry.metrics import Count, metrics

MAX_MESSAGE_BYTES: Final = 4 * MAX_FRAME_BYTES
"""Bytes of a message at most; a longer one ends the socket (1009), as API Gateway does. Of those between this and a
frame's size the client is told (``oversize``)."""

_SILENT: Final = logging.getLogger("worker.direct.requests")
"""Logger of aiohttp's server, silenced: it would log each request that it cannot parse, with a stack trace. Callers
without a token must not be able to fill the log."""
_SILENT.setLevel(logging.CRITICAL + 1)

SHUTDOWN_SECONDS: Final = 1.0
"""Seconds for requests under way when the server closes; after them they are ended."""

REQUEST_HEAD_BYTES: Final = 16 * 1024
"""Bytes of one line of a request's head; a longer one is answered with 400. A token has 8 KB at most."""


class SocketServer:
    """Server of clients' WebSockets."""

    def __init__(
        self,
        sockets: ClientSockets,
        handshake: Handshake,
        router: SocketRouter,
        rows: SocketRows,
        endpoint: str,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> None:
        """Put the parts together.

        Args:
            sockets: Those that are open.
            handshake: Decides who may open one.
            router: Takes messages.
            rows: Forgets what has closed.
            endpoint: Where other workers reach this one.
            times: Time limits.
        """
        self._sockets = sockets
        self._handshake = handshake
        self._router = router
        self._rows = rows
        self._endpoint = endpoint
        self._times = times
        self._server: _PunctualServer | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self, address: str, port: int) -> int:
        """Listen.

        Args:
            address: The local address.
            port: The port, 0 for any free one.

        Returns:
            The port.
        """
        self._server = _PunctualServer(
            self._accept_socket,
            self._times.handshake_seconds,
            access_log=None,
            logger=_SILENT,
            max_line_size=REQUEST_HEAD_BYTES,
            max_field_size=REQUEST_HEAD_BYTES,
            lingering_time=self._times.handshake_seconds,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening, and end what is left."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _accept_socket(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._server is not None:
            self._server.arrived(request.protocol)
        try:
            if request.path == "/health":
                return _with_close(web.Response())  # without figures: everyone can ask
            if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
                return _with_close(web.Response(status=426, headers={hdrs.UPGRADE: "websocket"}))
            if self._sockets.full:
                return await self._refuse_connection(request)
            return await self._serve(request)
        except web.HTTPException as answer:
            return _with_close(web.Response(status=answer.status))
        except Exception as error:  # noqa: BLE001 - one client's connection must not end the server
            if not isinstance(error, ConnectionError):  # else it left before its socket was open: no fault of ours
                logger.exception("a socket could not be served")
            return _with_close(web.Response(status=500))

    async def _refuse_connection(self, request: web.BaseRequest) -> web.StreamResponse:
        """Say by a close code that another worker may have a place: a browser sees no other answer."""
        ws = web.WebSocketResponse(protocols=chosen(request), timeout=self._times.handshake_seconds)
        await ws.prepare(request)
        metrics.count(Count.SOCKETS_TURNED_AWAY)
        await ws.close(code=TRY_AGAIN_LATER, drain=False)
        return ws

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        bearer = await self._handshake.bearer_of(request)
        if self._sockets.full:  # meanwhile
            return await self._refuse_connection(request)
        ws = web.WebSocketResponse(
            protocols=chosen(request),
            heartbeat=self._times.ping_seconds,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
        )
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        socket = ClientSocket(ws, transport, bearer, self._endpoint)
        self._sockets.add(socket)
        metrics.count(Count.SOCKETS_OPENED)
        hello = asyncio.create_task(self._until_hello(socket), name=f"hello {socket.connection_id}")
        try:
            await self._read(ws, socket)
        finally:
            hello.cancel()
            self._sockets.remove(socket)
            self._rows.delete_rows(socket)
            if ws.close_code == WSCloseCode.ABNORMAL_CLOSURE:
                transport.abort()  # what waits for a client that has vanished would stay until TCP gives up
            logger.info("socket closed", connection=socket.connection_id, code=ws.close_code)
        return ws

    async def _read(self, ws: web.WebSocketResponse, socket: ClientSocket) -> None:
        async for message in ws:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                break
            told = await self._router.receive(socket, message.data)
            if told is not None:
                await socket.queue_frame(told)

    async def _until_hello(self, socket: ClientSocket) -> None:
        await asyncio.sleep(self._times.hello_seconds)
        if socket.binding is None:
            await socket.close(NO_HELLO)


class _PunctualServer(web.Server):
    """Server that drops connections over which no request comes in time."""

    def __init__(self, handler: object, handshake_seconds: float, **options: object) -> None:
        super().__init__(handler, **options)  # type: ignore[arg-type] # aiohttp's own, passed on
        self._handshake_seconds = handshake_seconds
        self._handshake_timers: dict[RequestHandler, asyncio.TimerHandle] = {}

    @override
    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._handshake_timers[handler] = asyncio.get_running_loop().call_later(
            self._handshake_seconds, self._expire, handler
        )

    @override
    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self.arrived(handler)
        super().connection_lost(handler, exc)

    def arrived(self, handler: RequestHandler | None) -> None:
        """Stop the handshake's timer: a request has arrived whole."""
        if handler is not None and (timer := self._handshake_timers.pop(handler, None)) is not None:
            timer.cancel()

    def _expire(self, handler: RequestHandler) -> None:
        self._handshake_timers.pop(handler, None)
        metrics.count(Count.HANDSHAKES_EXPIRED)
        if handler.transport is not None:
            handler.transport.abort()


def _with_close(answer: web.Response) -> web.Response:
    """Let an answer be the last of its connection: the next request would have no limit of time."""
    answer.force_close()
    return answer
