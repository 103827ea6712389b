"""Posting one frame to a worker, and what its answer means.

0 s      sent
0.4 s    no answer over a connection that was used before: a new one is tried
0.5 s    no answer yet: another holder is looked for, beside the post
2.0 s    no answer: there is no holder at this route
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import urllib3
from aws_lambda_powertools import Logger
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, SEARCH_AFTER_SECONDS
from shared import keep_alive
from shared.ingress.outcomes import Gone, Outcome, outcome_of
from shared.ingress.routes import Route
from shared.keep_alive import REUSED_SECONDS, ReusedConnectionLost

CONNECT_SECONDS: Final = 0.25
"""A task that has vanished does not refuse, it just never answers: do not wait for it longer than this."""

READ_SECONDS: Final = 2.0
"""Seconds for a worker's answer, which comes as soon as the frame is queued. A worker that takes longer counts as hung:
its route is unreachable."""

AGAIN_SECONDS: Final = READ_SECONDS - REUSED_SECONDS
"""Seconds for the answer after a connection that was used before has brought none; both waits together are
``READ_SECONDS``."""

logger = Logger()


class FramePost(Protocol):
    """Poster of one body to a route."""

    def __call__(self, route: Route, body: bytes, *, repeatable: bool, search: Callable[[], None]) -> Outcome:
        """Post and say what came of it; raises nothing for what the network or the worker does.

        Args:
            route: Where to.
            body: What.
            repeatable: Whether it may be sent twice: the holder takes it once, by its number.
            search: Looks for another holder, beside the post, once that has waited for ``SEARCH_AFTER_SECONDS``.
        """
        ...


class HttpPost:
    """Poster over kept-alive connections of what may be sent twice, and over new ones of all else.

    A kept connection that brings no answer may have been dropped on its way (``shared.keep_alive``), and says nothing
    of the holder: only a new one does.
    """

    def __init__(
        self, answer_seconds: float = READ_SECONDS, search_after_seconds: float = SEARCH_AFTER_SECONDS
    ) -> None:
        """Make the connection pools; no connection is opened yet.

        Args:
            answer_seconds: Seconds for a worker's answer; after them its route is unreachable.
            search_after_seconds: Seconds without an answer after which another holder is looked for.
        """
        self._answer_seconds = answer_seconds
        self._search_after_seconds = search_after_seconds
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=answer_seconds)
        self._kept_pool = keep_alive.pool(timeout, hosts=64, connections=8)
        self._new_pool = keep_alive.pool(timeout, hosts=64, used_again=False)

    def __call__(self, route: Route, body: bytes, *, repeatable: bool, search: Callable[[], None]) -> Outcome:
        """Post and say what came of it."""
        with keep_alive.meanwhile(search, self._search_after_seconds):
            try:
                try:
                    return self._send(
                        self._kept_pool if repeatable else self._new_pool, route, body, self._answer_seconds
                    )
                except ReusedConnectionLost:
                    return self._send(self._new_pool, route, body, AGAIN_SECONDS)
            except HTTPError as error:
                return _unreachable(route, error)

    def _send(self, pool: urllib3.PoolManager, route: Route, body: bytes, seconds: float) -> Outcome:
        answer = pool.request(
            "POST",
            route.endpoint + FRAMES_PATH,
            body=body,
            headers={"content-type": "application/json", ROUTE_TOKEN_HEADER: route.token},
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
            redirect=False,
        )
        return outcome_of(answer.status, answer.data)


def _unreachable(route: Route, error: HTTPError) -> Gone:
    at_once = isinstance(error, NewConnectionError | ConnectTimeoutError)
    logger.warning("worker does not answer", endpoint=route.endpoint, error=type(error).__name__, connected=not at_once)
    return Gone("unreachable")
