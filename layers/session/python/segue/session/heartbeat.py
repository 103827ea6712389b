"""The heartbeat: it renews a lease while its session is open, and tells when the lease is lost.

Apart from the session because the heartbeat schedule calls it, independently of the session's own calls. Runs on the
storage loop.

    due ──▶ heartbeat sent ──▶ answered            the next when it is due
                          └──▶ not answered yet    the next when it is due, over another connection

A heartbeat waits for no commit, whose objects may hang with S3, for no release, and for no earlier heartbeat. None is
sent while the agent's loop does not turn, or after a commit went unanswered for ``STORAGE_TIMEOUT_SECONDS``
(docs/rfcs/0014).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from segue.errors import JournalCorrupt, SessionFenced, StorageRefused, StorageUnavailable
from segue.journal.writer import JournalWriter
from segue.lease.lease import Lease
from segue.observers import tell
from segue.session.runtime import HeartbeatSchedule, LoopWatch

logger = logging.getLogger(__name__)

STORAGE_TIMEOUT_SECONDS = 90.0
"""Seconds to wait for storage in hooks, ``flush`` and ``close``, and to keep a lease whose commit is not answered. A
hang of a minute is waited out. After that, waits raise StorageUnavailable, queued records stay queued, and the lease
expires: a holder without S3 must not keep others from the session."""

CLOSE_TIMEOUT_SECONDS = STORAGE_TIMEOUT_SECONDS
"""Seconds that a close, a leave or a deletion waits for storage. After that the lease is left to expire, since the
outcome of the last commit is unknown."""

_HUNG_LOOP_RETRY_SECONDS = 0.5
"""Seconds, at most, until a hung event loop is checked again; no heartbeat is sent meanwhile."""


class Heartbeat:
    """Renewal of one session's lease, for as long as it is held and the agent's loop turns.

    Attributes:
        writer: The session's writer, once it is open: its commits renew the lease, too.
    """

    def __init__(self, lease: Lease, heartbeats: HeartbeatSchedule) -> None:
        """Prepare; nothing is sent before ``start_renewing``."""
        self.writer: JournalWriter | None = None
        self._lease = lease
        self._heartbeats = heartbeats
        self._watch: LoopWatch | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._is_lost = False
        self._scheduled = False
        self._expires_at_position = -1
        self._commit_hangs = False
        self._sending: set[asyncio.Task[float | None]] = set()

    def start_renewing(self) -> None:
        """Renew a lease that was just acquired, from now on."""
        self._is_lost, self._expires_at_position = False, -1
        if not self._scheduled:
            self._scheduled = True
            self._heartbeats.add(self, self._lease.settings.heartbeat)

    def attach_writer(self, writer: JournalWriter) -> None:
        """Count the commits of the session's writer as heartbeats, and tell it of a loss."""
        self.writer = writer

    def watch_running_loop(self, each_turn: Callable[[], None]) -> None:
        """Send heartbeats only while the event loop that is running now turns, from now on. Called on that loop.

        Args:
            each_turn: Called on that loop at each turn that is watched. Its own errors are told to the next hook.
        """
        self._watch = LoopWatch(asyncio.get_running_loop(), each_turn)
        self._heartbeats.call_soon(self.restart)

    @property
    def loop_ended(self) -> bool:
        """Tell whether the event loop that heartbeats were tied to has ended, so that none are sent."""
        return self._watch is not None and self._watch.closed

    def restart(self) -> None:
        """Send heartbeats again if they ended with an event loop."""
        if self._lease.held and not self._scheduled:
            self._scheduled = True
            self._heartbeats.add(self, 0.0)

    def let_expire(self) -> None:
        """Send no more heartbeats: the lease expires, unless a record that is queued later is committed."""
        if self.writer is not None:
            self._expires_at_position = self.writer.position

    @property
    def expiring(self) -> bool:
        """Tell whether the lease is left to expire."""
        return self._lease.held and self.writer is not None and self.writer.head <= self._expires_at_position

    async def release(self) -> None:
        """Release the lease; if storage does not answer, it expires."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._lease.release()
        except (StorageUnavailable, StorageRefused, TimeoutError) as error:
            logger.warning("lease not released, it expires", extra={"error": type(error).__name__})
            self._lease.forget()

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once, on the storage loop, when the session is or may be another holder's."""
        self._on_lost.append(callback)

    def lost(self) -> None:
        """Tell that the session is or may be another holder's."""
        if not self._is_lost:
            self._is_lost = True
            tell("lost")
            for callback in self._on_lost:
                try:
                    callback()
                except Exception:
                    logger.exception("a callback for a lost session failed")

    async def beat(self) -> float | None:
        """Renew the lease if that is due. Called by the heartbeat schedule.

        Returns:
            Seconds until the next call, None once the lease is gone.
        """
        delay = self._lease.settings.heartbeat if self.expiring or self._lease.releasing else await self._beat_if_due()
        self._scheduled = delay is not None
        return delay

    async def renew(self) -> bool:
        """Renew the lease now, whatever the schedule says; tells a loss.

        Returns:
            Whether storage has accepted a write of this holder since the call.
        """
        before = self._lease.renewed_at
        if self._lease.held:
            await self._send()
        return self._lease.renewed_at > before

    async def _beat_if_due(self) -> float | None:
        lease, settings = self._lease, self._lease.settings
        if not lease.held or self.loop_ended:
            return self._ended()  # released; or the agent's loop has ended without a stop, and the lease expires
        if lease.fresh_for <= 0:
            self.lost()
        turning = self._watch is None or self._watch.alive()
        recently = settings.duration - settings.margin - lease.fresh_for
        if recently < settings.heartbeat / 2:  # a commit has renewed it, say
            return max(settings.heartbeat - recently, settings.heartbeat / 4)
        if not turning:
            return min(_HUNG_LOOP_RETRY_SECONDS, settings.heartbeat / 2)
        if self._hangs():
            return settings.heartbeat
        sending = asyncio.create_task(self._send())
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        await asyncio.wait({sending}, timeout=settings.heartbeat)
        return sending.result() if sending.done() else 0.0

    async def _send(self) -> float | None:
        """Send one heartbeat. Returns seconds until the next, None if the lease is gone."""
        lease, settings = self._lease, self._lease.settings
        try:
            async with asyncio.timeout(settings.heartbeat_timeout):
                await lease.beat()
        except SessionFenced as fenced:
            if lease.lost is not fenced:  # it was for an acquisition that was given up, and the answer came late
                return settings.heartbeat
            if self.writer is not None:
                self.writer.fail(fenced)
            self.lost()
            return None
        except JournalCorrupt as corrupt:  # another program has changed the item: nothing more is written into it
            logger.error("guard item cannot be right, the lease expires", extra={"epoch": lease.epoch})  # noqa: TRY400 - it is told
            if self.writer is not None:
                self.writer.fail(corrupt)
            self.lost()
            return None
        except (StorageUnavailable, StorageRefused, TimeoutError) as error:
            logger.warning("heartbeat failed", extra={"epoch": lease.epoch, "error": type(error).__name__})
            return settings.heartbeat / 4
        return max(settings.heartbeat - (settings.duration - settings.margin - lease.fresh_for), settings.heartbeat / 4)

    def _hangs(self) -> bool:
        """Tell whether a commit has gone unanswered for ``STORAGE_TIMEOUT_SECONDS``: another holder may do better."""
        before = self._commit_hangs
        self._commit_hangs = self.writer is not None and self.writer.unanswered_for > STORAGE_TIMEOUT_SECONDS
        if self._commit_hangs and not before:
            logger.warning(
                "storage does not answer a commit, the lease expires",
                extra={
                    "session": self._lease.session_key,
                    "epoch": self._lease.epoch,
                    "seconds": STORAGE_TIMEOUT_SECONDS,
                },
            )
        return self._commit_hangs

    def _ended(self) -> float | None:
        """Tell of a loss that a background deletion or the binding of a volume met: those have no listener."""
        if self._lease.lost is None:
            return None
        self.lost()
        if self.writer is not None and self.writer.draining:
            return self._lease.settings.heartbeat / 4  # whether its commit was accepted is for that to say
        if self.writer is not None:
            self.writer.fail(self._lease.lost)
        return None
