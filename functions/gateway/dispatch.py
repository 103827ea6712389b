"""Dispatch of a client's frame to the holder of its session.

    route remembered or on the lease? ──no──▶ claim ──▶ wait for a holder (hello, and frames without seq) ──▶ post
              │ yes
              ▼
            post ── accepted or refused ──▶ done
              ├ no answer for 0.5 s ──▶ claim, beside the post
              │ gone (refused connection, no answer in 2 s, the session has moved)
              ▼
        read the lease again ── another route ──▶ post once more
              │ the same, or none
              ▼
            claim …, but not for 2 s if the session is handed over to a worker that has it ready

A frame with a ``seq`` does not wait for a holder: the client sends it again, and the next holder asks for it anyway. A
request for a page is sent again as well. A frame that is sent once is posted to a second holder only after the post to
the first has ended: else both might take it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aws_lambda_powertools import Logger

from gateway.claims import Claims
from gateway.post import FramePost
from gateway.turns import TurnsQueue
from segue.backoff import backoff
from segue.wire.delivery import encode_delivery
from segue.wire.frames import ClientFrame, Error
from shared.connections import Binding
from shared.ingress.binding import delivery_of
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS, is_numbered, needs_holder, waits_for_holder
from shared.ingress.handoffs import PlannedHandoffs
from shared.ingress.outcomes import Accepted, FailedAttempt, Gone, Outcome, Refused, error_for_client
from shared.ingress.routes import Route, Routes
from shared.ingress.suspects import Suspects

FIRST_POLL_SECONDS: Final = 0.05
"""Seconds before the lease is read the first time while a frame waits for a holder; doubled each time."""

LONGEST_POLL_SECONDS: Final = 0.4
"""Seconds between two reads of the lease at most: a free worker takes a claim within some tenths of a second."""

logger = Logger()


@dataclass(frozen=True, slots=True)
class FrameOrigin:
    """The origin of a frame.

    Attributes:
        connection_id: API Gateway's id of the connection.
        principal: whose it is.
        token_expires_at: when its right to send ends; seconds since 1970.
        binding: since its ``hello``.
    """

    connection_id: str
    principal: str
    token_expires_at: int
    binding: Binding


class Dispatch:
    """Delivery of frames to the holders of their sessions."""

    def __init__(
        self,
        routes: Routes,
        post: FramePost,
        claims: Claims,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        turns: TurnsQueue | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            routes: finds a session's holder.
            post: posts to it.
            claims: asks for one.
            clock: monotonic, in seconds.
            sleep: waits, in seconds.
            turns: takes the text of sessions without a holder; None: workers are claimed for all.
        """
        self._routes = routes
        self._post = post
        self._claims = claims
        self._clock = clock
        self._sleep = sleep
        self._turns = turns
        self._handoffs = PlannedHandoffs(clock)
        self._suspects = Suspects(clock)

    def deliver(self, sender: FrameOrigin, frame: ClientFrame) -> Error | None:
        """Bring one frame to the holder; return what the client is told, if anything."""
        key = sender.binding.session_key
        body = encode_delivery(delivery_of(sender.connection_id, sender.binding, frame))
        route = self._routes.find(key)
        outcome = self._try_route(route, sender, frame, body)
        if isinstance(outcome, Gone) and route is not None:
            previous, route = route, self._routes.read(key)
            released = route is None and outcome.to_successor
            if route != previous and not released:
                outcome = self._try_route(route, sender, frame, body)
        if not isinstance(outcome, Gone):
            return error_for_client(outcome)
        return self._claim_or_queue(sender, frame, body, FailedAttempt(route, outcome))

    def _claim_or_queue(
        self, sender: FrameOrigin, frame: ClientFrame, body: bytes, failed: FailedAttempt
    ) -> Error | None:
        key = sender.binding.session_key
        self._routes.forget_route(key)
        if not needs_holder(frame):
            return None
        turns = self._turns if self._turns is not None and self._turns.takes(sender.binding, frame) else None
        if turns is None or self._is_for_worker(key, failed):
            self._claim(sender, failed)
            outcome = self._wait_for_holder(sender, frame, body, failed) if waits_for_holder(frame) else None
            if turns is None or outcome not in (None, Refused("no_worker")):
                return error_for_client(outcome)
            if not waits_for_holder(frame) and self._handoffs.is_left_to_successor(key):
                return None  # its client sends it again, to the successor, from which a turn would take the session
        turns.send(sender.binding, frame, body)
        return None

    def _is_for_worker(self, key: str, failed: FailedAttempt) -> bool:
        """Return true if a worker held the session, so that another one goes on with it, and no turn."""
        return (
            failed.outcome.reason == "unreachable"
            or failed.outcome.to_successor
            or self._handoffs.is_left_to_successor(key)
        )

    def _claim_beside(self, sender: FrameOrigin, frame: ClientFrame, route: Route) -> None:
        """Claim the session of a holder that has not answered yet; what fails is tried again once the post has."""
        if not needs_holder(frame):
            return
        logger.warning("worker has not answered yet", endpoint=route.endpoint, session=sender.binding.session_key)
        try:
            self._claim(sender, FailedAttempt(route, Gone("unreachable")))
        except Exception:
            logger.exception("claim failed", session=sender.binding.session_key)

    def _claim(self, sender: FrameOrigin, failed: FailedAttempt) -> None:
        """Claim the session, unless it is left to a successor that has it ready."""
        key = sender.binding.session_key
        if failed.outcome.to_successor:
            self._handoffs.note_handoff(key)
        if failed.outcome.reason != "unreachable" and self._handoffs.is_left_to_successor(key):
            return
        self._claims.send(sender.connection_id, sender.binding, sender.principal, failed.outcome.reason, failed.route)

    def _wait_for_holder(
        self, sender: FrameOrigin, frame: ClientFrame, body: bytes, failed: FailedAttempt
    ) -> Accepted | Refused:
        """Deliver as soon as there is a holder, unless that takes too long."""
        deadline = self._clock() + HOLDER_WAIT_SECONDS
        pauses = backoff(FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, jitter=False)
        key = sender.binding.session_key
        while self._clock() < deadline:
            self._sleep(next(pauses))
            found = self._routes.read(key)
            if found is None and self._handoffs.is_noted(key):
                self._claim(sender, failed)
            route = failed.route_to_try(found)
            if route is None:
                continue
            outcome = self._try_route(route, sender, frame, body)
            if not isinstance(outcome, Gone):
                return outcome
            failed = FailedAttempt(route, outcome)
            # Either this holder has died as well, or the handoff that was noted takes too long.
            if outcome.reason == "unreachable" or self._handoffs.is_noted(key):
                self._claim(sender, failed)
        return Refused("no_worker")

    def _try_route(self, route: Route | None, sender: FrameOrigin, frame: ClientFrame, body: bytes) -> Outcome:
        if route is None:
            return Gone("no-holder")
        if route in self._suspects:
            return Gone("unreachable")
        outcome = self._post(
            route, body, repeatable=is_numbered(frame), search=lambda: self._claim_beside(sender, frame, route)
        )
        if outcome == Gone("unreachable"):
            self._suspects.note_route(route)
        elif outcome == Accepted():
            self._handoffs.forget_handoff(sender.binding.session_key)
        return outcome
