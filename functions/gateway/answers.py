"""Answers to a client that the message function gives itself: refusals, ``pong`` and ``internal``.

They go out by API Gateway's management API, and the ``$default`` route has no response: with one, API Gateway sends a
message to the client for every frame, an empty one where the function says nothing, and counts each of them (RFC 0019).

An answer that does not arrive is counted and nothing else: the frame has had its effect, and a client that waits for a
``pong`` opens another connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol

from aws_lambda_powertools import Logger
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from segue.wire.frames import Error, Pong, encode_frame
from shared import keep_alive, metrics
from shared.aws.credentials import ProcessKeys
from shared.aws.signing import SignatureV4
from shared.ingress.repeated_errors import RepeatedErrors
from shared.management import FORBIDDEN, connection_url
from shared.metrics import FunctionCount

CONNECT_SECONDS: Final = 0.25
"""Seconds for a connection to API Gateway; after them the answer is dropped."""

TOTAL_SECONDS: Final = 1.0
"""Seconds for the whole post; after them the answer is dropped and not tried again. The connection's next frame may
wait behind it."""

logger = Logger()


class PostSigner(Protocol):
    """Signer of requests to ``@connections``."""

    def __call__(self, url: str, body: bytes) -> dict[str, str]:
        """Return the headers of a POST."""
        ...


class Answers:
    """Poster of answers to connections."""

    def __init__(self, management: str, sign: PostSigner, clock: Callable[[], float]) -> None:
        """Make the connection pool; no connection is opened yet.

        Args:
            management: the management endpoint, without ``/@connections``.
            sign: signs for ``execute-api``.
            clock: monotonic, in seconds.
        """
        self._management = management
        self._sign = sign
        self._pool = keep_alive.pool(Timeout(connect=CONNECT_SECONDS, total=TOTAL_SECONDS), hosts=1, connections=8)
        self._errors = RepeatedErrors(clock)

    def post_frame(self, connection_id: str, frame: Error | Pong) -> None:
        """Post a frame to a connection; raises nothing for what the network or API Gateway does.

        Args:
            connection_id: API Gateway's id of the connection.
            frame: what is said.
        """
        if isinstance(frame, Error) and self._errors.is_repeated(connection_id, frame.code):
            return
        body = encode_frame(frame).encode()
        url = connection_url(self._management, connection_id)
        try:
            headers = self._sign(url, body)
            status = self._pool.request("POST", url, body=body, headers=headers, redirect=False).status
        except HTTPError as error:
            _note_lost_answer(connection_id, type(error).__name__)
            return
        if status == 403:
            logger.error(FORBIDDEN, connection=connection_id)
            metrics.count(FunctionCount.FAILURES)
        if status not in {200, 410}:  # 410: the client has gone meanwhile
            _note_lost_answer(connection_id, str(status))


def _note_lost_answer(connection_id: str, reason: str) -> None:
    metrics.count(FunctionCount.ANSWERS_LOST)
    logger.warning("answer lost", connection=connection_id, reason=reason)


class RoleSigner:
    """Signer with the function's own credentials."""

    def __init__(self) -> None:
        """Ask for nothing yet."""
        self._keys = ProcessKeys()
        self._signature = SignatureV4("execute-api", os.environ["AWS_REGION"])

    def __call__(self, url: str, body: bytes) -> dict[str, str]:
        """Return the headers of a POST."""
        return self._signature.headers(self._keys(), "POST", url, body, {"content-type": "application/json"})
