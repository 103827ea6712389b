"""A worker's address as a proxy of the test: it sees each claim answered, and lets the worker die at exactly one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Self

from aiohttp import ClientError, ClientSession, web

from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Claim, decode_claim
from segue.wire.delivery import ROUTE_TOKEN_HEADER

PASSED_ON = (CLAIMS_TOKEN_HEADER, ROUTE_TOKEN_HEADER)


class Door:
    """Use as an async context manager, and have the worker advertise ``endpoint`` and listen on ``port``.

    Attributes:
        endpoint: Where others reach the worker.
        fatal: The claim with whose answer the worker died; None as long as it lives.
    """

    def __init__(self, port: int, is_fatal: Callable[[Claim, int], bool], kill: Callable[[], None]) -> None:
        """Keep what is behind it.

        Args:
            port: Where the worker listens.
            is_fatal: Whether the worker dies when it has given a claim this answer (its status).
            kill: Kills it, and returns when it is dead.
        """
        self.endpoint = ""
        self.fatal: Claim | None = None
        self._behind = f"http://127.0.0.1:{port}"
        self._is_fatal = is_fatal
        self._kill = kill
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        self._http = ClientSession()
        await self._runner.setup()
        self._listening = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(self._runner, self._listening).start()
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._http.close()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            async with self._http.request(
                request.method, self._behind + request.path, data=body, headers=headers
            ) as answer:
                response = web.Response(status=answer.status, body=await answer.read())
        except ClientError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        response.force_close()  # what is dead answers on no connection that is open still
        if request.path == CLAIMS_PATH and self.fatal is None:
            claim = decode_claim(body)
            if self._is_fatal(claim, response.status):
                self.fatal = claim
                self._kill()
                self._refuse_from_now_on()
        return response

    def _refuse_from_now_on(self) -> None:
        """Close the port as a dead process does. The server stays: accepted requests are answered or broken off."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.shutdown(socket.SHUT_RDWR)
