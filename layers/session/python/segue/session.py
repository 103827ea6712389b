"""One session in the hands of this process: the lease, the journal, and their upkeep.

    session = Session("alice/notes", stores, heartbeats=…, clock=…)
    await session.open(timeout=15)       acquire and read
    session.append(record)               queue, from any thread
    await session.durable()              wait until it is committed
    await session.close()                flush and release

Knows nothing of Strands. Everything but ``append`` and the plain attributes runs on the storage loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from segue import guard
from segue.clock import Clock
from segue.collection import sweep_life
from segue.errors import JournalCorrupt, SessionFenced, StorageRefused, StorageUnavailable
from segue.item import GuardItem
from segue.journal import JournalWriter
from segue.lease import Lease, Probe
from segue.records import Keys, Record
from segue.restore import Journal, read_held, read_unheld
from segue.runtime import HeartbeatSchedule, LoopWatch
from segue.storage.interface import GuardStore, ObjectStore

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 30.0
"""Seconds that ``close`` waits for storage. After that the lease is left to run out, since whether the last
commit was accepted is not known."""

TOMBSTONE_S = 14 * 86_400
"""Seconds that a tombstone stays: longer than any request is on its way, and than the weekly sweep is apart."""

_HUNG_LOOP_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a session is kept: guard items, objects, and the prefix of its object keys ("" or ending in "/")."""

    guard: GuardStore
    objects: ObjectStore
    prefix: str = ""


class Session:
    """Holds one session, from ``open`` to ``close`` or until someone takes it over."""

    def __init__(self, lease: Lease, stores: Stores, heartbeats: HeartbeatSchedule, clock: Clock) -> None:
        """Prepare; no I/O."""
        self.lease = lease
        self.restored: Journal | None = None
        self.writer: JournalWriter | None = None
        self._stores = stores
        self._heartbeats = heartbeats
        self._clock = clock
        self._watch: LoopWatch | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._is_lost = False
        self._beating = False
        self._forsaken = False
        self._left: GuardItem | None = None
        self._reopening: tuple[float, Probe | None] = (0.0, None)
        self._pid = os.getpid()
        self._beat_lock = asyncio.Lock()

    @property
    def epoch(self) -> int:
        """The fencing token of the latest acquisition, 0 before the first."""
        return self.lease.item.epoch if self.lease.item else 0

    def check_process(self) -> None:
        """See that this is the process that opened the session.

        Raises:
            SessionFenced: It is a child that was forked from it, which is never the holder.
        """
        if os.getpid() != self._pid:
            raise SessionFenced(self.epoch, f"process {self._pid}, which this one was forked from")

    @property
    def live(self) -> JournalWriter:
        """The writer.

        Raises:
            RuntimeError: The session was not opened.
            SessionFenced: This is a forked child, which is never the holder.
        """
        self.check_process()
        if self.writer is None:
            raise RuntimeError("the session is not open")
        return self.writer

    def watch_loop(self, watch: LoopWatch) -> None:
        """Send heartbeats only while an event loop turns."""
        self._watch = watch

    @property
    def loop_ended(self) -> bool:
        """Whether the event loop that heartbeats were tied to has ended, so that none are sent."""
        return self._watch is not None and self._watch.closed

    def beat_on(self) -> None:
        """Send heartbeats again if they ended with an event loop. Runs on the storage loop."""
        if self.lease.held and not self._beating and not self._forsaken:
            self._beating = True
            self._heartbeats.add(self, 0.0)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once, on the storage loop, when the session is or may be someone else's."""
        self._on_lost.append(callback)

    async def open(self, timeout: float, probe: Probe | None = None) -> Journal:
        """Acquire the session and read it.

        Args:
            timeout: Seconds to wait for another holder, here and when a write after a release takes it again.
            probe: Evidence that a holder is dead.

        Raises:
            SessionHeld: Somebody kept it.
            JournalCorrupt: It cannot be read. The lease is let go.
            StorageUnavailable: Storage does not answer.
        """
        item = await self.lease.acquire(timeout, probe)
        self._keep_alive()
        try:
            restored = await self._read(item)
            writer = JournalWriter(self.lease, self._stores.objects, self._stores.prefix, self._clock, restored)
            if item.scrub:
                numbers = [int(number) for number in item.scrub.split()]
                await writer.finish_redaction(numbers, restored.records)
            elif self.lease.took_over:
                writer.collect_soon()
        except BaseException:
            await self._let_go()
            raise
        writer.reopen_with(self._reopen)
        writer.when_fenced(self._lost)
        self._reopening = (timeout, probe)
        self.restored, self.writer = restored, writer
        return restored

    async def _read(self, item: GuardItem) -> Journal:
        try:
            return await read_held(self._stores.objects, self._stores.prefix, item)
        except JournalCorrupt:
            await self.lease.check()  # whoever has taken over meanwhile may have folded what was being read
            raise

    async def read(self) -> Journal:
        """Read everything that is committed, whether the lease is held or not.

        Raises:
            SessionNotFound: The session's life is over.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
        """
        stores = self._stores
        return await read_unheld(stores.guard, stores.objects, stores.prefix, self.lease.session_key, self._clock)

    def append(self, *records: Record) -> int:
        """Queue records, from any thread; returns the position after them. See ``JournalWriter.append``."""
        return self.live.append(*records)

    async def durable(self, position: int | None = None, timeout: float | None = None) -> None:
        """Wait until queued records are committed.

        Args:
            position: As ``append`` returned it; default: all that are queued now.
            timeout: Seconds to wait.

        Raises:
            StorageUnavailable: Not within the timeout. The records stay queued and are tried further.
            SegueError: See ``JournalWriter.durable``.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.live.durable(position)
        except TimeoutError:
            raise StorageUnavailable(f"not durable after {timeout} s; the records stay queued") from None

    async def resume(self) -> None:
        """Take the lease again now instead of with the next write. Does nothing while it is held.

        Raises:
            SessionFenced: Somebody wrote in between, or the session ended.
            SessionHeld: Somebody holds it.
            StorageUnavailable: Storage does not answer.
        """
        writer = self.live
        async with writer.between_commits:
            if self.lease.lost is not None:
                raise self.lease.lost
            if not self.lease.held:
                await self._reopen()

    async def close(self) -> None:
        """Flush and release. The next write takes the session again, if nobody wrote in between.

        Raises:
            SegueError: What was queued could not be committed.
        """
        if self.writer is None:
            return
        try:
            await self.durable(timeout=CLOSE_TIMEOUT_S)
        finally:
            await self._release_between_commits(self.writer)

    async def _release_between_commits(self, writer: JournalWriter) -> None:
        """Let go when no commit is under way: its outcome would not be known to whoever takes the session again."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await writer.between_commits.acquire()
        except TimeoutError:
            logger.warning("a commit is under way, the lease runs out")
            self._forsaken = True
            return
        try:
            if writer.undecided:
                logger.warning("whether the last commit was accepted is not known, the lease runs out")
                self._forsaken = True
                return
            await writer.settle_chores()
            self._left = self.lease.item
            await self._let_go()
        finally:
            writer.between_commits.release()

    async def delete(self) -> None:
        """End the session's life: a tombstone, then every object of it. Needs the lease.

        Raises:
            SessionFenced: The session is someone else's.
            StorageUnavailable: Storage does not answer. If the tombstone stands, the janitor deletes the objects.
        """
        writer = self.live
        async with writer.between_commits:
            await writer.settle_chores()
            if not self.lease.held and self.lease.lost is None:
                await self._reopen()  # it was let go
            item = self.lease.mine
            await self.lease.write(guard.bury(item, int(self._clock.wall()) + TOMBSTONE_S))
            writer.fail(SessionFenced(item.epoch, None))
        await sweep_life(self._stores.objects, Keys(self._stores.prefix, item.session_key, item.born))

    async def _let_go(self) -> None:
        async with self._beat_lock:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self.lease.release()
            except (StorageUnavailable, StorageRefused, TimeoutError) as error:
                logger.warning("lease not released, it runs out", extra={"error": type(error).__name__})
                self.lease.forget()

    async def _reopen(self) -> None:
        timeout, probe = self._reopening
        await self.lease.acquire(timeout, probe, left=self._left)
        self._keep_alive()

    def _keep_alive(self) -> None:
        self._is_lost = self._forsaken = False
        if not self._beating:
            self._beating = True
            self._heartbeats.add(self, self.lease.settings.heartbeat)

    async def heartbeat(self) -> float | None:
        """Renew the lease if that is due. Called by the heartbeat schedule.

        Returns:
            Seconds until the next call, None once the lease is gone.
        """
        async with self._beat_lock:
            delay = await self._beat()
        self._beating = delay is not None
        return delay

    async def _beat(self) -> float | None:
        settings = self.lease.settings
        if not self.lease.held or self._forsaken or (self._watch is not None and self._watch.closed):
            return None  # let go; or the loop that the agent lived on has ended without a stop: it runs out
        if self.lease.fresh_for <= 0:
            self._lost()
        turning = self._watch is None or self._watch.alive()
        recently = settings.duration - settings.margin - self.lease.fresh_for
        if (self.writer is not None and self.writer.busy) or recently < settings.heartbeat / 2:
            return max(settings.heartbeat - recently, settings.heartbeat / 4)
        if not turning:
            return min(_HUNG_LOOP_RETRY_S, settings.heartbeat / 2)
        try:
            async with asyncio.timeout(max(self.lease.fresh_for, settings.heartbeat)):
                await self.lease.beat()
        except SessionFenced as fenced:
            if self.writer is not None:
                self.writer.fail(fenced)
            self._lost()
            return None
        except (StorageUnavailable, StorageRefused, TimeoutError) as error:
            logger.warning("heartbeat failed", extra={"epoch": self.epoch, "error": type(error).__name__})
            return settings.heartbeat / 4
        return settings.heartbeat

    def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            for callback in self._on_lost:
                try:
                    callback()
                except Exception:
                    logger.exception("a callback for a lost session failed")
