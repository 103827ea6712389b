"""Posting one frame to a worker, and what its answer means."""

from dataclasses import dataclass
from typing import Final, Protocol

import urllib3
from aws_lambda_powertools import Logger
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError

from gateway.routes import Route
from segue.wire.claims import Reason
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, decode_refusal
from segue.wire.frames import MESSAGES

CONNECT_SECONDS: Final = 0.25
"""A task that has vanished does not refuse, it just never answers: do not wait for it longer than this."""

READ_SECONDS: Final = 2.0
"""A worker answers as soon as it has queued the frame. One that takes longer hangs."""

logger = Logger()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The holder has the frame."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The holder does not want the frame: `code` is one of the protocol's error codes."""

    code: str


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no holder at this route."""

    reason: Reason


type Outcome = Accepted | Refused | Gone


class Post(Protocol):
    """Posts one body to a route."""

    def __call__(self, route: Route, body: bytes) -> Outcome:
        """Post and say what came of it; raises nothing for what the network or the worker does."""
        ...


class HttpPost:
    """Posts over kept-alive connections."""

    def __init__(self) -> None:
        """Make the connection pool; no connection is opened yet."""
        self._pool = urllib3.PoolManager(
            num_pools=64,
            maxsize=8,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        )

    def __call__(self, route: Route, body: bytes) -> Outcome:
        """Post and say what came of it."""
        try:
            return self._send(route, body)
        except ProtocolError:
            # A kept connection that the worker (or the time this function lay frozen) has ended. A fresh one tells.
            pass
        except HTTPError as error:
            return _unreachable(route, error)
        try:
            return self._send(route, body)
        except HTTPError as error:
            return _unreachable(route, error)

    def _send(self, route: Route, body: bytes) -> Outcome:
        answer = self._pool.request(
            "POST",
            route.endpoint + FRAMES_PATH,
            body=body,
            headers={"content-type": "application/json", ROUTE_TOKEN_HEADER: route.token},
            redirect=False,
        )
        return outcome_of(answer.status, answer.data)


def outcome_of(status: int, body: bytes) -> Outcome:
    """What an answer means. Only the protocol's own codes go on to the client, never the worker's words."""
    match status:
        case 202:
            return Accepted()
        case 400:
            return Refused(_code_in(body, "bad_frame"))
        case 403:
            return Gone("unreachable")  # another worker has this address now, or the lease has changed
        case 410:
            return Gone("handoff")
        case 429:
            return Refused(_code_in(body, "busy"))
        case _:
            logger.warning("worker gave an unexpected answer", status=status)
            return Refused("internal")


def _code_in(body: bytes, otherwise: str) -> str:
    refusal = decode_refusal(body)
    return refusal.error if refusal and refusal.error in MESSAGES else otherwise


def _unreachable(route: Route, error: HTTPError) -> Gone:
    at_once = isinstance(error, NewConnectionError | ConnectTimeoutError)
    logger.warning("worker does not answer", endpoint=route.endpoint, error=type(error).__name__, connected=not at_once)
    return Gone("unreachable")
