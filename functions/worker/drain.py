"""SIGTERM is the handoff: every session is passed on, and the process ends.

    no new claims ─▶ for each session, side by side:
        frames are refused (410 moved)   clients hold their input back and send it again to the successor
        a turn boundary                  bounded
        what was said is posted          bounded: after the release the successor may be speaking
        moved                            the last frame; clients hold their input back from here on
        agent.stop()                     flush and release
        a claim, if anybody listens      the successor takes the session and says ready

All of it is over long before the platform's stop timeout (120 s), and the listener stays open until then, because a
refused connection would mean a dead worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from segue.wire.claims import Claim
from worker.claims import ClaimTaker, Queue
from worker.host import Host
from worker.log import logger
from worker.session import HostedSession

TURN_SECONDS: Final = 5.0
"""Most answers are spoken in less. Cutting one is better than keeping a caller waiting for an old worker."""

SPOKEN_SECONDS: Final = 5.0
"""For the commit under way and the posts behind it: normally a tenth of a second. A provider speaks faster than real
time, so the end of a long answer may still wait for its turn."""

OPENING_SECONDS: Final = 30.0
"""For sessions that are just being opened: up to 15 s of waiting for another holder, the restore, the model's start."""

DRAIN_SECONDS: Final = 80.0
"""For everything. Sessions must be gone within 90 s of the signal."""

HURRIED_SECONDS: Final = 8.0
"""For everything that is left after a second signal."""


class Drain:
    """Passes a host's sessions on."""

    def __init__(self, host: Host, claims: ClaimTaker, queue: Queue, hurry: asyncio.Event) -> None:
        """Keep the parts.

        Args:
            host: What is drained.
            claims: What is stopped first.
            queue: Takes the claims for the successors.
            hurry: When set, nothing is waited for that can be left out.
        """
        self._host = host
        self._claims = claims
        self._queue = queue
        self._hurry = hurry

    async def run(self) -> None:
        """Drain, in bounded time. What was not passed on by then is left to the leases."""
        self._claims.stop()
        work = asyncio.create_task(self._everything(), name="drain")
        await self._bounded(asyncio.wait({work}), DRAIN_SECONDS)
        if not work.done():
            await asyncio.wait({work}, timeout=HURRIED_SECONDS)
        if not work.done():
            logger.error("not all sessions were handed over in time", left=len(self._host.sessions))
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _everything(self) -> None:
        await asyncio.gather(*map(self._hand_over, self._host.sessions), self._late(), self._claims.stopped())

    async def _late(self) -> None:
        """Pass on what was being opened when the signal came."""
        before = set(self._host.sessions)
        await self._bounded(self._host.until_opened(), OPENING_SECONDS)
        await asyncio.gather(*(self._hand_over(session) for session in self._host.sessions if session not in before))

    async def _hand_over(self, session: HostedSession) -> None:
        if not session.open:
            await self._bounded(self._until_settled(session), OPENING_SECONDS)
        session.refuse_frames()
        await self._bounded(session.turn.boundary(), TURN_SECONDS)
        await self._bounded(session.spoken(), SPOKEN_SECONDS)
        clients = session.clients
        at_boundary = session.turn.at_boundary
        ended_before = session.ended.is_set()
        session.say_moved()
        await session.stop()
        if ended_before or session.lost or not clients:
            return
        principal, _, session_id = session.key.partition("/")
        claim = Claim(
            session_key=session.key, session_id=session_id, principal=principal, reason="handoff", clients=clients
        )
        try:
            await self._queue.send(claim)
        except (BotoCoreError, ClientError) as error:
            # The clients' next frames find no holder, and the gateway claims.
            logger.warning("handoff could not be announced", session=session.key, reason=type(error).__name__)
        else:
            logger.info("session handed over", session=session.key, epoch=session.epoch, at_boundary=at_boundary)

    async def _until_settled(self, session: HostedSession) -> None:
        """Wait for a session that is on its way in or out to be open or gone."""
        opened = asyncio.ensure_future(self._host.until_opened())
        ended = asyncio.ensure_future(session.ended.wait())
        try:
            await asyncio.wait({opened, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
            ended.cancel()

    async def _bounded(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Wait for ``work``, but no longer than ``seconds`` and not when in a hurry."""
        task, hurry = asyncio.ensure_future(work), asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({task, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            hurry.cancel()
