"""Drain: on SIGTERM every session is handed over, and the process ends.

    no new claims, nothing more is made ready ─▶ for each session, side by side and paced: ``worker.hosting.handoff``

All of it is over long before the platform's stop timeout (120 s), and the listener stays open until then, because a
refused connection would mean a dead worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from shared.background import first_of
from shared.log import logger
from worker.conversation.session import HostedSession
from worker.hosting.claims import ClaimSource, ClaimTaker
from worker.hosting.handoff import Finder, Handoff, HandoffTimes
from worker.hosting.host import Host
from worker.telemetry.metrics import Count, metrics

HANDOFFS_A_SECOND: Final = 10.0
"""Handoffs that are begun a second, unless that would take longer than ``PACED_SECONDS``. Each opens a second stream at
the provider, and makes its clients send again what was not acknowledged (some tens of frames): ten a second are far
below a gateway's 10,000 frames and what providers take."""

PACED_SECONDS: Final = 30.0
"""Seconds in which all handoffs are begun, however many there are: of very many, more are begun a second. The rest of
the time is for the last of them."""

OPENING_SECONDS: Final = 30.0
"""Seconds that a handoff waits for a session that is being opened: up to 15 s of waiting for another holder, the
restore, the model's start. After them it begins anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainTimes(HandoffTimes):
    """Time limits of a drain and of each of its handoffs, of which tests give others.

    Attributes:
        drain_seconds: For the whole drain; after them it hurries. Sessions must be gone within 90 s of the signal.
        hurried_seconds: For what is left after a second signal, or when the time is up; after them sessions are left to
            their leases.
    """

    drain_seconds: float = 80.0
    hurried_seconds: float = 8.0


DRAIN_TIMES: Final = DrainTimes()
"""The time limits of a worker's drain."""


class Drain:
    """Drain of a host: all its sessions are handed over.

    Attributes:
        before: Waits, in bounded time, for what a session's handoff should come after.
    """

    def __init__(
        self,
        host: Host,
        claims: ClaimTaker,
        queue: ClaimSource,
        hurry: asyncio.Event,
        successors: Finder | None = None,
        worker_id: str = "",
        *,
        times: DrainTimes = DRAIN_TIMES,
    ) -> None:
        """Keep the parts.

        Args:
            host: What is drained.
            claims: What is stopped first.
            queue: Takes the claims that no successor takes.
            hurry: When set, nothing is waited for that can be left out.
            successors: Finds them.
            worker_id: Who is drained.
            times: Time limits.
        """
        self._host = host
        self._claims = claims
        self._queue = queue
        self._hurry = hurry
        self._successors = successors
        self._worker_id = worker_id
        self._times = times
        self._next_at = 0.0
        self.before: Callable[[HostedSession], Coroutine[Any, Any, None]] = _no_wait

    async def run(self) -> None:
        """Drain, in bounded time. What was not passed on by then is left to the leases."""
        self._claims.stop()
        work = asyncio.create_task(self._drain_parts(), name="drain")
        await self._wait_bounded(asyncio.wait({work}), self._times.drain_seconds)
        if not work.done():
            self._hurry.set()
            await asyncio.wait({work}, timeout=self._times.hurried_seconds)
        if not work.done():
            logger.error("not all sessions were handed over in time", left=len(self._host.sessions))
            metrics.count(Count.DRAIN_OVERRUNS, len(self._host.sessions))
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _drain_parts(self) -> None:
        sessions = self._host.sessions  # once: what opens from now on is late
        parts = {
            "handoffs": self._hand_all_over(sessions),
            "late handoffs": self._hand_over_late(sessions),
            "standbys": self._host.standbys.clear(),
            "claims": self._claims.stopped(),
        }
        # Errors are returned: or else the process would end while the others are at work.
        ends = await asyncio.gather(*parts.values(), return_exceptions=True)
        for part, error in zip(parts, ends, strict=True):
            if error is not None:
                text = "a part of the drain failed: the other parts have ended, leases that are left expire"
                logger.error(text, part=part, exc_info=error, kind=type(error).__name__)

    async def _hand_over_late(self, before: tuple[HostedSession, ...]) -> None:
        """Pass on what was being opened when the signal came."""
        await self._wait_before_handoff(self._host.until_opened())
        await self._hand_all_over(tuple(session for session in self._host.sessions if session not in before))

    async def _hand_all_over(self, sessions: tuple[HostedSession, ...]) -> None:
        pause = min(1 / HANDOFFS_A_SECOND, PACED_SECONDS / max(1, len(sessions)))
        await asyncio.gather(*[self._hand_over(session, self._reserve_start(pause)) for session in sessions])

    def _reserve_start(self, pause: float) -> float:
        """Seconds until the next one may begin: all stand in one row, those as well that are opened late."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._next_at)
        self._next_at = begins + pause
        return begins - now

    async def _hand_over(self, session: HostedSession, wait: float) -> None:
        await self._wait_bounded(asyncio.sleep(wait), wait)
        await self._wait_before_handoff(self.before(session))
        if not session.open:
            await self._wait_before_handoff(self._wait_until_settled(session))
        successors = None if self._hurry.is_set() else self._successors
        try:
            await Handoff(
                session,
                successors,
                self._queue,
                self._wait_bounded,
                worker_id=self._worker_id,
                hurry=self._hurry,
                times=self._times,
            ).run()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one session concerns this one only
            logger.exception("a session could not be handed over", session=session.key, kind=type(error).__name__)

    async def _wait_until_settled(self, session: HostedSession) -> None:
        """Wait for a session that is on its way in or out to be open or gone."""
        await first_of(self._host.until_opened(), session.ended.wait())

    async def _wait_before_handoff(self, ready: Coroutine[Any, Any, None]) -> None:
        """Wait for what a handoff should come after, and hand over as well if that fails."""
        try:
            await self._wait_bounded(ready, OPENING_SECONDS)
        except Exception as error:  # noqa: BLE001 - a session that is not handed over is left to its lease
            logger.exception("a handoff begins early", kind=type(error).__name__)

    async def _wait_bounded(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Wait for ``work``, but no longer than ``seconds`` and not when in a hurry; raise its error."""
        await first_of(work, self._hurry.wait(), timeout=seconds)


async def _no_wait(_session: HostedSession) -> None:
    """Wait for nothing: this worker has no sockets."""
