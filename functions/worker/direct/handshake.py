"""The opening of a socket: which page asks, whose token it is, and whether there is a place.

    no place, or this worker leaves    101, then closed with 1013: another worker may have one
    the page's address is not allowed  403
    no token, several, or a bad one    403    as API Gateway's authorizer refuses
    the issuer does not answer         503    the caller may be a good one, and tries again
    too many sockets of this caller    429

The token comes as a subprotocol (``segue.v1, bearer.<token>``: all that a browser can set) or in the query
(``?token=<token>``). It is in no log line: requests are not logged, and refusals say why, not what.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import hdrs, web

from shared.log import logger
from shared.subprotocol import BEARER, PROTOCOL
from shared.tokens import Bearer, IssuerUnavailable, TokenRefused, Verifier
from worker.direct.sockets import ClientSockets

TOKEN_SECONDS: Final = 5.0
"""Seconds for a token to be checked, since the issuer's keys may have to be fetched; after them the socket is
refused."""

THREADS: Final = 4
"""Tokens that are checked at once; others wait. The threads are its own: an issuer that hangs holds up new sockets
only."""

# It warns of offers that it does not know, and a bearer token is one.
logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


class Handshake:
    """Check of the token with which a client opens a socket."""

    def __init__(self, verifier: Verifier, sockets: ClientSockets, origins: Collection[str]) -> None:
        """Keep what is asked for.

        Args:
            verifier: Checks tokens.
            sockets: Has places, or not.
            origins: Pages that may connect, as ``Origin`` names them; none: any.
        """
        self._verifier = verifier
        self._sockets = sockets
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tokens")

    async def bearer_of(self, request: web.BaseRequest) -> Bearer:
        """Say who asks.

        Raises:
            HTTPException: The answer to the one who may not.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        if self._origins and origin is not None and origin.lower() not in self._origins:
            logger.info("socket refused", reason="origin")
            raise web.HTTPForbidden
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                bearer = await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._verifier.verify, _token(request)
                )
        except TokenRefused as refusal:
            logger.info("socket refused", reason=str(refusal))
            raise web.HTTPForbidden from None
        except (IssuerUnavailable, TimeoutError) as error:
            logger.error("issuer does not answer", reason=str(error) or "too slow")
            raise web.HTTPServiceUnavailable from None
        if not self._sockets.has_place_for(bearer.principal):
            logger.warning("socket refused", principal=bearer.principal, reason="too many sockets")
            raise web.HTTPTooManyRequests
        return bearer

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def offered(request: web.BaseRequest) -> list[str]:
    """Return the subprotocols that a request offers."""
    lines = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return [part.strip() for line in lines for part in line.split(",")]


def chosen(request: web.BaseRequest) -> tuple[str, ...]:
    """Return the subprotocol that is answered, if it is offered; never the token."""
    return (PROTOCOL,) if PROTOCOL in offered(request) else ()


def _token(request: web.BaseRequest) -> str:
    """The one token that the caller shows."""
    shown = [part.removeprefix(BEARER) for part in offered(request) if part.startswith(BEARER)]
    tokens = {*shown, *request.query.getall("token", [])}
    if len(tokens) != 1:
        raise TokenRefused("several tokens" if tokens else "no token")
    return tokens.pop()
