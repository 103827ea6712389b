"""A worker for a session that has none.

    this worker, if it has room ─▶ the best of the others ─▶ the claims queue

A session that is just handed over has no holder for a moment; it is left to its successor first.
"""

from __future__ import annotations

import time

from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import Claim, ClientAddress
from shared.connections import Binding
from shared.ingress.handoffs import PlannedHandoffs
from shared.ingress.outcomes import FailedAttempt
from shared.ingress.recent_claims import RecentClaims
from shared.ingress.routes import Route
from shared.log import logger
from worker.direct.rows import SocketRows
from worker.direct.sockets import ClientSocket
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.hosting.claims import ClaimSource, ClaimTaker
from worker.hosting.host import NoRoom
from worker.hosting.successors import Successors


class Claiming:
    """Claims for sockets' sessions, each made seldom enough."""

    def __init__(
        self,
        claims: ClaimTaker,
        successors: Successors,
        queue: ClaimSource,
        rows: SocketRows,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> None:
        """Keep who may take a session.

        Args:
            claims: Of this worker.
            successors: The others.
            queue: Of all workers.
            rows: The addresses of a session's clients.
            times: Time limits.
        """
        self._claims = claims
        self._successors = successors
        self._queue = queue
        self._rows = rows
        self._recent = RecentClaims(time.monotonic, times.quiet_seconds)
        self._handoffs = PlannedHandoffs(time.monotonic, times.handover_seconds)

    def is_handed_over(self, session_key: str) -> bool:
        """Return true if a session was handed over, and its successor has not been seen yet."""
        return self._handoffs.is_noted(session_key)

    def note_successor(self, session_key: str) -> None:
        """Note that a session's successor has taken a frame: the handoff is over."""
        self._handoffs.forget_handoff(session_key)

    async def claim(self, socket: ClientSocket, binding: Binding, failed: FailedAttempt) -> None:
        """Have the session taken, unless that was done a moment ago.

        Args:
            socket: Of the client that waits.
            binding: What it is bound to.
            failed: The attempt that reached no holder; its worker is not asked.
        """
        key, reason = binding.session_key, failed.outcome.reason
        if failed.outcome.to_successor:
            self._handoffs.note_handoff(key)
        if reason != "unreachable" and self._handoffs.is_left_to_successor(key):
            return
        if self._recent.suffice(key, reason, failed.route):
            return
        self._recent.note_claim(key, failed.route)
        claim = Claim(
            session_key=key,
            session_id=binding.session_id,
            principal=socket.principal,
            reason=reason,
            clients=await self._clients(socket, binding),
        )
        where = await self._place(claim, failed.route)
        logger.info("claim made", session=key, reason=reason, clients=len(claim.clients), worker=where)

    async def _place(self, claim: Claim, failed: Route | None) -> str:
        try:
            self._claims.offer_claim(claim)
        except NoRoom:
            peer = await self._successors.find_holder(claim, avoid=failed.endpoint if failed else None)
            if peer is not None:
                return peer.worker_id
            await self._queue.send(claim)
            return "any"
        return "this"

    async def _clients(self, socket: ClientSocket, binding: Binding) -> tuple[ClientAddress, ...]:
        """All clients of the session; the one that speaks now in any case."""
        try:
            addresses = {address.client_id: address for address in await self._rows.clients(binding.session_key)}
        except AWS_ERRORS as error:
            logger.warning("the clients of a session could not be read", reason=reason_of(error))
            addresses = {}
        known, here = addresses.get(binding.client_id), socket.client
        if here is not None and (known is None or known.counter <= binding.counter):
            addresses[binding.client_id] = here
        return tuple(addresses.values())
