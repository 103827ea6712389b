"""Handoff of one session: its successor is ready before this worker releases it.

    predecessor                                              successor
    all is saved
    at a turn boundary ─▶ prepare ─────────────────────────▶ restores, builds the agent, connects its model
    (the conversation goes on)  ◀──────────────────────────  ready for 41 records
    the next boundary: still 41? otherwise once more: ─────▶ its model is told what is new, or another one is started
    frames are refused (410), ``moved`` is said                ┐
    flush and release                                        │ the gap
    claim ─────────────────────────────────────────────────▶ acquires: one write. Says ``ready``  ┘
    the agent and its model are stopped

A failure on the way costs time only. A successor that does not take what it has ready is replaced by the best of the
others; if there is none, or none was ready, a claim goes into the queue. If this process dies, the clients' next frames
find that out, and the standby is used or thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from segue import SegueError
from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import Claim
from shared.background import first_of
from shared.log import logger
from shared.registered_worker import RegisteredWorker
from worker.conversation.session import HostedSession
from worker.hosting.claims import ClaimSource
from worker.hosting.successors import Promise
from worker.telemetry.metrics import Count, metrics

SAVED_SECONDS: Final = 60.0
"""Seconds to wait until all is durable, while the conversation goes on; then the handoff begins anyway. A successor
cannot read the session while storage hangs. The normal wait is a tenth of a second."""

FOLLOW_SECONDS: Final = 30.0
"""Seconds to wait for a turn boundary in a handoff that nothing presses for; after them the session stays."""

PREPARATIONS: Final = 3
"""Times that a successor makes the session ready, if records are added meanwhile each time and its model takes
additions. After the last one this worker releases the session, and the rest is added in the gap."""

STARTS: Final = 8
"""The same for a model that takes none. Each is another start of it, in one more silence: which one is the longest, and
long enough, shows only when it is over. A start in the gap is what callers hear."""

SUCCESSOR_SECONDS: Final = 25.0
"""Seconds to look for a successor. After them the one that was ready last takes the session, or the queue does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTimes:
    """Time limits of one handoff, of which tests give others.

    Attributes:
        turn_seconds: For a turn boundary to come; then the answer is cut. Most answers are spoken in less, and a cut is
            better than a caller who waits for an old worker.
        spoken_seconds: For the commit in flight and the posts behind it: normally a tenth of a second. A provider
            speaks faster than real time, so the end of a long answer may still be in the queue then.
    """

    turn_seconds: float = 5.0
    spoken_seconds: float = 5.0


HANDOFF_TIMES: Final = HandoffTimes()
"""The time limits of a worker's handoffs."""


class Bounded(Protocol):
    """Bounded wait for something; see ``worker.hosting.drain``."""

    async def __call__(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Return when ``work`` is done, after so many seconds, or at once in a hurry; raise its error."""
        ...


class Finder(Protocol):
    """Finder of successors; see ``worker.hosting.successors.Successors``."""

    async def prepare(self, claim: Claim, again: RegisteredWorker | None = None) -> Promise | None:
        """Have a session made ready."""
        ...

    async def offer_claim(self, peer: RegisteredWorker, claim: Claim) -> bool:
        """Say that it is free."""
        ...

    async def find_holder(self, claim: Claim, *, avoid: str | None = None) -> RegisteredWorker | None:
        """Say so to the best worker."""
        ...


class Handoff:
    """Handoff of one session."""

    def __init__(
        self,
        session: HostedSession,
        successors: Finder | None,
        queue: ClaimSource,
        bounded: Bounded,
        *,
        worker_id: str,
        hurry: asyncio.Event | None = None,
        times: HandoffTimes = HANDOFF_TIMES,
    ) -> None:
        """Keep the parts.

        Args:
            session: The session that is handed over.
            successors: Finds a successor; None: the queue does.
            queue: Takes the claim if no successor does.
            bounded: Waits.
            worker_id: This worker.
            hurry: When set, no other worker is looked for if the successor does not take what it has ready.
            times: Time limits.
        """
        self._session = session
        self._successors = successors
        self._queue = queue
        self._wait_bounded = bounded
        self._worker_id = worker_id
        self._hurry = hurry or asyncio.Event()
        self._times = times
        self._promise: Promise | None = None

    async def run(self) -> None:
        """Pass it on, whatever that takes."""
        try:
            await self._wait_bounded(self._session.saved(), SAVED_SECONDS)
            await self._wait_bounded(self._find_successor(self._times.turn_seconds, STARTS), SUCCESSOR_SECONDS)
        except Exception as error:  # noqa: BLE001 - one that was ready before takes the session, or the queue does
            logger.exception("no successor was found", session=self._session.key, kind=type(error).__name__)
        await self._release_or_stop(self._promise)

    async def hand_over_if_ready(self) -> bool:
        """Pass it on if a successor is ready and the conversation is between turns; else leave all as it is.

        Returns:
            True if it was passed on; False if it stays.
        """
        session = self._session
        try:
            await self._find_successor(FOLLOW_SECONDS, PREPARATIONS)
        except BaseException:
            session.stay()
            raise
        promise = self._promise
        ready = promise is not None and session.turn.at_boundary and session.position == promise.head
        if not ready or not session.open:
            session.stay()
            return False
        await self._release_or_stop(promise)
        return True

    async def _release_or_stop(self, promise: Promise | None) -> None:
        """Release the session and announce it; if that fails, release what can be, since it takes no frames any more.

        Raises:
            Exception: The session is stopped. Its clients' next frames find no holder.
        """
        try:
            await self._release(promise)
        except Exception:
            with contextlib.suppress(Exception):
                await self._session.stop()
            raise

    async def _release(self, promise: Promise | None) -> None:
        session = self._session
        begun = asyncio.get_running_loop().time()
        session.successor_ready = promise is not None
        session.refuse_frames()
        await self._wait_for_answer()
        clients, at_boundary, ended_before = session.clients, session.turn.at_boundary, session.ended.is_set()
        session.say_moved()
        if promise is None or not await session.release():
            await session.stop()
        if clients and not ended_before and not session.lost:
            paused_ms = (asyncio.get_running_loop().time() - begun) * 1000
            await self._announce(promise, msgspec.structs.replace(self._claim(), clients=clients, paused_ms=paused_ms))
            metrics.count(Count.HANDOFFS)
            logger.info(
                "session handed over",
                session=session.key,
                epoch=session.epoch,
                at_boundary=at_boundary,
                successor=promise.peer.worker_id if promise else None,
                paused_ms=round(paused_ms),
            )
        await session.stop()

    async def _wait_for_answer(self) -> None:
        """Wait for the end of the answer under way. If that fails, the answer is cut, and the session passed on."""
        session = self._session
        try:
            await self._wait_bounded(session.turn.boundary(), self._times.turn_seconds)
            await self._wait_bounded(session.spoken(), self._times.spoken_seconds)
        except Exception as error:  # noqa: BLE001 - the clients have been refused, and wait for a successor
            logger.exception("an answer was not waited for", session=session.key, kind=type(error).__name__)

    async def _find_successor(self, turn_seconds: float, starts: int) -> None:
        """Return at a turn boundary if one comes in time, with a promise if a successor gives one.

        Args:
            turn_seconds: Seconds to wait for a turn boundary, each time.
            starts: Times that a model may be started in vain, if it takes no additions.
        """
        session, successors = self._session, self._successors
        if successors is None:
            return
        for preparations in range(1, starts + 1):
            await self._wait_bounded(self._wait_for_boundary(settle=True), turn_seconds)
            if not session.open or not session.clients:
                return
            before = self._promise
            await self._wait_bounded(self._prepare(successors), SUCCESSOR_SECONDS)
            if self._promise is None or self._promise is before:
                return  # none is ready, or it was not waited for any longer
            await self._wait_bounded(self._wait_for_boundary(settle=False), turn_seconds)
            if session.turn.at_boundary and session.position == self._promise.head:
                metrics.count(Count.HANDOFFS_PREPARED)
                return
            if self._promise.additions and preparations >= PREPARATIONS:
                return

    async def _prepare(self, successors: Finder) -> None:
        claim = msgspec.structs.replace(self._claim(), prepare=True)
        self._promise = await successors.prepare(claim, self._promise.peer if self._promise else None)

    async def _wait_for_boundary(self, *, settle: bool) -> None:
        """Wait for a turn boundary at which all that was said is durable and posted.

        Args:
            settle: Whether silence is dealt with. Its record would make a successor that is ready out of date.
        """
        session = self._session
        while True:
            await session.turn.boundary()
            try:
                await (session.settle() if settle else session.durable())
            except SegueError:
                return  # lost, or storage does not answer: the release shows which
            await session.spoken()
            if session.turn.at_boundary:
                return

    async def _announce(self, promise: Promise | None, claim: Claim) -> None:
        if promise is not None and self._successors is not None:
            if await self._successors.offer_claim(promise.peer, claim):
                return
            # Its place in the queue may be with the very worker that hangs, which polled before.
            if await self._find_another_holder(self._successors, claim, promise.peer.endpoint):
                return
        try:
            await self._queue.send(msgspec.structs.replace(claim, from_worker=None, paused_ms=0.0))
        except AWS_ERRORS as error:
            # The clients' next frames find no holder, and the gateway claims.
            logger.warning("handoff could not be announced", session=claim.session_key, reason=reason_of(error))

    async def _find_another_holder(self, successors: Finder, claim: Claim, avoid: str) -> bool:
        """Have another worker take the session; false if none does, and in a hurry: the queue is there at once."""
        if self._hurry.is_set():
            return False
        return await first_of(successors.find_holder(claim, avoid=avoid), self._hurry.wait()) is not None

    def _claim(self) -> Claim:
        principal, _, session_id = self._session.key.partition("/")
        return Claim(
            session_key=self._session.key,
            session_id=session_id,
            principal=principal,
            reason="handoff",
            clients=self._session.clients,
            from_worker=self._worker_id,
        )
