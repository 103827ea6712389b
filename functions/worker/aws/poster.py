"""Posts messages to API Gateway connections (``POST …/@connections/{id}``).

Kept connections and a signer of the project's own instead of boto3 in a pool of threads: a POST in flight costs a
socket and no thread, so a slow connection can never use up what the others need, and the event loop keeps the
interpreter to itself.

    200            delivered to the gateway
    410            the connection is gone
    429            the client reads too slowly, or the account's rate is used up: this connection waits
    400, 413       this message can never be delivered
    anything else  unknown: it may have been delivered, so only the very same message may be sent again
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum, auto
from typing import Final, Self

from segue.storage.answers import AWS_ERRORS, reason_of, remedy_of
from shared.log import logger
from shared.management import FORBIDDEN, connection_url
from worker.aws.kept_connections import HTTP_ERRORS, KeptConnections
from worker.aws.signing import Signer

POST_TIMEOUT_SECONDS: Final = 5.0
"""API Gateway answers in 10 to 30 ms; after this the outcome counts as unknown."""

FORBIDDEN_SECONDS: Final = 60.0
"""Seconds between two log lines that posting is forbidden: each of hundreds of posts a second is."""

CONNECTIONS: Final = 256
"""Connections to the management API at most; further posts wait. One POST is in flight a client, of a few clients a
session."""

IDLE_SECONDS: Final = 60.0
"""Seconds for which a connection that is unused may be used again (see ``shared.keep_alive``)."""


class PostOutcome(Enum):
    """The result of a POST."""

    DELIVERED = auto()
    GONE = auto()
    LIMITED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


_OUTCOMES: Final = {
    200: PostOutcome.DELIVERED,
    400: PostOutcome.REFUSED,
    410: PostOutcome.GONE,
    413: PostOutcome.REFUSED,
    429: PostOutcome.LIMITED,
}


class Poster:
    """One HTTP client for all connections of the process. Use as an async context manager."""

    def __init__(self, endpoint: str, signer: Signer, *, timeout: float = POST_TIMEOUT_SECONDS) -> None:
        """Keep the settings.

        Args:
            endpoint: The management endpoint, without ``/@connections`` and without a slash at its end.
            signer: Signs for ``execute-api``.
            timeout: Seconds for one request.
        """
        self._management = endpoint
        self._signer = signer
        self._timeout = timeout
        self._http: KeptConnections | None = None
        self._forbidden_until = -math.inf

    async def __aenter__(self) -> Self:
        self._http = KeptConnections(
            self._management, most=CONNECTIONS, idle_seconds=IDLE_SECONDS, seconds=self._timeout
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def post(self, connection_id: str, message: bytes) -> PostOutcome:
        """Send one message to a client. Never raises for what a network does.

        Args:
            connection_id: API Gateway's id of the connection.
            message: One encoded frame.
        """
        return await self._request("POST", connection_id, message)

    async def is_connected(self, connection_id: str) -> PostOutcome:
        """Ask whether a connection still exists, without sending anything: DELIVERED, GONE or UNKNOWN."""
        return await self._request("GET", connection_id)

    async def disconnect(self, connection_id: str) -> PostOutcome:
        """Close a connection, so that its client notices and comes back."""
        return await self._request("DELETE", connection_id)

    async def _request(self, method: str, connection_id: str, body: bytes = b"") -> PostOutcome:
        if self._http is None:
            raise RuntimeError("the poster is not open: use it as an async context manager")
        url = connection_url(self._management, connection_id)
        try:
            headers = await self._signer.headers(method, url, body)
            status, answered, _ = await self._http.request(method, url, headers, body)
        except (*HTTP_ERRORS, *AWS_ERRORS) as error:
            logger.warning("posting failed", connection=connection_id, reason=reason_of(error))
            return PostOutcome.UNKNOWN
        code = answered.get("x-amzn-errortype", "").split(":", 1)[0]
        outcome = (
            PostOutcome.DELIVERED
            if method == "DELETE" and status == 204
            else _OUTCOMES.get(status, PostOutcome.UNKNOWN)
        )
        if status == 403 and not remedy_of(code):
            self._say_forbidden()
        if outcome in {PostOutcome.REFUSED, PostOutcome.UNKNOWN}:
            logger.warning(
                "posting was refused", connection=connection_id, status=status, reason=": ".join(_reasons(code))
            )
        return outcome

    def _say_forbidden(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._forbidden_until:
            self._forbidden_until = now + FORBIDDEN_SECONDS
            logger.error(FORBIDDEN)


def _reasons(code: str) -> list[str]:
    return [part for part in (code, remedy_of(code)) if part]
