"""Base of the fakes whose protocol is a WebSocket's."""

from __future__ import annotations

import abc
import http
import ssl
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from local.fakes.fake import LOOPBACK, Broken, Fake

CLOSE_SECONDS = 1.0
"""Seconds for a client to answer the end of its connection; after them the connection is cut. A client that has given
it up does not answer."""


class SocketFake(Fake):
    """A service; each connection is a ``FakeConversation`` with ``serve`` and ``end_broken``.

    Attributes:
        tls: What its connections are encrypted with; None: they are not.
    """

    tls: ssl.SSLContext | None = None

    def __init__(self, *, pace: float = 0.0) -> None:
        super().__init__(pace=pace)
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await serve(
            self._serve,
            LOOPBACK,
            0,
            process_request=self._admit,
            ssl=self.tls,
            max_size=None,
            close_timeout=CLOSE_SECONDS,
        )

    async def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Address that the fake listens on."""
        assert self._server is not None  # noqa: S101 - started
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @abc.abstractmethod
    def refusal_of(self, request: Request) -> tuple[http.HTTPStatus, str] | None:
        """Return the status and text that refuse a request; None if it is not refused."""

    @abc.abstractmethod
    def new_conversation(self, socket: ServerConnection) -> Any:
        """Begin a conversation."""

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.reject:
            return connection.respond(http.HTTPStatus(self.reject.pop(0)), "{}")
        refusal = self.refusal_of(request)
        return None if refusal is None else connection.respond(*refusal)

    async def _serve(self, socket: ServerConnection) -> None:
        conversation = self.new_conversation(socket)
        async with self.lasting(conversation):
            try:
                await conversation.serve()
            except ConnectionClosed:
                pass
            except Broken as problem:
                await conversation.end_broken(str(problem))
