"""Sessions go to where their client's socket is.

    a client says ``hello`` at a worker that does not hold its session, or a session is opened for a client with a
    socket elsewhere
      ─▶ the holder has a socket of the session itself?  stays
      ─▶ no such worker has room?  looked again later
      ─▶ else, at a turn boundary: the handoff of a deployment, to that worker and no other, once for each connection
      ─▶ another connection came meanwhile?  considered after it

If that worker is not ready in time, nothing is released and frames are forwarded as before. A session that was handed
over a moment ago stays for a while first: what was not answered is sent again to each holder, and a caller whose
connections break every few seconds would else never be answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from segue.bounded import BoundedDict
from segue.wire.claims import Claim, ClientAddress
from shared.background import first_of
from shared.log import logger
from shared.registered_worker import RegisteredWorker
from worker.conversation.session import HostedSession
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.hosting.claims import ClaimSource
from worker.hosting.handoff import Handoff
from worker.hosting.successors import Promise, Successors
from worker.telemetry.metrics import Count, metrics

REMEMBERED: Final = 4096
"""Connections that are remembered as followed, or tried; one that is forgotten may be followed again."""

TRIES: Final = 5
"""Times that such workers may refuse a session; after them it stays. What the registry says of their room is some
seconds old."""


@dataclass(frozen=True, slots=True)
class FollowAttempt:
    """One session's attempt to move to the worker that has its client's socket.

    Attributes:
        task: Tries.
        changed: Set when another connection of the session was seen meanwhile.
    """

    task: asyncio.Task[None]
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Following:
    """Handoff of sessions to the workers of their sockets."""

    def __init__(
        self,
        successors: Successors,
        queue: ClaimSource,
        endpoint: str,
        worker_id: str,
        hurry: asyncio.Event | None = None,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> None:
        """Keep the parts.

        Args:
            successors: Talks with the other workers.
            queue: Takes the claim of a session that was released after all and not taken.
            endpoint: This worker's address.
            worker_id: This worker.
            hurry: When set, a session that was released looks for no other worker than the queue finds.
            times: Time limits.
        """
        self._successors = successors
        self._queue = queue
        self._hurry = hurry or asyncio.Event()
        self._endpoint = endpoint
        self._times = times
        self._worker_id = worker_id
        self._seen: BoundedDict[str, bool] = BoundedDict(REMEMBERED)
        self._attempts: dict[str, FollowAttempt] = {}
        self._stopped = asyncio.Event()
        self._heard = asyncio.Event()

    def hello(self, session: HostedSession, address: ClientAddress) -> None:
        """Consider one ``hello``; never waits."""
        self._heard.set()
        self.consider(session, address)

    def consider(self, session: HostedSession, address: ClientAddress) -> None:
        """Consider one client of a session, if its connection is seen for the first time; never waits."""
        if address.direct is None or self._stopped.is_set() or self._seen.use(address.connection_id):
            return
        self._seen[address.connection_id] = True
        if (attempt := self._attempts.get(session.key)) is not None:
            attempt.changed.set()
        elif not self.owns_socket_of(session):
            task = asyncio.create_task(self._follow(session), name=f"follow {session.key}")
            self._attempts[session.key] = FollowAttempt(task)

    def opened(self, session: HostedSession) -> None:
        """Consider the clients that a session was opened for: of a claim no ``hello`` need follow; never waits."""
        for client in session.clients:
            self.consider(session, client)

    def owns_socket_of(self, session: HostedSession) -> bool:
        """Return true if a client of the session has its socket at this worker."""
        here = self._endpoint
        return any(client.direct is not None and client.direct.endpoint == here for client in session.clients)

    async def heard_hello(self) -> None:
        """Wait for the next ``hello`` to any session of this worker."""
        self._heard.clear()
        await self._heard.wait()

    def stop(self) -> None:
        """Begin no more, because this worker drains; those that are under way wait for nothing any more."""
        self._stopped.set()

    async def wait_until_settled(self, session: HostedSession) -> None:
        """Wait until a session has followed its socket, or stays, if it was about to."""
        if (attempt := self._attempts.get(session.key)) is not None:
            await asyncio.wait({attempt.task})

    async def _follow(self, session: HostedSession) -> None:
        """Try to follow, and once more if another connection was seen meanwhile: its ``hello`` need not come again."""
        changed = self._attempts[session.key].changed
        try:
            await self._settle(session)
            changed.set()
            while changed.is_set():
                changed.clear()
                await self._try(session)
        finally:
            del self._attempts[session.key]

    async def _try(self, session: HostedSession) -> None:
        refusals: Counter[str] = Counter()
        while refusals.total() < TRIES:
            endpoint = await self._with_room(session, refusals)
            if endpoint is None or not await self._is_refused(session, endpoint):
                return
            refusals[endpoint] += 1
            await self._pause(session)

    async def _is_refused(self, session: HostedSession, endpoint: str) -> bool:
        """Hand a session over, if all goes well; true if that worker has not even prepared it."""
        only = OnlyWorker(self._successors, endpoint)
        handoff = Handoff(session, only, self._queue, self._bounded, worker_id=self._worker_id, hurry=self._hurry)
        try:
            if await handoff.hand_over_if_ready():
                metrics.count(Count.SESSIONS_FOLLOWED)
                logger.info("session has followed its socket", session=session.key, epoch=session.epoch)
        except Exception as error:  # noqa: BLE001 - concerns this session only, which is held or has been released
            logger.exception("session could not follow its socket", session=session.key, kind=type(error).__name__)
        return only.refused

    async def _with_room(self, session: HostedSession, refusals: Counter[str]) -> str | None:
        """Return the address of a worker of a client's socket, once one has room; None if the session stays.

        Args:
            session: The session.
            refusals: Of the workers that were asked: the first is one that has refused least.
        """
        while endpoints := self._elsewhere(session):
            self._attempts[session.key].changed.clear()
            found = await self._first_with_room(sorted(endpoints, key=refusals.__getitem__))
            if found is None:
                await self._pause(session)
            elif found in self._elsewhere(session):
                return found
        return None

    async def _first_with_room(self, endpoints: Sequence[str]) -> str | None:
        for endpoint in endpoints:
            if await self._successors.at(endpoint) is not None:
                return endpoint
        return None

    async def _pause(self, session: HostedSession) -> None:
        """Wait until it is worth another look."""
        changed, seconds = self._attempts[session.key].changed, self._times.room_look_seconds
        await first_of(session.ended.wait(), self._stopped.wait(), changed.wait(), timeout=seconds)

    def _elsewhere(self, session: HostedSession) -> list[str]:
        """Return the addresses of the workers of the clients' sockets, each once; none if the session stays."""
        if self._stopped.is_set() or not session.open or self.owns_socket_of(session):
            return []
        return list(dict.fromkeys(client.direct.endpoint for client in session.clients if client.direct is not None))

    async def _settle(self, session: HostedSession) -> None:
        """Wait until a session that was handed over has been here for a while; not while this worker drains."""
        if session.handed_over_at is None:
            return
        left = session.handed_over_at + self._times.settled_seconds - asyncio.get_running_loop().time()
        if left > 0:
            await first_of(session.ended.wait(), self._stopped.wait(), timeout=left)

    async def _bounded(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Wait for ``work``, but no longer than ``seconds`` and not while this worker drains; raise its error."""
        await first_of(work, self._stopped.wait(), timeout=seconds)


class OnlyWorker:
    """Finder of one worker as successor, and no other.

    Attributes:
        refused: Whether it was asked last in vain.
    """

    def __init__(self, successors: Successors, endpoint: str) -> None:
        """Keep the successors and the address.

        Args:
            successors: Talks with it.
            endpoint: Its address.
        """
        self._successors = successors
        self._endpoint = endpoint
        self.refused = False

    async def prepare(self, claim: Claim, again: RegisteredWorker | None = None) -> Promise | None:
        """Have a session made ready there; None if it has no room, or is not known yet."""
        peer = again or await self._successors.at(self._endpoint)
        promise = None if peer is None else await self._successors.prepare_at(peer, claim)
        self.refused = promise is None
        return promise

    async def offer_claim(self, peer: RegisteredWorker, claim: Claim) -> bool:
        """Say that it is free."""
        return await self._successors.offer_claim(peer, claim)

    async def find_holder(self, claim: Claim, *, avoid: str | None = None) -> RegisteredWorker | None:
        """Say so to any worker: the session is released, and the one that it was to go to does not take it."""
        return await self._successors.find_holder(claim, avoid=avoid)
