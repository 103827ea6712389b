"""The scripted end of the wire: one WebSocket server for all cases, each at a path of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

import msgspec
from websockets.asyncio.server import Server as SocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from segue.wire.binary import encode_binary
from segue.wire.frames import MAX_FRAME_BYTES, AudioOutput
from tests.conformance.cases import Case
from tests.conformance.judging import Judge

LAG_TICK_SECONDS = 0.01

FIRST_CLOSE_CODE = 1000
"""From here on a case's handshake is no HTTP status, but a WebSocket close code."""


class Stage:
    """The server's and the client's words in one case.

    Attributes:
        judge: of what came.
        sockets: by the number of the connection, from 1.
        ended: numbers of connections that the client has closed, or that broke.
        tokens: what each handshake showed.
        unmatched: frames of the client that no step has taken yet, with the number of their connection.
    """

    def __init__(self, case: Case, changed: Callable[[], None]) -> None:
        self.judge = Judge(free=case.free)
        self.sockets: dict[int, ServerConnection] = {}
        self.ended: set[int] = set()
        self.tokens: list[str] = []
        self.unmatched: list[tuple[int, dict[str, Any]]] = []
        self.handshakes = list(case.handshakes)
        self._codes: dict[int, int] = {}
        self._admitted = 0
        self._pongs = case.pongs
        self._session = case.open.get("session", case.name)
        self._changed = changed

    def admit(self) -> int:
        """Take the next handshake; return its status. One with a close code is admitted, and closed at once."""
        status = self.handshakes.pop(0) if self.handshakes else int(HTTPStatus.SWITCHING_PROTOCOLS)
        if status >= FIRST_CLOSE_CODE or status == HTTPStatus.SWITCHING_PROTOCOLS:
            self._admitted += 1
        if status >= FIRST_CLOSE_CODE:
            self._codes[self._admitted] = status
            return int(HTTPStatus.SWITCHING_PROTOCOLS)
        return status

    async def say(self, message: Any, over: int | None, *, raw: bool, binary: bool) -> None:
        """Say a frame, a batch, with ``binary`` an ``audio`` frame as a binary message, or with ``raw`` any text."""
        over = over or max(self.sockets)
        if raw:
            sent = message
        else:
            frames = [self._completed(frame) for frame in (message if isinstance(message, list) else [message])]
            for frame in frames:
                self.judge.server_says(frame, over)
            sent = json.dumps(frames if isinstance(message, list) else frames[0])
            if binary:
                sent = encode_binary(msgspec.convert(frames[0], AudioOutput))
        await self.sockets[over].send(sent)

    async def cut(self, over: int | None) -> None:
        """Break a connection without a word."""
        self.judge.connection_broke()
        self.sockets[over or max(self.sockets)].transport.abort()

    async def close(self, code: int, over: int | None) -> None:
        """Close a connection with a code."""
        self.judge.connection_broke()
        await self.sockets[over or max(self.sockets)].close(code)

    async def hear(self, socket: ServerConnection, lag: Callable[[], float]) -> None:
        """Take a connection of the client, as long as it lasts."""
        number = len(self.sockets) + 1
        self.sockets[number] = socket
        self._changed()
        loop = asyncio.get_running_loop()
        try:
            if (code := self._codes.pop(number, None)) is not None:
                await socket.close(code)
            async for message in socket:
                if (frame := self.judge.client_says(message, number, loop.time(), lag())) is not None:
                    self.unmatched.append((number, frame))
                    if frame["type"] == "ping" and self._pongs:
                        await socket.send('{"type":"pong"}')
                self._changed()
        except ConnectionClosed:
            pass
        finally:
            self.ended.add(number)
            self._changed()

    def _completed(self, frame: Any) -> Any:
        """Fill in what every ``ready`` has, so that cases need not say it."""
        if isinstance(frame, dict) and frame.get("type") == "ready":
            return {"session": self._session, "known": {"upto": 0, "beyond": []}, "history": 0, "head": 0} | frame
        return frame


class ScriptedServer:
    """A server on a loopback port, with a stage for each case."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._server: SocketServer | None = None
        self._lag = 0.0
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._hear,
            "127.0.0.1",
            0,
            process_request=self._admit,
            select_subprotocol=lambda _, offered: Subprotocol("segue.v1") if "segue.v1" in offered else None,
            max_size=2 * MAX_FRAME_BYTES,
            compression=None,
            ping_interval=None,
        )
        self._watch = asyncio.create_task(self._measure_lag())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._watch is not None
        self._watch.cancel()
        self._server.close()
        await self._server.wait_closed()

    def address(self, case: str) -> str:
        """The URL at which a case is played."""
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}/{case}"

    def play(self, case: str, stage: Stage) -> None:
        """Have a stage at a case's address."""
        self._stages[case] = stage

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        stage = self._stages.get(request.path.strip("/").split("?")[0])
        if stage is None:
            return socket.respond(HTTPStatus.NOT_FOUND, "no such case\n")
        offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        stage.tokens.append(next((part.removeprefix("bearer.") for part in offered if part.startswith("bearer.")), ""))
        status = stage.admit()
        return None if status == HTTPStatus.SWITCHING_PROTOCOLS else socket.respond(HTTPStatus(status), "refused\n")

    async def _hear(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        await self._stages[socket.request.path.strip("/").split("?")[0]].hear(socket, lambda: self._lag)

    async def _measure_lag(self) -> None:
        """Note the longest time without a turn: what was sent meanwhile comes all at once."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(LAG_TICK_SECONDS)
            now = loop.time()
            self._lag = max(self._lag, now - before - LAG_TICK_SECONDS)
            before = now
