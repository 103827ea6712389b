"""Successors of a draining worker's sessions.

In order: the worker of a client's socket, a fresh beat, then the newest version, then most room.

    registry ─▶ in this order ─▶ POST /claims prepare ─▶ 200: this one
                                   refused, draining, too slow, hung ─▶ the next one, at most three
                                   no connection ─▶ the next one, for a second in all
                no successor ─▶ the claims queue

The registry does not show that a worker lives, only its answer does. So a worker that missed its last beats is asked
last. Each session that a worker was given counts against its room, so that the sessions of one worker spread over all
workers of the newest version.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Claim, ClaimError, decode_prepared, encode_claim
from shared.background import first_of
from shared.log import logger
from shared.registered_worker import RegisteredWorker
from worker.aws.kept_connections import HTTP_ERRORS
from worker.hosting.peer_health import until_hung
from worker.hosting.peer_http import PeerHttp, was_sent

CANDIDATES: Final = 3
"""Workers that may refuse one session; after them it goes to the queue, which finds one as well, a little later."""

SEARCH_SECONDS: Final = 1.0
"""Seconds after which no further worker is asked. Those that have died refuse the connection at once, or cost the wait
for it: of a lost zone there may be many."""

LOOK_AGAIN_SECONDS: Final = 2.0
"""Seconds for which one answer of the registry is used: less than a worker's beat, and one query for hundreds of
sessions."""

PREPARE_SECONDS: Final = 10.0
"""Seconds for the restore and the start of a model's connection, normally one or two; after them another worker is
asked. The caller goes on talking. A worker that hangs meanwhile is given up within five seconds."""

TAKE_SECONDS: Final = 1.0
"""Seconds for an answer without any work before it; after them the worker has not taken the session. The caller
waits."""

NO_ANSWER: Final = 0
"""In the place of a status: the worker was reached, and has not answered in time, or hung up."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A worker that has a session ready.

    Attributes:
        peer: Who.
        head: The records that it is ready for.
        additions: Whether its model can be told what was said since; if not, a session with more records starts anew.
    """

    peer: RegisteredWorker
    head: int
    additions: bool = False


class Successors:
    """Other workers as successors, found and asked. Use as an async context manager."""

    def __init__(
        self,
        others: Callable[[], Awaitable[list[RegisteredWorker]]],
        *,
        http: PeerHttp | None = None,
        search_seconds: float = SEARCH_SECONDS,
        prepare_seconds: float = PREPARE_SECONDS,
        watch_until_hung: Callable[[str], Awaitable[None]] = until_hung,
    ) -> None:
        """Keep where to look.

        Args:
            others: Reads the registry, without this worker.
            http: Reaches them; None: makes its own.
            search_seconds: After which no further worker is asked.
            prepare_seconds: For a restore and the start of a model's connection.
            watch_until_hung: Returns when the worker at an endpoint hangs.
        """
        self._read_registry = others
        self._peers: list[RegisteredWorker] = []
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()
        self._assigned: Counter[str] = Counter()
        self._search_seconds = search_seconds
        self._prepare_seconds = prepare_seconds
        self._watch_until_hung = watch_until_hung
        self._http = http or PeerHttp(prepare_seconds)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    async def prepare(self, claim: Claim, again: RegisteredWorker | None = None) -> Promise | None:
        """Have a session made ready by the best worker that can.

        Args:
            claim: The session.
            again: The worker that has prepared it before, and is asked first.

        Returns:
            The worker and the records that it is ready for; None if no worker can.
        """
        others = await self._candidates(claim)
        if again is None:
            return await self._prepare(others, claim)
        self._assigned[again.worker_id] -= 1  # it is counted anew
        others = [peer for peer in others if peer.worker_id != again.worker_id]
        return await self._prepare([again, *others], claim)

    async def prepare_at(self, peer: RegisteredWorker, claim: Claim) -> Promise | None:
        """Have a session made ready by one worker and no other."""
        return await self._prepare([peer], claim)

    async def _prepare(self, peers: Sequence[RegisteredWorker], claim: Claim) -> Promise | None:
        until = time.monotonic() + self._search_seconds
        refusals = 0
        for peer in peers:
            self._assigned[peer.worker_id] += 1
            status, body = await self._post_unless_hung(peer, claim)
            if status == 200:
                try:
                    prepared = decode_prepared(body)
                    return Promise(peer, prepared.head, prepared.additions)
                except ClaimError:
                    logger.error("a worker's answer cannot be read", successor=peer.worker_id)
            self._assigned[peer.worker_id] -= 1
            logger.info("a successor did not take the session", successor=peer.worker_id, status=status)
            refusals += status is not None
            if refusals == CANDIDATES or (status is None and time.monotonic() >= until):
                break
        return None

    async def offer_claim(self, peer: RegisteredWorker, claim: Claim) -> bool:
        """Tell a worker that a session is free for it; False if it does not take it."""
        status, _ = await self._post(peer, claim, TAKE_SECONDS)
        return status == 202

    async def find_holder(self, claim: Claim, *, avoid: str | None = None) -> RegisteredWorker | None:
        """Have the best worker take a session that is free; None if none of those that were asked does.

        Args:
            claim: The session.
            avoid: Endpoint that has just failed the session.
        """
        until = time.monotonic() + self._search_seconds
        refusals = 0
        for peer in await self._candidates(claim):
            if peer.endpoint == avoid:
                continue
            self._assigned[peer.worker_id] += 1
            status, _ = await self._post(peer, claim, TAKE_SECONDS)
            if status == 202:
                return peer
            self._assigned[peer.worker_id] -= 1
            refusals += status is not None
            if refusals == CANDIDATES or time.monotonic() >= until:
                break
        return None

    async def at(self, endpoint: str) -> RegisteredWorker | None:
        """Return the worker with this address, if it has room; None if not."""
        return next((peer for peer in await self._read_peers() if peer.endpoint == endpoint), None)

    async def _candidates(self, claim: Claim) -> list[RegisteredWorker]:
        peers = [peer for peer in await self._read_peers() if peer.room > self._assigned[peer.worker_id]]
        # Shuffled, so that several workers that leave at once do not all begin with the same of two equals.
        random.shuffle(peers)
        peers.sort(
            key=lambda peer: (peer.fresh, peer.version, peer.room - self._assigned[peer.worker_id]), reverse=True
        )
        # First the worker that a client of the session is connected to: it may leave no other to forward to.
        sockets = {client.direct.endpoint for client in claim.clients if client.direct is not None}
        peers.sort(key=lambda peer: peer.endpoint not in sockets)
        return peers

    async def _read_peers(self) -> list[RegisteredWorker]:
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now - self._read_at > LOOK_AGAIN_SECONDS:
                try:
                    self._peers = await self._read_registry()
                except AWS_ERRORS as error:
                    logger.warning("the registry does not answer", reason=reason_of(error))
                    self._peers = []
                self._assigned.clear()  # the room that is told now is less by what was taken
                self._read_at = now
            return self._peers

    async def _post_unless_hung(self, peer: RegisteredWorker, claim: Claim) -> tuple[int | None, bytes]:
        """Have a session made ready, and give a worker up that hangs: a start may take seconds, its health may not."""
        answer = await first_of(self._post(peer, claim, self._prepare_seconds), self._watch_until_hung(peer.endpoint))
        return answer or (NO_ANSWER, b"")

    async def _post(self, peer: RegisteredWorker, claim: Claim, seconds: float) -> tuple[int | None, bytes]:
        """Send a claim; the status is None if no connection was made."""
        headers = {CLAIMS_TOKEN_HEADER: peer.claims_token}
        body = encode_claim(claim).encode()
        try:
            answer = await self._http.request(
                "POST", peer.endpoint, CLAIMS_PATH, headers, body, repeatable=True, seconds=seconds
            )
        except HTTP_ERRORS as error:
            return NO_ANSWER if was_sent(error) else None, b""
        return answer.status, answer.body
