"""Output of sessions that other workers hold, for sockets of this worker.

POST   /sockets/<socket>    one message: JSON text, or binary audio     200 written
GET    /sockets/<socket>    is it open?                                 200
DELETE /sockets/<socket>    close it: its client does not read          204
x-segue-socket-secret: <secret>          410  it is not open here
x-segue-session-key: <session key>       403  the secret or the session is not this socket's
x-segue-place: <epoch> <number>          400  a place that is none
429  its client reads too slowly: wait
408  the body did not arrive

A message is posted again until its outcome is known, and any attempt may arrive late. Its place tells: 200 if it was
written before, 410 if a later holder of the session has spoken. Workers of the releases before say none.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

from aiohttp import web

from segue.wire.claims import DirectAddress
from segue.wire.codes import SLOW_READER
from worker.aws.poster import PostOutcome
from worker.direct.sockets import ClientSocket, ClientSockets, MessagePlace

SOCKETS_PATH: Final = "/sockets"
SECRET_HEADER: Final = "x-segue-socket-secret"  # noqa: S105 - the name of the header, not a secret
SESSION_HEADER: Final = "x-segue-session-key"
PLACE_HEADER: Final = "x-segue-place"

BODY_SECONDS: Final = 2.0
"""Seconds for a message of another worker to arrive whole; after them it is answered with 408."""

_STATUS: Final = {PostOutcome.DELIVERED: 200, PostOutcome.LIMITED: 429, PostOutcome.GONE: 410}


def path_of(address: DirectAddress) -> str:
    """Return where output for a socket is posted to, at its worker."""
    return f"{SOCKETS_PATH}/{quote(address.socket, safe='')}"


def headers_of(address: DirectAddress, session_key: str, place: MessagePlace | None = None) -> dict[str, str]:
    """Return the headers that show a right to write into a socket, and a message's place."""
    headers = {SECRET_HEADER: address.secret, SESSION_HEADER: session_key}
    return headers if place is None else {**headers, PLACE_HEADER: f"{place.epoch} {place.number}"}


class OutputRoutes:
    """Routes by which other workers post output to sockets of this one."""

    def __init__(self, sockets: ClientSockets) -> None:
        """Keep where it goes."""
        self._sockets = sockets

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes to the worker's own server, which no client reaches."""
        path = f"{SOCKETS_PATH}/{{socket}}"
        router.add_post(path, self._post)
        router.add_get(path, self._is_connected, allow_head=False)
        router.add_delete(path, self._close)

    async def _post(self, request: web.Request) -> web.Response:
        socket = self._admitted(request)
        try:
            if not request.content.is_eof():  # else it came with its headers, and needs no timer
                async with asyncio.timeout(BODY_SECONDS):
                    await request.read()
        except TimeoutError:
            return web.Response(status=408)
        message = await request.read()
        if not message:
            return web.Response(status=400)
        return web.Response(status=_STATUS[await socket.write(message, _place_of(request))])

    async def _is_connected(self, request: web.Request) -> web.Response:
        return web.Response(status=410 if self._admitted(request).closed else 200)

    async def _close(self, request: web.Request) -> web.Response:
        await self._admitted(request).close(SLOW_READER)
        return web.Response(status=204)

    def _admitted(self, request: web.Request) -> ClientSocket:
        socket = self._sockets.find(request.match_info["socket"])
        if socket is None:
            raise web.HTTPGone
        secret, key = request.headers.get(SECRET_HEADER, ""), request.headers.get(SESSION_HEADER, "")
        if not secret.isascii() or not socket.admits(secret, key):
            raise web.HTTPForbidden
        return socket


def _place_of(request: web.Request) -> MessagePlace | None:
    """Read the place of a message."""
    said = request.headers.get(PLACE_HEADER)
    if said is None:
        return None
    match said.split(" "):
        case [epoch, number] if epoch.isdecimal() and number.isdecimal() and said.isascii():
            return MessagePlace(int(epoch), int(number))
        case _:
            raise web.HTTPBadRequest
