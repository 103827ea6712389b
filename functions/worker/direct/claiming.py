"""A worker for a session that has none.

    this worker, if it has room ─▶ the best of the others ─▶ the claims queue

A session that is just handed over has no holder for a moment; it is left to its successor first.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

from segue.bounded import BoundedDict
from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import Claim, ClientAddress, Reason
from shared.connections import Binding
from shared.log import logger
from worker.direct.rows import SocketRows
from worker.direct.sockets import ClientSocket
from worker.hosting.claims import ClaimSource, ClaimTaker
from worker.hosting.host import NoRoom
from worker.hosting.successors import Successors

QUIET_SECONDS: Final = 2.0
"""Between two claims of one session, which gets frames ten times a second."""

HANDOFF_SECONDS: Final = 2.0
"""For the successor of a session that is being handed over to acquire it. Then it is claimed as any other."""

REMEMBERED: Final = 2048
"""Sessions whose last claim is remembered."""


class Claiming:
    """Finds holders, seldom enough."""

    def __init__(self, claims: ClaimTaker, successors: Successors, queue: ClaimSource, rows: SocketRows) -> None:
        """Keep who may take a session.

        Args:
            claims: Of this worker.
            successors: The others.
            queue: Of all workers.
            rows: The addresses of a session's clients.
        """
        self._claims = claims
        self._successors = successors
        self._queue = queue
        self._rows = rows
        self._claimed: BoundedDict[str, tuple[float, str | None]] = BoundedDict(REMEMBERED)
        self._moving: BoundedDict[str, float] = BoundedDict(REMEMBERED)

    async def claim(self, socket: ClientSocket, binding: Binding, reason: Reason, missed: str | None) -> None:
        """Have the session taken, unless that was done a moment ago.

        Args:
            socket: Of the client that waits.
            binding: What it is bound to.
            reason: Why.
            missed: Endpoint of the holder that has just failed the session; it is not asked.
        """
        key, now = binding.session_key, asyncio.get_running_loop().time()
        if reason == "handoff":
            self._note_move(key, now)
        if reason != "unreachable" and now - self._moving.get(key, -math.inf) < HANDOFF_SECONDS:
            return  # left to its successor
        last, missed_then = self._claimed.get(key, (-math.inf, None))
        another_died = reason == "unreachable" and missed != missed_then
        if now - last < QUIET_SECONDS and not another_died:
            return
        self._claimed[key] = (now, missed)
        claim = Claim(
            session_key=key,
            session_id=binding.session_id,
            principal=socket.principal,
            reason=reason,
            clients=await self._clients(socket, binding),
        )
        where = await self._place(claim, missed)
        logger.info("claim made", session=key, reason=reason, clients=len(claim.clients), worker=where)

    def _note_move(self, key: str, now: float) -> None:
        """Note when the session's handoff was first seen; one of long before was another."""
        if now - self._moving.get(key, -math.inf) > 2 * HANDOFF_SECONDS:
            self._moving[key] = now

    async def _place(self, claim: Claim, missed: str | None) -> str:
        try:
            self._claims.offer(claim)
        except NoRoom:
            peer = await self._successors.give(claim, avoid=missed)
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
