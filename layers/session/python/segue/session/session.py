"""One session of this process: the lease, its heartbeat and the journal.

    session = Session("alice/notes", stores, heartbeats=…, clock=…)
    await session.open(timeout=15)       acquire and read
    session.append(record)               queue, from any thread
    await session.durable()              wait until it is committed
    await session.close()                flush and release

Knows nothing of Strands. Everything but ``append`` and the plain attributes runs on the storage loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from segue.clock import Clock
from segue.errors import JournalCorrupt, SegueError, SessionFenced, SessionHeld, StorageUnavailable
from segue.ids import shown
from segue.journal.garbage import collect_ended
from segue.journal.reader import ReadAhead, StoredJournal, read_held, read_unheld
from segue.journal.records import Record
from segue.journal.writer import JournalWriter
from segue.lease.holder_watch import Probe
from segue.lease.item import GuardItem
from segue.lease.item_reader import storage_time
from segue.lease.lease import Lease
from segue.observers import tell
from segue.session.heartbeat import CLOSE_TIMEOUT_SECONDS, Heartbeat
from segue.session.runtime import HeartbeatSchedule
from segue.session.standby import Standby
from segue.storage.stores import Stores

logger = logging.getLogger(__name__)

CLEANUP_TIMEOUT_SECONDS = 10.0
"""Seconds that a release waits for deletions in the background. After that, the remaining objects are orphans, which
the next collection finds: a hang of S3 must not keep the session held."""

TOMBSTONE_SECONDS = 14 * 86_400
"""Seconds that a tombstone stays: longer than any request is in flight, and than a week between two collections."""


class Session:
    """One session, from ``open`` to ``close`` or until another process takes it over.

    Attributes:
        lease: The right to write it.
        heartbeat: Renews the lease.
        restored: The journal as it was read when the session was opened.
        writer: Appends to it, once it is open.
    """

    def __init__(self, lease: Lease, stores: Stores, heartbeats: HeartbeatSchedule, clock: Clock) -> None:
        """Prepare; no I/O."""
        self.lease = lease
        self.restored: StoredJournal | None = None
        self.writer: JournalWriter | None = None
        self.heartbeat = Heartbeat(lease, heartbeats)
        self._stores = stores
        self._clock = clock
        self._item_left: GuardItem | None = None
        self._tombstone: GuardItem | None = None
        self._reacquire_with: tuple[float, Probe | None] = (0.0, None)
        self._pid = os.getpid()

    @property
    def epoch(self) -> int:
        """The fencing token of the latest acquisition, 0 before the first."""
        return self.lease.epoch

    @property
    def unwritten(self) -> int:
        """Records that are queued and not known to be committed."""
        return 0 if self.writer is None else self.writer.queued

    @property
    def failure(self) -> SegueError | None:
        """The error of the latest commit; None if it succeeded."""
        return None if self.writer is None else self.writer.failure

    @property
    def unfinished(self) -> bool:
        """Tell whether there are records to write or a lease to release."""
        return self.lease.held or (self.writer is not None and bool(self.writer.queued) and not self.writer.ended)

    @property
    def idle(self) -> bool:
        """Tell whether no record is queued or in flight."""
        return self.writer is not None and not self.writer.queued and not self.writer.draining

    def check_process(self) -> None:
        """Check that this is the process that opened the session.

        Raises:
            SessionFenced: It is a child that was forked from it, which is never the holder.
        """
        if os.getpid() != self._pid:
            raise self.lease.fenced(f"process {self._pid}, which this one was forked from")

    @property
    def live(self) -> JournalWriter:
        """The writer.

        Raises:
            RuntimeError: The session was not opened.
            SessionFenced: This is a forked child, which is never the holder.
        """
        self.check_process()
        if self.writer is None:
            raise RuntimeError("the session is not open: open it first")
        return self.writer

    async def open(
        self, timeout: float, probe: Probe | None = None, standby: Standby | None = None, *, whole: bool = True
    ) -> StoredJournal:
        """Acquire the session and read it.

        Args:
            timeout: Seconds to wait for another holder, here and when a write after a release takes it again.
            probe: Evidence that a holder is dead.
            standby: The session as it was read in advance.
            whole: Refuse a session with a record that cannot be decoded, rather than read the rest.

        Raises:
            SessionHeld: Another holder kept it.
            SessionFenced: An agent was built on the standby, and the session has gone on. Nothing was acquired.
            JournalCorrupt: It cannot be read. The lease is released.
            StorageUnavailable: Storage does not answer.
        """
        ahead = ReadAhead(self._stores.objects, self._stores.prefix)
        left, trying = (standby.item_left, None) if standby else (None, ahead.start_reading if whole else None)
        begun = self._clock.now()
        try:
            item = await self.lease.acquire(timeout, probe, left, trying)
        except BaseException as error:
            ahead.cancel_reading()
            if isinstance(error, SessionHeld):
                tell("held")
            raise
        acquired = self._clock.now()
        tell("acquired", acquired - begun)
        self.heartbeat.start_renewing()
        try:
            known = standby.read_for(item) if standby else await ahead.journal(item)
            restored = known or await self._read(item, whole=whole)
            writer = JournalWriter(self.lease, self._stores.objects, self._stores.prefix, self._clock, restored)
            if item.scrub:
                numbers = [int(number) for number in item.scrub.split()]
                await writer.finish_redaction(numbers, restored.records)
            elif self.lease.took_over:
                writer.collect_soon()
        except BaseException:
            await self.heartbeat.release()
            raise
        finally:
            ahead.cancel_reading()
        writer.reopen_with(self._reopen)
        writer.on_fenced(self.heartbeat.lost)
        self._reacquire_with = (timeout, probe)
        self.restored = restored
        self.writer = writer
        self.heartbeat.attach_writer(writer)
        tell("restored", self._clock.now() - acquired)
        return restored

    async def _read(self, item: GuardItem, *, whole: bool) -> StoredJournal:
        try:
            return await read_held(self._stores.objects, self._stores.prefix, item, whole=whole)
        except JournalCorrupt:
            await self.lease.check()  # a later holder may have folded the segments that were being read
            raise

    async def read(self, *, whole: bool = True) -> StoredJournal:
        """Read everything that is committed, whether the lease is held or not.

        Args:
            whole: Refuse a session with a record that cannot be decoded, rather than read the rest.

        Raises:
            SessionNotFound: The session has ended.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
        """
        stores = self._stores
        return await read_unheld(
            stores.guard, stores.objects, stores.prefix, self.lease.session_key, self._clock, whole=whole
        )

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
            raise StorageUnavailable(
                f"{shown(self.lease.session_key)}: not durable after {timeout} s, the records stay queued"
            ) from None

    async def resume(self) -> None:
        """Acquire the lease again now instead of with the next write. Does nothing while it is held.

        Raises:
            SessionFenced: Another holder wrote in between, or the session ended.
            SessionHeld: Another process holds it.
            StorageUnavailable: Storage does not answer.
        """
        writer = self.live
        if self.heartbeat.expiring:
            await self.durable(timeout=CLOSE_TIMEOUT_SECONDS)  # whether the last commit was accepted has to be known
        async with writer.commit_lock.held(CLOSE_TIMEOUT_SECONDS):
            if (lost := self.lease.lost or writer.failure) and isinstance(lost, SessionFenced):
                raise lost
            if not self.lease.held:
                await self._reopen()
            elif self.heartbeat.expiring:
                await self.lease.beat()
                self.heartbeat.start_renewing()

    async def close(self, timeout: float | None = None) -> None:
        """Flush and release. The next write acquires the session again, if no other holder wrote in between.

        Args:
            timeout: Seconds to wait for queued records; default: ``CLOSE_TIMEOUT_SECONDS``. After it the lease ends.

        Raises:
            SegueError: Queued records could not be committed.
        """
        if self.writer is not None:
            await self._flush_and_release(self.writer, timeout)

    async def leave(self, timeout: float | None = None) -> None:
        """Flush, release, and refuse later records.

        Args:
            timeout: As that of ``close``.

        Raises:
            SegueError: Queued records could not be committed.
        """
        await self._flush_and_release(self.live, timeout, for_good=True)

    async def _flush_and_release(self, writer: JournalWriter, timeout: float | None, *, for_good: bool = False) -> None:
        clock = asyncio.get_running_loop().time
        timeout = CLOSE_TIMEOUT_SECONDS if timeout is None else timeout
        until = clock() + timeout
        try:
            await self.durable(timeout=timeout)
        finally:
            await self._release_between_commits(writer, max(0.0, until - clock()), for_good=for_good)

    async def _release_between_commits(self, writer: JournalWriter, timeout: float, *, for_good: bool) -> None:
        """Release while no commit is in flight: the next holder could not know the outcome of one."""
        if for_good:
            writer.leave()
        try:
            async with writer.commit_lock.held(timeout):
                await self._release(writer, timeout)
        except StorageUnavailable as error:
            logger.warning("not released, the lease expires", extra={"error": str(error)})
            if for_good:
                writer.fail(self.lease.fenced(None))
            self.heartbeat.let_expire()

    async def _release(self, writer: JournalWriter, timeout: float) -> None:
        if writer.in_flight:
            raise StorageUnavailable("the lease is not released, since the outcome of the last commit is unknown")
        await writer.wait_for_cleanup(min(CLEANUP_TIMEOUT_SECONDS, timeout))
        self._item_left = self.lease.item
        if writer.left:
            writer.fail(self.lease.fenced(None))
        await self.heartbeat.release()

    async def delete(self) -> None:
        """End the session: put a tombstone, then delete every object of it. Needs the lease.

        Raises:
            SessionFenced: Another holder has the session.
            StorageUnavailable: Storage does not answer. Delete again: the second call finishes the first.
        """
        writer, stores = self.live, self._stores
        async with writer.commit_lock.held(CLOSE_TIMEOUT_SECONDS):
            if self._tombstone is None:
                await writer.wait_for_cleanup(CLEANUP_TIMEOUT_SECONDS, patience=CLOSE_TIMEOUT_SECONDS)
                if not self.lease.held and self.lease.lost is None:
                    with contextlib.suppress(SessionFenced):
                        await self._reopen()  # it was released; if it has ended since, its tombstone tells
                self._tombstone = await self.lease.bury(TOMBSTONE_SECONDS)
                writer.fail(self.lease.fenced(None))
        await collect_ended(stores.objects, stores.prefix, self._tombstone, storage_time(stores.guard, self._clock))

    async def _reopen(self) -> None:
        timeout, probe = self._reacquire_with
        await self.lease.acquire(timeout, probe, left=self._item_left)
        self.live.reacquired()
        self.heartbeat.start_renewing()
