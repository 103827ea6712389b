"""Posts to clients wherever their connections are.

direct, of this worker       into the socket
direct, of another worker    POST <endpoint>/sockets/<socket>, with the socket's secret and the session key
else                         API Gateway's management API
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Self

from segue.bounded import BoundedDict
from segue.storage.answers import reason_of
from segue.wire.claims import ClientAddress, DirectAddress
from segue.wire.codes import SLOW_READER
from shared.log import logger
from worker.aws.kept_connections import HTTP_ERRORS
from worker.aws.poster import Poster, PostOutcome
from worker.direct.output_routes import headers_of, path_of
from worker.direct.sockets import ClientSockets, MessagePlace
from worker.hosting.peer_http import PeerHttp
from worker.telemetry.metrics import Count, metrics

POST_SECONDS: Final = 2.0
"""Seconds for another worker to write into its socket, which takes a millisecond; after them the outcome counts as
unknown."""

VANISHED_SECONDS: Final = 30.0
"""Seconds without an answer after which a worker counts as having no sockets any more: their clients found it silent
long before."""

FORGOTTEN_SECONDS: Final = 300.0
"""Seconds after which a silence of a worker is another one: it may have answered others in between. Above the time
between two looks for a client that is quiet (``worker.conversation.audience``)."""

REMEMBERED: Final = 512
"""Workers of which it is known since when they do not answer; of one that is forgotten the time begins anew."""

_OUTCOMES: Final = {
    200: PostOutcome.DELIVERED,
    204: PostOutcome.DELIVERED,
    400: PostOutcome.REFUSED,
    403: PostOutcome.GONE,
    404: PostOutcome.GONE,
    410: PostOutcome.GONE,
    413: PostOutcome.REFUSED,
    429: PostOutcome.LIMITED,
}


class ClientPoster:
    """Poster to both kinds of address. Use as an async context manager."""

    def __init__(
        self,
        gateway: Poster | None,
        sockets: ClientSockets,
        endpoint: Callable[[], str],
        *,
        post_seconds: float = POST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the ways.

        Args:
            gateway: API Gateway's; None: there is none, and its connections are gone.
            sockets: Of this worker.
            endpoint: Returns this worker's address.
            post_seconds: For another worker to write into its socket.
            clock: Monotonic, in seconds.
        """
        self._gateway = gateway
        self._sockets = sockets
        self._endpoint = endpoint
        self._http = PeerHttp(post_seconds)
        self._clock = clock
        self._silent_workers: BoundedDict[str, tuple[float, float]] = BoundedDict(REMEMBERED)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    def of_session(self, session_key: str, epoch: int | None = None) -> SessionPoster:
        """Return what posts for one session.

        Args:
            session_key: The session.
            epoch: Of its holder; None: what is posted has no place among the holders' messages.
        """
        return SessionPoster(self, session_key, epoch)

    async def post(
        self, session_key: str, address: ClientAddress, message: bytes, place: MessagePlace | None = None
    ) -> PostOutcome:
        """Send one message. Never raises for what a network does.

        Args:
            session_key: The session.
            address: Where the client is.
            message: One encoded message.
            place: By which a socket takes it once.
        """
        if address.direct is None:
            if self._gateway is None:
                return PostOutcome.GONE
            return await self._gateway.post(address.connection_id, message)
        if address.direct.endpoint != self._endpoint():
            metrics.count(Count.OUTPUT_FORWARDED)
            return await self._request("POST", session_key, address.direct, message, place)
        socket = self._sockets.find(address.direct.socket)
        if socket is None or not socket.admits(address.direct.secret, session_key):
            return PostOutcome.GONE
        return await socket.write(message, place)

    async def is_connected(self, session_key: str, address: ClientAddress) -> PostOutcome:
        """Ask whether a connection is there."""
        if address.direct is None:
            return (
                PostOutcome.GONE if self._gateway is None else await self._gateway.is_connected(address.connection_id)
            )
        if address.direct.endpoint != self._endpoint():
            return await self._request("GET", session_key, address.direct)
        socket = self._sockets.find(address.direct.socket)
        return PostOutcome.GONE if socket is None or socket.closed else PostOutcome.DELIVERED

    async def disconnect(self, session_key: str, address: ClientAddress) -> PostOutcome:
        """Close a connection, so that its client notices and comes back."""
        if address.direct is None:
            return PostOutcome.GONE if self._gateway is None else await self._gateway.disconnect(address.connection_id)
        if address.direct.endpoint != self._endpoint():
            return await self._request("DELETE", session_key, address.direct)
        socket = self._sockets.find(address.direct.socket)
        if socket is None or not socket.admits(address.direct.secret, session_key):
            return PostOutcome.GONE
        await socket.close(SLOW_READER)
        return PostOutcome.DELIVERED

    async def _request(
        self,
        method: str,
        session_key: str,
        address: DirectAddress,
        body: bytes = b"",
        place: MessagePlace | None = None,
    ) -> PostOutcome:
        path, headers = path_of(address), headers_of(address, session_key, place)
        try:
            answer = await self._http.request(method, address.endpoint, path, headers, body, repeatable=True)
        except ConnectionRefusedError:
            return PostOutcome.GONE  # its process has ended, and its sockets with it
        except HTTP_ERRORS as error:
            return self._outcome_of_silence(address, error)
        self._silent_workers.pop(address.endpoint, None)
        return _OUTCOMES.get(answer.status, PostOutcome.UNKNOWN)

    def _outcome_of_silence(self, address: DirectAddress, error: Exception) -> PostOutcome:
        """Unknown at first; a worker that is silent for long has vanished, and its sockets with it."""
        now = self._clock()
        since, last = self._silent_workers.use(address.endpoint) or (now, now)
        if now - last > FORGOTTEN_SECONDS:
            since = now
        self._silent_workers[address.endpoint] = since, now
        if now - since >= VANISHED_SECONDS:
            return PostOutcome.GONE
        logger.warning("a worker takes no output", endpoint=address.endpoint, reason=reason_of(error))
        return PostOutcome.UNKNOWN


class SessionPoster:
    """Poster for one session: the sockets of its clients take nothing for another one."""

    def __init__(self, poster: ClientPoster, session_key: str, epoch: int | None) -> None:
        self._poster = poster
        self._session_key = session_key
        self._epoch = epoch

    async def post(self, address: ClientAddress, message: bytes, number: int | None = None) -> PostOutcome:
        """Send one message.

        Args:
            address: Where the client is.
            message: One encoded message.
            number: The same in each attempt (``worker.conversation.outbox``): its socket writes it once.
        """
        place = None if number is None or self._epoch is None else MessagePlace(self._epoch, number)
        return await self._poster.post(self._session_key, address, message, place)

    async def is_connected(self, address: ClientAddress) -> PostOutcome:
        """Ask whether a connection is there."""
        return await self._poster.is_connected(self._session_key, address)

    async def disconnect(self, address: ClientAddress) -> PostOutcome:
        """Close a connection, so that its client notices and comes back."""
        return await self._poster.disconnect(self._session_key, address)
