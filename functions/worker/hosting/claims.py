"""Claims, taken from the queue while there is room and from gateways and workers that post them; each is settled.

    held now, or held already           deleted
    another holder has it and lives     deleted: that holder answers the clients
    storage does not answer             left: delivered again after the queue's visibility timeout
    anything else, or not a claim       left: after five deliveries it is in the dead-letter queue
    arrived while this worker leaves    given back at once

A posted claim whose session cannot be opened here goes into the queue: its sender does not wait for the result.

Who writes a session is decided by its guard item alone, so a claim that comes twice or late does no harm.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from segue import SessionHeld, StorageUnavailable
from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.claims import Claim, ClaimError, Prepared, decode_claim
from shared.agent_code import AgentFailed
from shared.background import BackgroundTasks, first_of
from shared.log import logger
from worker.aws.claims_queue import QueuedClaim
from worker.hosting.host import Host, NoRoom

PAUSE_SECONDS: Final = 1.0
"""Seconds until the queue is asked again after it could not be asked."""


class ClaimSource(Protocol):
    """The queue of claims, see ``worker.aws.claims_queue.ClaimsQueue``."""

    async def receive(self, most: int) -> list[QueuedClaim]:
        """Wait a short while for claims."""
        ...

    async def delete(self, claim: QueuedClaim) -> None:
        """Settle a claim."""
        ...

    async def give_back(self, claim: QueuedClaim) -> None:
        """Make a claim visible to other workers at once."""
        ...

    async def send(self, claim: Claim) -> None:
        """Add a claim to the queue."""
        ...


class ClaimTaker:
    """Claims of the queue and of other processes, opened by a host."""

    def __init__(self, queue: ClaimSource, host: Host, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._queue = queue
        self._host = host
        self._stopping = asyncio.Event()
        self._acquisitions = BackgroundTasks()
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to take claims; the task ends after ``stop``."""
        self._polling = asyncio.create_task(self._poll(), name="claims")
        return self._polling

    def stop(self) -> None:
        """Take no more; what the poll under way brings is given back."""
        self._stopping.set()

    def offer_claim(self, claim: Claim) -> None:
        """Take a claim that was posted, in the background.

        Raises:
            NoRoom: There is no room, or this worker is leaving. Nothing was taken.
        """
        self._require_room(claim)
        logger.debug("claim posted", session=claim.session_key, reason=claim.reason)
        self._acquisitions.start(self._take_offered(claim), "claim")

    async def prepare(self, claim: Claim) -> Prepared:
        """Make a session ready for its predecessor, and say for how many records.

        Raises:
            NoRoom: There is no room, or this worker is leaving.
            Exception: It cannot be read, or its agent cannot be built or started.
        """
        self._require_room(claim)
        return await self._host.prepare(claim)

    def _require_room(self, claim: Claim) -> None:
        if self._stopping.is_set() or not self._host.fits(claim.session_key):
            raise NoRoom(claim.session_key)

    async def _take_offered(self, claim: Claim) -> None:
        if not await self._acquire(claim):
            try:
                await self._queue.send(msgspec.structs.replace(claim, from_worker=None, paused_ms=0.0))
            except AWS_ERRORS as error:
                # The clients' next frames find no holder, and the gateway claims.
                logger.warning("a claim could not be passed on", reason=reason_of(error))

    async def stopped(self) -> None:
        """Wait for the last poll, after ``stop``, and for what was being taken."""
        if self._polling is not None:
            await asyncio.wait({self._polling})
        await self._acquisitions.done()

    async def _poll(self) -> None:
        while await self._has_room():
            try:
                received = await self._queue.receive(self._host.room)
            except AWS_ERRORS as error:
                logger.warning("the claims queue does not answer", reason=reason_of(error))
                await asyncio.sleep(self._pause_seconds)
                continue
            for claim in received:
                self._acquisitions.start(self._settle(claim), "claim")
            await asyncio.sleep(0)  # lets them take their room before it is counted again

    async def _has_room(self) -> bool:
        """Wait for room; False once the worker is leaving."""
        await first_of(self._host.until_room(), self._stopping.wait())
        return not self._stopping.is_set()

    async def _settle(self, queued: QueuedClaim) -> None:
        try:
            if self._stopping.is_set():
                logger.debug("claim given back")
                await self._queue.give_back(queued)
            elif await self._take_queued(queued):
                await self._queue.delete(queued)
        except AWS_ERRORS as error:
            logger.warning("a claim could not be settled, it comes again", reason=reason_of(error))

    async def _take_queued(self, queued: QueuedClaim) -> bool:
        """Take one claim; true if it is settled."""
        try:
            claim = decode_claim(queued.body)
        except ClaimError:
            logger.error("a message in the claims queue is not a claim")
            return False
        logger.debug("claim received", session=claim.session_key, reason=claim.reason)
        return await self._acquire(claim)

    async def _acquire(self, claim: Claim) -> bool:
        """Acquire the session; true if it is held now, here or elsewhere."""
        try:
            await self._host.open_session(claim)
        except SessionHeld as held:
            logger.info("session is held elsewhere", session=claim.session_key, holder=held.holder, epoch=held.epoch)
            return True
        except StorageUnavailable:
            logger.warning("session could not be opened, storage does not answer", session=claim.session_key)
            return False
        except AgentFailed:
            logger.warning("session could not be opened without an agent", session=claim.session_key)
            return False
        except Exception:  # noqa: BLE001 - whatever the user's agent raises concerns this session only
            logger.exception("session could not be opened", session=claim.session_key)
            return False
        return True
