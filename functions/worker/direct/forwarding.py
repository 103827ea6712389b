"""Frames of this worker's sockets, brought to the holders of their sessions.

    held here ──▶ the session
    route remembered or on the lease ──POST /frames──▶ holder
          no answer for 0.5 s ──▶ claim, beside the post (``worker.hosting.search_beside``)
          gone (refused connection, no answer in 2 s, the session has moved) ──▶ read the lease again, once more
    no holder ──▶ claim; wait for one with ``hello`` and with frames without ``seq``

A frame with a ``seq`` does not wait for a holder: the client sends it again, and the next holder asks for it anyway.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Self

from segue.backoff import backoff
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, Delivery, encode_delivery
from segue.wire.frames import ClientFrame, Error, FrameError
from shared.connections import Binding
from shared.ingress.binding import delivery_of
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS, is_numbered, needs_holder, waits_for_holder
from shared.ingress.outcomes import Accepted, FailedAttempt, Gone, Outcome, Refused, error_for_client, outcome_of
from shared.ingress.routes import Route, Routes
from shared.ingress.suspects import Suspects
from shared.log import logger
from worker.aws.kept_connections import HTTP_ERRORS
from worker.conversation.session import SessionMoved
from worker.direct.claiming import Claiming
from worker.direct.rows import SocketRows
from worker.direct.sockets import ClientSocket
from worker.hosting.host import Host
from worker.hosting.peer_http import PeerHttp
from worker.hosting.search_beside import SearchesBeside
from worker.telemetry.metrics import Count, metrics

ANSWER_SECONDS: Final = 2.0
"""Seconds for a holder's answer, which comes as soon as the frame is queued. A holder that takes longer counts as
hung."""

FIRST_POLL_SECONDS: Final = 0.02
"""Seconds before this worker's own sessions and the lease are looked at the first time; doubled each time."""

LONGEST_POLL_SECONDS: Final = 0.3
"""Seconds between two such looks at most."""


@dataclass(frozen=True, slots=True)
class SocketOrigin:
    """The origin of a frame: a socket, and what it is bound to."""

    socket: ClientSocket
    binding: Binding


class HolderPost:
    """Poster of frames to holders on other workers. Use as an async context manager."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._http = PeerHttp(ANSWER_SECONDS)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    async def __call__(self, route: Route, body: bytes, *, repeatable: bool) -> Outcome:
        """Post and say what came of it; raises nothing for what the network or the worker does.

        Args:
            route: Where to.
            body: What.
            repeatable: Whether it may be sent twice: the holder takes it once, by its number.
        """
        metrics.count(Count.FRAMES_FORWARDED)
        headers = {"content-type": "application/json", ROUTE_TOKEN_HEADER: route.token}
        try:
            answer = await self._http.request("POST", route.endpoint, FRAMES_PATH, headers, body, repeatable=repeatable)
        except HTTP_ERRORS as error:
            logger.warning("worker does not answer", endpoint=route.endpoint, error=type(error).__name__)
            return Gone("unreachable")
        return outcome_of(answer.status, answer.body)


class Forwarding:
    """Delivery of sockets' frames to the holders of their sessions."""

    def __init__(
        self,
        host: Host,
        routes: Routes,
        post: HolderPost,
        claiming: Claiming,
        rows: SocketRows,
        endpoint: str,
    ) -> None:
        """Put the parts together.

        Args:
            host: The sessions that are held here.
            routes: Finds a session's holder.
            post: Posts to it.
            claiming: Asks for one.
            rows: Runs the reads of leases on its threads.
            endpoint: This worker's address.
        """
        self._host = host
        self._routes = routes
        self._post = post
        self._claiming = claiming
        self._rows = rows
        self._endpoint = endpoint
        self._searches = SearchesBeside()
        self._suspects = Suspects(_now)

    async def deliver(self, socket: ClientSocket, binding: Binding, frame: ClientFrame) -> Error | None:
        """Bring one frame to the holder; return what the client is told, if anything.

        Raises:
            BotoCoreError: The table does not answer.
            ClientError: The table refuses the request.
        """
        delivery = delivery_of(socket.connection_id, binding, frame, socket.address)
        origin = SocketOrigin(socket, binding)
        outcome, route = self._deliver_here(delivery), None
        if isinstance(outcome, Gone):
            outcome, route = await self._deliver_elsewhere(origin, delivery, outcome)
        if not isinstance(outcome, Gone):
            return error_for_client(outcome)
        return await self._claim_and_wait(origin, delivery, FailedAttempt(route, outcome))

    def _deliver_here(self, delivery: Delivery) -> Outcome:
        """Give a frame to a session of this worker; Gone if it is not here."""
        session = self._host.find(delivery.session_key)
        if session is None:
            released = self._host.handed_over(delivery.session_key)
            return Gone("handoff", to_successor=True) if released else Gone("no-holder")
        try:
            session.deliver(delivery)
        except SessionMoved:
            return Gone("handoff", to_successor=session.successor_ready)
        except FrameError as error:
            metrics.error(error.code)
            return Refused(error.code)
        self._claiming.note_successor(delivery.session_key)
        return Accepted()

    async def _deliver_elsewhere(
        self, origin: SocketOrigin, delivery: Delivery, here: Gone
    ) -> tuple[Outcome, Route | None]:
        key = delivery.session_key
        route = self._routes.remembered(key) or await self._read_route(key)
        outcome = await self._try_route(route, origin, delivery)
        if isinstance(outcome, Gone) and route is not None:
            previous, route = route, await self._read_route(key)
            if route is None and outcome.to_successor:
                return outcome, None  # released a moment ago: its successor acquires it next
            if route != previous:
                outcome = await self._try_route(route, origin, delivery)
        if isinstance(outcome, Gone) and here.reason == "handoff" and (route is None or self._is_here(route)):
            outcome = here
        return outcome, route

    async def _claim_and_wait(self, origin: SocketOrigin, delivery: Delivery, failed: FailedAttempt) -> Error | None:
        self._routes.forget_route(delivery.session_key)
        if not needs_holder(delivery.frame):
            return None
        await self._claim(origin, failed)
        if not waits_for_holder(delivery.frame):
            return None
        return error_for_client(await self._wait_for_holder(origin, delivery, failed))

    async def _claim(self, origin: SocketOrigin, failed: FailedAttempt) -> None:
        await self._claiming.claim(origin.socket, origin.binding, failed)

    async def _wait_for_holder(
        self, origin: SocketOrigin, delivery: Delivery, failed: FailedAttempt
    ) -> Accepted | Refused:
        """Deliver as soon as there is a holder, unless that takes too long."""
        deadline = _now() + HOLDER_WAIT_SECONDS
        pauses = backoff(FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, jitter=False)
        while _now() < deadline and not origin.socket.closed:
            await asyncio.sleep(next(pauses))
            outcome = self._deliver_here(delivery)
            if not isinstance(outcome, Gone):
                return outcome
            if outcome.reason == "handoff":  # the session came here while this frame waited, and is handed over already
                failed = FailedAttempt(failed.route, outcome)
            route = failed.route_to_try(await self._read_route(delivery.session_key))
            if route is None:
                await self._claim(origin, failed)
                continue
            outcome = await self._try_route(route, origin, delivery)
            if not isinstance(outcome, Gone):
                return outcome
            failed = FailedAttempt(route, outcome)
            await self._claim(origin, failed)
        return Refused("no_worker")

    async def _try_route(self, route: Route | None, origin: SocketOrigin, delivery: Delivery) -> Outcome:
        if route is None:
            return Gone("no-holder")
        if self._is_here(route):
            # The session was opened while the lease was read, or while the holder before did not answer.
            outcome = self._deliver_here(delivery)
            if outcome != Gone("no-holder"):
                return outcome
            # Else the lease is that of a process that had this address before.
            opening = self._host.is_opening(delivery.session_key)
            return Gone("handoff", to_successor=True) if opening else Gone("unreachable")
        if route in self._suspects:
            return Gone("unreachable")
        # Known before the post: an answer of the predecessor may come after another frame's that tells of the handoff.
        handed_over = self._claiming.is_handed_over(delivery.session_key)
        post = self._post(route, encode_delivery(delivery), repeatable=is_numbered(delivery.frame))
        if needs_holder(delivery.frame):
            failed = FailedAttempt(route, Gone("unreachable"))
            outcome = await self._searches.post(delivery.session_key, post, lambda: self._claim(origin, failed))
        else:
            outcome = await post
        if outcome == Gone("unreachable"):
            self._suspects.note_route(route)
        elif handed_over and outcome == Accepted():
            self._claiming.note_successor(delivery.session_key)
        return outcome

    def _is_here(self, route: Route) -> bool:
        return route.endpoint == self._endpoint

    async def _read_route(self, session_key: str) -> Route | None:
        self._routes.forget_route(session_key)
        route = await self._rows.call(self._routes.read_route, session_key)
        if route is not None:
            self._routes.remember(session_key, route)
        return route


def _now() -> float:
    return asyncio.get_running_loop().time()
