"""HTTP to the other workers, over connections that are kept.

repeatable       over a kept connection; if that has ended without an answer, once more over a new one
not repeatable   over one that was used a moment ago, else over a new one; never once more

A kept connection may have ended, and then the request may have arrived or not. One that a worker answered over a moment
ago ends only with that worker, and then a new one would bring no more. So a stream of requests that may not be
repeated, such as audio without numbers, keeps one connection and opens none for each frame.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Self

from aiohttp.http import HttpProcessingError

from worker.aws.kept_connections import Answer, KeptConnections, NotConnected

CONNECT_SECONDS: Final = 0.25
"""Seconds for a connection to a worker; after them it is not connected. A task that has vanished does not refuse, it
just never answers; inside one region a connection takes a few milliseconds."""

IDLE_SECONDS: Final = 60.0
"""Seconds after which an unused connection is dropped, since its flow may be gone (see ``shared.keep_alive``)."""

FRESH_SECONDS: Final = 1.0
"""Seconds after which an unused connection is not used for a request that may not be repeated. Far below the 75 s after
which a worker closes what is unused, and above the time between two frames of a stream."""

CONNECTIONS: Final = 1024
"""Connections to one worker at most: each of its sockets' clients has a message under way. Further requests wait."""

WORKERS: Final = 512
"""Workers to which connections are kept; those of the one that was asked longest ago are closed."""


def was_sent(error: Exception) -> bool:
    """Return true if a request that failed may have arrived; false if no connection came about."""
    if isinstance(error, NotConnected | ConnectionRefusedError):
        return False
    return isinstance(error, ConnectionError | TimeoutError | HttpProcessingError)  # else the network's: no route


class PeerHttp:
    """Requests of other workers. Use as an async context manager."""

    def __init__(self, seconds: float, *, fresh_seconds: float = FRESH_SECONDS, workers: int = WORKERS) -> None:
        """Open no connection yet.

        Args:
            seconds: For a request.
            fresh_seconds: After which an unused connection takes no request that may not be repeated.
            workers: To which connections are kept.
        """
        self._seconds = seconds
        self._fresh_seconds = fresh_seconds
        self._most_workers = workers
        self._workers: OrderedDict[str, KeptConnections] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._workers:
            await self._workers.popitem()[1].close()

    async def request(
        self,
        method: str,
        endpoint: str,
        path: str,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        repeatable: bool,
        seconds: float | None = None,
    ) -> Answer:
        """Make one request.

        Args:
            method: The HTTP method.
            endpoint: The worker's address.
            path: Below it, percent-encoded.
            headers: Beside ``host`` and ``content-length``.
            body: Empty: there is none.
            repeatable: Whether it may be sent twice.
            seconds: For this request; None: as long as any.

        Raises:
            NotConnected: No connection came about in time, or the address is none. Nothing was sent.
            ConnectionRefusedError: No process listens there.
            OSError: There was no answer; the request may have had its effect.
            HttpProcessingError: The same: the answer is none.
        """
        try:
            connections = await self._to(endpoint)
            return await connections.request(
                method,
                endpoint + path,
                headers,
                body,
                repeatable=repeatable,
                idle_seconds=None if repeatable else self._fresh_seconds,
                seconds=seconds,
            )
        except ValueError as error:
            raise NotConnected("the endpoint is no worker's address") from error

    async def _to(self, endpoint: str) -> KeptConnections:
        if (known := self._workers.get(endpoint)) is not None:
            self._workers.move_to_end(endpoint)
            return known
        made = self._workers[endpoint] = KeptConnections(
            endpoint,
            most=CONNECTIONS,
            idle_seconds=IDLE_SECONDS,
            seconds=self._seconds,
            connect_seconds=CONNECT_SECONDS,
        )
        if len(self._workers) > self._most_workers:
            await self._workers.popitem(last=False)[1].close()
        return made
