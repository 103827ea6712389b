"""The holder's side of a journal: records are queued at once and committed in groups.

One commit is under way at a time; what arrives meanwhile goes into the next:

    append  r0 r1      r2 r3 r4            r5
    commit      [r0 r1]────────▶[r2 r3 r4]────────▶[r5]

While a commit's outcome is unknown, only the identical attempt is sent again; its records are never regrouped.
Acknowledged records are durable; all others stay queued, also when their waiter is cancelled.

Everything but ``append`` and the two counters runs on one event loop, the storage loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from segue.clock import Clock
from segue.errors import JournalCorrupt, RecordTooLarge, SegueError, SessionFenced, StorageUnavailable
from segue.ids import shown
from segue.journal.commit_lock import CommitLock
from segue.journal.committer import Committer
from segue.journal.inputs import SettledInput
from segue.journal.reader import StoredJournal
from segue.journal.record_queue import Queued, RecordQueue
from segue.journal.records import MAX_RECORD_BYTES, Record
from segue.journal.redaction import replacements_of
from segue.journal.waiters import Goal, Waiters
from segue.lease.item import Known
from segue.lease.lease import Lease
from segue.observers import tell
from segue.storage.interface import ObjectStore

logger = logging.getLogger(__name__)

_FINAL = (SessionFenced, JournalCorrupt)
"""Failures after which this writer refuses every write."""


OnCommit: TypeAlias = Callable[[int, float], None]
"""Callback with the number of records that were committed, and the seconds that this took."""

OnSettled: TypeAlias = Callable[[str], None]
"""Callback with the id of a client whose settled input is in ``inputs`` from now on."""


class JournalWriter:
    """Writer of one session's journal, for as long as it holds the lease.

    Attributes:
        commit_lock: Held during each commit.
        head: Records committed, as far as this writer knows.
        failure: The error of the latest commit; None if it succeeded.
        left: Whether the session was left for good: no record is queued any more, and no loss is told.
    """

    def __init__(self, lease: Lease, objects: ObjectStore, prefix: str, clock: Clock, restored: StoredJournal) -> None:
        """Go on from a restored journal; must be called on the storage loop."""
        self.head = restored.item.head
        self.failure: SegueError | None = None
        self.left = False
        self._accepted = self.head  # committed, maybe with a redaction that is not finished
        self._lease = lease
        self._queue = RecordQueue(self.head, restored.item.inputs)
        self._settled_input = SettledInput(self._note_settled)
        self._committer = Committer(lease, objects, prefix, clock, restored, self._settled_input)
        self._acquired_at = self.head
        self._settle_calls = self._settle_calls_done = 0
        self._loop = asyncio.get_running_loop()
        self._waiters = Waiters()
        self._draining: asyncio.Task[None] | None = None
        self._commit_begun_at = 0.0
        self.commit_lock = CommitLock()
        self._reopen: Callable[[], Awaitable[None]] | None = None
        self._on_fenced: Callable[[], None] | None = None
        self._on_committed: OnCommit = lambda _records, _seconds: None
        self._on_settled: OnSettled = lambda _client_id: None
        self._clock = clock

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self._queue.position

    @property
    def draining(self) -> bool:
        """Tell whether queued records are being committed, or a redaction finished: that task tells of a loss."""
        return self._draining is not None

    @property
    def queued(self) -> int:
        """The number of records that are not known to be committed."""
        return len(self._queue)

    @property
    def ended(self) -> bool:
        """Tell whether this writer refuses every write from now on."""
        return isinstance(self.failure, _FINAL)

    @property
    def unanswered_for(self) -> float:
        """Seconds since storage answered any request of the present commit or redaction; 0 if there is none."""
        if self._draining is None or not self._lease.held:
            return 0.0
        return self._clock.now() - max(self._commit_begun_at, self._committer.answered_at)

    @property
    def in_flight(self) -> bool:
        """Tell whether a commit is in flight: sent, and its outcome unknown."""
        return bool(self._committer.in_flight)

    @property
    def inputs(self) -> dict[str, Known]:
        """The client input that the records, committed or queued, contain, and what the guard item names as settled."""
        return self._queue.inputs

    def reopen_with(self, reopen: Callable[[], Awaitable[None]]) -> None:
        """Set the callback that acquires the lease again for a record that is queued after a release."""
        self._reopen = reopen

    def on_fenced(self, callback: Callable[[], None]) -> None:
        """Set the callback for the moment at which this writer is fenced."""
        self._on_fenced = callback

    def on_committed(self, callback: OnCommit) -> None:
        """Set the callback for commits."""
        self._on_committed = callback

    def on_settled(self, callback: OnSettled) -> None:
        """Set the callback for settled input."""
        self._on_settled = callback

    def reacquired(self) -> None:
        """Note that the lease was released, and acquired again without another holder's commit between."""
        self._acquired_at = self._accepted

    def append(self, *records: Record) -> int:
        """Queue records, from any thread, and return the position after them.

        Raises:
            RecordTooLarge: One is over the limit; none was queued.
            SessionFenced: Another holder has the session; no record is queued any more.
        """
        queued = [Queued.encode(record) for record in records]
        for one in queued:
            if len(one.body) > MAX_RECORD_BYTES:
                raise RecordTooLarge(len(one.body), MAX_RECORD_BYTES)
        self._check_open()
        position = self._queue.append(queued)
        self._loop.call_soon_threadsafe(self._drain_soon)
        return position

    def settle(self, record: Record) -> None:
        """Make a client's input known that has no effect, from any thread. ``on_settled`` tells when it is.

        It is in no later record, but for the first since the lease was acquired: processes that kept the session would
        not notice otherwise that it has gone on (docs/rfcs/0031).

        Args:
            record: Names the input.

        Raises:
            SessionFenced: As with ``append``.
        """
        self._check_open()
        self._loop.call_soon_threadsafe(self._settle_soon, record)

    def _check_open(self) -> None:
        if isinstance(self.failure, SessionFenced):
            raise self._lease.fenced(self.failure.winner, self.failure.epoch)
        if self.left:
            raise self._lease.fenced(None)

    async def durable(self, position: int | None = None) -> None:
        """Wait until the first ``position`` records are committed.

        Default: all that are queued now, and until the input that was settled is known. A redaction counts as committed
        once the old content is gone. Cancelling the wait withdraws nothing.

        Raises:
            SegueError: They are not: the writer is fenced, another process holds the session, storage refuses, damage.
        """
        goal = Goal(self.position, self._settle_calls) if position is None else Goal(position)
        if goal.reached(self._progress):
            return
        if isinstance(self.failure, _FINAL):
            raise self.failure
        waiter = self._waiters.add(goal)
        self._drain_soon()
        await waiter

    async def wait_for_cleanup(self, timeout: float, *, patience: float = 0.0) -> None:
        """Wait for deletions that run in the background.

        Args:
            timeout: Seconds to wait; then they are cancelled, and the next collection finds the orphans. A request in
                flight may arrive later: it deletes segments, whose keys are never used again.
            patience: Seconds to wait for a volume in flight; it has to arrive before the session's objects are deleted.
        """
        await self._committer.wait_for_cleanup(timeout, patience)

    async def finish_redaction(self, numbers: Sequence[int], records: Sequence[Record]) -> None:
        """Finish redactions that an earlier holder committed and did not finish.

        Args:
            numbers: Numbers of the "redact" records, from the guard item's ``scrub``.
            records: All records of the session.
        """
        self._committer.resume_redactions(replacements_of([records[number] for number in numbers]))
        await self._committer.finish_redactions()

    def leave(self) -> None:
        """Queue no record any more, and tell no loss: the session is left for good. What is queued is committed."""
        self.left = True

    def collect_soon(self) -> None:
        """Delete, in the background, the orphans of an earlier holder."""
        self._committer.collect_soon()

    def fail(self, error: SegueError) -> None:
        """Raise an error in every waiter of ``durable``, and refuse later ones if it is final."""
        self.failure = error
        self._waiters.fail(error)
        if isinstance(error, SessionFenced) and self._on_fenced is not None and not self.left:
            self._on_fenced()

    def _settle_soon(self, record: Record) -> None:
        self._settle_calls += 1
        self._settled_input.add(record)
        self._drain_soon()

    def _record_settled(self) -> None:
        """Queue what waits to be settled as records."""
        records = self._settled_input.withdraw()
        self._queue.append([Queued.encode(record) for record in records])
        self._tell_settled(records)

    def _note_settled(self, records: Sequence[Record]) -> None:
        """Note the input that the guard item names from now on."""
        self._queue.note_settled(records)
        self._tell_settled(records)

    def _tell_settled(self, records: Sequence[Record]) -> None:
        for client_id in dict.fromkeys(record.inputs[0] for record in records if record.inputs is not None):
            self._on_settled(client_id)

    def _drain_soon(self) -> None:
        if self._draining is None and self._unfinished and not isinstance(self.failure, _FINAL):
            self._draining = self._loop.create_task(self._drain())

    @property
    def _unfinished(self) -> bool:
        return bool(self._queue or self._settled_input) or self._committer.unfinished_redactions

    async def _drain(self) -> None:
        try:
            while self._unfinished:
                async with self.commit_lock.held():
                    await self._commit_next()
        except SegueError as error:
            logger.warning("commit failed", extra={"error": type(error).__name__})
            self.fail(error)
        except Exception as error:
            logger.exception("commit failed unexpectedly")
            if not self._committer.unfinished_redactions:
                self.head = self._accepted  # durable, whatever failed after it: who asks later is not to wait for ever
            self.fail(
                StorageUnavailable(
                    f"{shown(self._lease.session_key)}: commit failed unexpectedly, {type(error).__name__}"
                )
            )
        finally:
            self._draining = None

    async def _commit_next(self) -> None:
        if isinstance(self.failure, _FINAL):
            raise self.failure  # fenced or deleted since this was scheduled: a release must not be assumed
        if not self._lease.held:
            if self._lease.lost is not None or self._reopen is None:
                raise self._lease.lost or self._lease.fenced(None)
            await self._reopen()
        self._commit_begun_at = self._clock.now()
        group = self._committer.in_flight or self._queue.next_group()
        if not group and self._settled_input and self._accepted == self._acquired_at:
            self._record_settled()
            group = self._queue.next_group()
        fenced = await self._commit(group) if group else None
        if self._settled_input and fenced is None:
            self._note_progress()  # the records wait for no input that was settled while they were committed
            await self._committer.name_settled_input()
        if self._committer.unfinished_redactions and fenced is None:
            await self._committer.finish_redactions()
        self._note_progress()
        if fenced is not None:
            raise fenced

    def _note_progress(self) -> None:
        """Count what was accepted as durable, and wake those that wait for it."""
        if not self._committer.unfinished_redactions:
            self.head = self._accepted
        if not isinstance(self.failure, _FINAL):  # else a heartbeat has found out meanwhile
            self.failure = None
        self._wake()

    async def _commit(self, group: Sequence[Queued]) -> SessionFenced | None:
        begun = self._clock.now()
        fenced = await self._committer.commit(group)
        self._queue.remove(len(group))
        self._accepted += len(group)
        seconds = self._clock.now() - begun
        tell("committed", seconds, len(group))
        self._on_committed(len(group), seconds)
        return fenced

    def _wake(self) -> None:
        if not self._settled_input:
            self._settle_calls_done = self._settle_calls
        self._waiters.wake(self._progress)

    @property
    def _progress(self) -> Goal:
        return Goal(self.head, self._settle_calls_done)
