"""Outcomes of posting a frame to a holder, read from the answer of its worker."""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from segue.wire.claims import Reason
from segue.wire.delivery import HANDED_OVER, decode_refusal
from segue.wire.frames import MESSAGES, Error, error_frame
from shared.ingress.routes import Route

logger = Logger()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Outcome: the holder has the frame."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Outcome: the holder refuses the frame; ``code`` is one of the protocol's error codes."""

    code: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Outcome: there is no holder at this route.

    Attributes:
        reason: Why.
        to_successor: Whether another worker has the session ready, and acquires it next.
    """

    reason: Reason
    to_successor: bool = False


type Outcome = Accepted | Refused | Gone


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The last attempt to deliver a frame that reached no holder, and its route."""

    route: Route | None
    outcome: Gone

    def route_to_try(self, found: Route | None) -> Route | None:
        """Return the route that was found since, if the next attempt may succeed there; else None.

        The route of the failed attempt may be tried again only after ``moved``: its worker may have said that while it
        was still restoring the session.
        """
        return None if found == self.route and self.outcome.reason != "handoff" else found


def error_for_client(outcome: Accepted | Refused | None) -> Error | None:
    """Return the error that the client is told for an outcome; None for one that it is not told of."""
    return error_frame(outcome.code) if isinstance(outcome, Refused) else None


def outcome_of(status: int, body: bytes) -> Outcome:
    """Read a worker's answer. Only the protocol's own codes go on to the client, never the worker's words."""
    match status:
        case 202:
            return Accepted()
        case 400:
            return Refused(_code_in(body, "bad_frame"))
        case 403:
            return Gone("unreachable")  # another worker has this address now, or the lease has changed
        case 410:
            return Gone("handoff", to_successor=_word_in(body) == HANDED_OVER)
        case 429:
            return Refused(_code_in(body, "busy"))
        case _:
            logger.warning("worker gave an unexpected answer", status=status)
            return Refused("internal")


def _code_in(body: bytes, otherwise: str) -> str:
    word = _word_in(body)
    return word if word in MESSAGES else otherwise


def _word_in(body: bytes) -> str:
    refusal = decode_refusal(body)
    return refusal.error if refusal else ""
