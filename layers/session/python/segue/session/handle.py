"""The handle of a session, for session managers: open, wait, close. Knows nothing of Strands.

Callable from any event loop, from several threads, and from code without a loop; storage happens on the
runtime's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from segue.errors import SegueError, StorageRefused
from segue.history.fold import History
from segue.history.messages import make_spare
from segue.history.points import history_at
from segue.ids import session_key
from segue.journal.garbage import finish_deletion
from segue.journal.reader import read_unheld
from segue.journal.records import Record
from segue.lease.lease import Lease
from segue.session.client_inputs import ClientInput, valid_input
from segue.session.context_manager import ContextManaged
from segue.session.heartbeat import STORAGE_TIMEOUT_S
from segue.session.listeners import CommitListeners, LossListeners
from segue.session.opening import SharedOpening
from segue.session.options import SessionSettings
from segue.session.properties import SessionProperties
from segue.session.refused_values import RefusedValues
from segue.session.runtime import LoopWatch, Runtime
from segue.session.session import Session
from segue.session.standby import Standby
from segue.session.weak_references import weakly
from segue.storage.stores import Stores

_T = TypeVar("_T")

DURABLE_TIMEOUT_S = STORAGE_TIMEOUT_S
"""Seconds that a hook or ``flush`` waits for storage before it raises StorageUnavailable."""


class SessionHandle(SessionProperties, ClientInput, CommitListeners, LossListeners, RefusedValues, ContextManaged):
    """One session of this process.

    Attributes:
        session_id: The session's id, as it was given.
        session_key: Its key in storage, ``<principal>/<name>`` (see ``segue.ids``).
        settings: The options it was made with.
    """

    def __init__(self, session_id: str, settings: SessionSettings) -> None:
        """Prepare; no I/O.

        Raises:
            ValueError: The id or the principal is not valid.
        """
        self.session_id = session_id
        self.session_key = session_key(settings.principal, session_id)
        self.settings = settings
        SessionProperties.__init__(self)
        ClientInput.__init__(self)
        CommitListeners.__init__(self)
        LossListeners.__init__(self)
        RefusedValues.__init__(self)
        self._standby: Standby | None = None
        self._going_live = threading.Lock()
        self._opening = SharedOpening(_release)

    @property
    def _runtime(self) -> Runtime:
        """The runtime of this process; the handle may have been made before a fork."""
        return Runtime.shared()

    def _refused(self, refused: StorageRefused) -> StorageRefused:
        """Return the error that callers get when storage refuses."""
        return refused

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except StorageRefused as refused:
            raise self._refused(refused) from refused

    async def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._refusals():
            return await self._runtime.run(work)

    def _run_sync(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._refusals():
            return self._runtime.run_sync(work)

    @abstractmethod
    async def _stores(self) -> Stores:
        """Return the session's stores. Runs on the storage loop."""

    @abstractmethod
    def _record_states(self) -> None:
        """Queue changes beside the messages that no hook has reported. Takes the same time at any length of history."""

    @abstractmethod
    def _record_changes(self) -> None:
        """Queue changes, messages too, that no hook has reported."""

    @abstractmethod
    async def _record_changes_in_steps(self) -> None:
        """Queue the same in steps, between which the event loop goes on. Runs on the loop that calls ``flush``."""

    async def prepare(self) -> int:
        """Read the session as a standby while another process holds it, so that ``open`` only has to acquire it.

        An agent may be built and even started on it before ``open``; its records wait until then.

        Returns:
            The number of records that were read.

        Raises:
            RuntimeError: The session is open.
            SessionNotFound: There is none yet, or it has ended.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
            StorageRefused: Storage refuses: permissions, bucket or table.
        """
        if self._session is not None or self._standby is not None:
            raise RuntimeError(f"session {self.session_id!r} is open or prepared already")
        self._standby = await self._run(self._read_ahead())
        self._history = self._standby.history
        return self._standby.head

    async def open(self) -> None:
        """Acquire the session and read it, without blocking the event loop. Building the agent then does no I/O.

        Raises:
            SessionFenced: An agent was built on the standby, and the session has gone on since: discard it.
            SessionHeld: Another holder is writing it.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
            StorageRefused: Storage refuses: permissions, bucket or table.
        """
        if self._session is None:
            with self._refusals():
                self._go_live(await self._opening.wait(self._begin))
        self._watch_loop()

    def open_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        if self._session is None:
            with self._refusals():
                self._go_live(self._opening.wait_sync(self._begin))

    async def flush(self) -> None:
        """Wait until all that the agents have is durable: queued records, their state, and edits of their messages.

        Raises:
            ValueRefused: A value was not recorded as it is. All else is durable.
            SegueError: It is not durable: the session is fenced, or storage does not answer or refuses.
        """
        await self._flush()
        self._raise_refused_value()

    async def _flush(self) -> None:
        """Flush for hooks, which decide themselves whether to raise refused values."""
        await self._record_changes_in_steps()
        if (session := self._mine()) is not None:
            await self._run(session.durable(timeout=DURABLE_TIMEOUT_S))

    def flush_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        self._flush_sync()
        self._raise_refused_value()

    def _flush_sync(self) -> None:
        self._record_changes()
        if (session := self._mine()) is not None:
            self._run_sync(session.durable(timeout=DURABLE_TIMEOUT_S))

    async def resume(self) -> None:
        """Acquire the lease again after ``close``, without reading the session, if it is as ``close`` left it.

        Raises:
            SessionFenced: Another holder wrote in between. Discard this manager and its agents.
            SessionHeld: Another holder is writing it.
            StorageUnavailable: Storage does not answer.
        """
        await self._run(self._require().resume())
        self._watch_loop()

    async def close(self, timeout: float | None = None) -> None:
        """Flush and release the lease. The next write acquires it again, unless another holder wrote in between.

        Args:
            timeout: Seconds to wait for storage; default: ``DURABLE_TIMEOUT_S``. After it, queued records are still
                tried, but the lease is not renewed any more: it expires.

        Raises:
            ValueRefused: A value was not recorded as it is. All else is durable.
            SegueError: Queued records could not be committed.
        """
        await self._close(timeout)
        self._raise_refused_value()

    async def _close(self, timeout: float | None = None) -> None:
        """Close for hooks."""
        try:
            await self._record_changes_in_steps()
        finally:
            if (session := self._mine()) is not None:
                await self._run(session.close(timeout))

    def close_sync(self, timeout: float | None = None) -> None:
        """The same for code without an event loop; blocks this thread."""
        try:
            self._record_changes()
        finally:
            if (session := self._mine()) is not None:
                self._run_sync(session.close(timeout))
        self._raise_refused_value()

    async def leave(self, timeout: float | None = None) -> None:
        """Flush, release, and refuse later writes: for a holder whose successor is waiting.

        Args:
            timeout: As that of ``close``.

        Raises:
            SegueError: Queued records could not be committed.
        """
        try:
            await self._record_changes_in_steps()
        finally:
            if (session := self._mine()) is not None:
                await self._run(session.leave(timeout))

    async def delete(self) -> None:
        """End the session: its records are deleted, and its id may begin anew. Opens it if it was not open.

        Of a session that is deleted already, remaining objects are deleted.

        Raises:
            SessionHeld: Another holder is writing it.
            StorageUnavailable: Storage does not answer. Delete again: the second call finishes the first.
        """
        if self._session is None and await self._run(self._finish_deletion()):
            return
        await self.open()
        await self._run(self._require().delete())

    async def durable(self, position: int | None = None) -> None:
        """Wait until records are committed.

        Args:
            position: Number of records from the beginning of the session; default: all that are queued now.

        Raises:
            SessionFenced: They never will be.
            StorageUnavailable: Not within ``DURABLE_TIMEOUT_S``; they stay queued.
        """
        session = self._require()
        if position is None or position > session.live.head:
            await self._run(session.durable(position, DURABLE_TIMEOUT_S))

    def _unused(self) -> bool:
        """Tell whether all users of the session through this handle are freed. False before the first user."""
        return False

    def record_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Record a client's input frames that have no effect to record, such as silence.

        They count as known, so that no later frame waits for them.
        """
        inputs = valid_input(client_id, seqs)
        self._append(Record(kind="input", agent="", at=int(time.time() * 1000), inputs=inputs))

    def _begin(self) -> Future[Session]:
        return self._runtime.submit(self._open())

    async def _read_ahead(self) -> Standby:
        """Runs on the storage loop."""
        stores = await self._stores()
        clock = self._runtime.clock
        journal = await read_unheld(stores.guard, stores.objects, stores.prefix, self.session_key, clock)
        standby = Standby(journal, history_at(journal))
        journal.records.clear()
        await self._spare(standby.history)
        return standby

    async def _spare(self, history: History) -> None:
        """Copy messages for agents on a storage thread, so that building an agent does not block its event loop."""
        await asyncio.get_running_loop().run_in_executor(self._runtime.executor, make_spare, history)

    def _append(self, *records: Record) -> int:
        """Queue records, from any thread."""
        if self._standby is not None:
            with self._going_live:
                if self._session is None and self._standby is not None:
                    self._standby.built_on = True
                    return self._standby.append(*records)
        return self._require().append(*records)

    @property
    def _next_number(self) -> int:
        """The number of the next record."""
        if self._session is None and self._standby is not None:
            return self._standby.head + len(self._standby.records)
        return self.position

    def _go_live(self, session: Session) -> None:
        """Queue the records that were made before the session was held. Records of other threads come after them."""
        with self._going_live:
            self._session = session
            try:
                if self._standby is not None and self._standby.records:
                    session.append(*self._standby.records)
            finally:
                self._standby = None

    async def _finish_deletion(self) -> bool:
        """Delete objects that an earlier ``delete`` has left; False if the session is not deleted.

        Runs on the storage loop.
        """
        stores = await self._stores()
        args = stores.guard, stores.objects, stores.prefix, self.session_key, self._runtime.clock
        return await finish_deletion(*args) is not None

    async def _open(self) -> Session:
        """Runs on the storage loop."""
        handles = self._runtime.handles
        with handles.opening():
            session = await self._acquire()
            self._handles = handles
            handles.add(session, self._record_changes, self._unused)
        return session

    async def _acquire(self) -> Session:
        stores = await self._stores()
        lease = Lease(
            stores.guard,
            self.session_key,
            settings=self.settings.lease,
            holder=self.settings.holder,
            endpoint=self.settings.endpoint,
            retention_s=self.settings.retention_days * 86_400,
            prefix=stores.prefix,
            clock=self._runtime.clock,
            make_way=self._runtime.handles.make_way,
            heartbeats=stores.heartbeats,
        )
        session = Session(lease, stores, self._runtime.heartbeats, self._runtime.clock)
        session.heartbeat.on_lost(weakly(self._lost, None))
        standby = self._standby
        journal = await session.open(self.settings.acquire_timeout, self.settings.probe, standby)
        session.live.on_committed(weakly(self._committed, None))
        if standby is not None and standby.read_for(journal.item) is not None:
            return session  # read and added up before
        try:
            self._history = history_at(journal)
        except BaseException:  # a session that cannot be restored is not held
            await session.close()
            raise
        journal.records.clear()
        await self._spare(self._history)
        return session

    def _watch_loop(self) -> None:
        """Tie the heartbeat to the running event loop, and notice changes between two hooks."""
        if self._session is None or not in_event_loop():
            return
        handle = weakref.ref(self)

        def each_turn() -> None:
            if (alive := handle()) is not None:
                with contextlib.suppress(SegueError):
                    alive._record_states()  # noqa: SLF001 - it is this very object, held weakly

        self._session.heartbeat.watch_loop(LoopWatch(asyncio.get_running_loop(), each_turn))
        self._runtime.loop.call_soon_threadsafe(self._session.heartbeat.restart)

    def _follow_loop(self) -> None:
        """Tie the heartbeat to the running event loop after the agent's earlier one ended (``asyncio.run`` twice)."""
        if self._session is not None and self._session.heartbeat.loop_ended:
            self._watch_loop()


def _release(session: Session) -> None:
    """Release a session that was opened after all callers had given up."""
    runtime = Runtime.shared()
    runtime.loop.call_soon_threadsafe(runtime.handles.release, session)


def in_event_loop() -> bool:
    """Tell whether this code runs on an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
