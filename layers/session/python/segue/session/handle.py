"""The handle of a session, for session managers: open, wait, close. Knows nothing of Strands.

Callable from any event loop, from several threads, and from code without a loop; storage happens on the
runtime's own loop.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from segue.errors import StorageRefused
from segue.ids import session_key
from segue.session.acquisition import Acquisition
from segue.session.client_inputs import input_record
from segue.session.context_manager import ContextManaged
from segue.session.heartbeat import STORAGE_TIMEOUT_SECONDS
from segue.session.open_handles import OpenHandles
from segue.session.options import SessionSettings
from segue.session.properties import HandleProperties
from segue.session.runtime import Runtime, in_event_loop
from segue.session.session import Session
from segue.session.shared_opening import SharedOpening
from segue.session.standby import Standby
from segue.session.storage_calls import StorageCalls
from segue.session.weak_references import weakly
from segue.storage.stores import Stores

DURABLE_TIMEOUT_SECONDS = STORAGE_TIMEOUT_SECONDS
"""Seconds that a hook or ``flush`` waits for storage before it raises StorageUnavailable."""


class SessionHandle(HandleProperties, ContextManaged):
    """One session of this process.

    Attributes:
        session_id: The session's id, as it was given.
        session_key: Its key in storage, ``<principal>/<name>`` (see ``segue.ids``).
        settings: The options it was made with.
    """

    _handles: OpenHandles | None = None
    """Open handles of the process that opened the session."""

    def __init__(
        self,
        session_id: str,
        settings: SessionSettings,
        refusal: Callable[[StorageRefused], StorageRefused] | None = None,
    ) -> None:
        """Prepare; no I/O.

        Args:
            session_id: The session's id.
            settings: The options.
            refusal: Makes the error that callers get when storage refuses; default: the refusal itself.

        Raises:
            ValueError: The id or the principal is not valid.
        """
        super().__init__()
        self._calls = StorageCalls(refusal)
        self.session_id = session_id
        self.session_key = session_key(settings.principal, session_id)
        self.settings = settings
        self._acquisition = Acquisition(self.session_key, settings)
        self._opening = SharedOpening(_release)

    def __del__(self) -> None:
        """Queue the release of a session that was not closed."""
        if self._handles is not None and self._session is not None:
            self._handles.collected(self._session, self._record_changes)

    @property
    def holder(self) -> str:
        """The name of this process, for people, as the guard item has it while the session is held."""
        return self.settings.holder

    @property
    def _runtime(self) -> Runtime:
        return self._calls.runtime

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
        if self._session is not None or self._slot.standby is not None:
            raise RuntimeError(
                f"session {self.session_id!r} is open or prepared already: close it, or use another session manager"
            )
        standby = await self._calls.run(self._read_ahead())
        self._slot.prepare(standby)
        return standby.head

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
            with self._calls.refusals():
                self._slot.go_live(await self._opening.wait(self._begin))
        self._watch_loop()

    def open_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        if self._session is None:
            with self._calls.refusals():
                self._slot.go_live(self._opening.wait_sync(self._begin))

    async def flush(self) -> None:
        """Wait until all that the agents have is durable: queued records, their state, and edits of their messages.

        Raises:
            ValueRefused: A value was not recorded as it is. All else is durable.
            SegueError: It is not durable: the session is fenced, or storage does not answer or refuses.
        """
        await self._flush()
        self._refused_values.raise_first()

    async def _flush(self) -> None:
        """Flush for hooks, which decide themselves whether to raise refused values."""
        await self._record_changes_in_steps()
        if (session := self._slot.mine()) is not None:
            await self._calls.run(session.durable(timeout=DURABLE_TIMEOUT_SECONDS))

    def flush_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        self._flush_sync()
        self._refused_values.raise_first()

    def _flush_sync(self) -> None:
        self._record_changes()
        if (session := self._slot.mine()) is not None:
            self._calls.run_sync(session.durable(timeout=DURABLE_TIMEOUT_SECONDS))

    async def resume(self) -> None:
        """Acquire the lease again after ``close``, without reading the session, if it is as ``close`` left it.

        Raises:
            SessionFenced: Another holder wrote in between. Discard this manager and its agents.
            SessionHeld: Another holder is writing it.
            StorageUnavailable: Storage does not answer.
        """
        await self._calls.run(self._slot.require().resume())
        self._watch_loop()

    async def close(self, timeout: float | None = None) -> None:
        """Flush and release the lease. The next write acquires it again, unless another holder wrote in between.

        Args:
            timeout: Seconds to wait for storage; default: ``DURABLE_TIMEOUT_SECONDS``. After it, queued records are
                still tried, but the lease is not renewed any more: it expires.

        Raises:
            ValueRefused: A value was not recorded as it is. All else is durable.
            SegueError: Queued records could not be committed.
        """
        await self._close(timeout)
        self._refused_values.raise_first()

    async def _close(self, timeout: float | None = None) -> None:
        """Close for hooks."""
        try:
            await self._record_changes_in_steps()
        finally:
            if (session := self._slot.mine()) is not None:
                await self._calls.run(session.close(timeout))

    def close_sync(self, timeout: float | None = None) -> None:
        """The same for code without an event loop; blocks this thread."""
        try:
            self._record_changes()
        finally:
            if (session := self._slot.mine()) is not None:
                self._calls.run_sync(session.close(timeout))
        self._refused_values.raise_first()

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
            if (session := self._slot.mine()) is not None:
                await self._calls.run(session.leave(timeout))

    async def delete(self) -> None:
        """End the session: its records are deleted, and its id may begin anew. Opens it if it was not open.

        Of a session that is deleted already, remaining objects are deleted.

        Raises:
            SessionHeld: Another holder is writing it.
            StorageUnavailable: Storage does not answer. Delete again: the second call finishes the first.
        """
        if self._session is None and await self._calls.run(self._finish_deletion()):
            return
        await self.open()
        await self._calls.run(self._slot.require().delete())

    async def durable(self, position: int | None = None) -> None:
        """Wait until records are committed.

        Args:
            position: Number of records from the beginning of the session; default: all that are queued now.

        Raises:
            SessionFenced: They never will be.
            StorageUnavailable: Not within ``DURABLE_TIMEOUT_SECONDS``; they stay queued.
        """
        session = self._slot.require()
        if position is None or position > session.live.head:
            await self._calls.run(session.durable(position, DURABLE_TIMEOUT_SECONDS))

    async def renew_lease(self) -> bool:
        """Renew the lease at once, and find out whether it is still this holder's.

        For a process that was stopped, or whose event loop stood still, before it sends output again: another holder
        may have acquired the session on that evidence, before the lease ended.

        Returns:
            False if the session is another holder's, which ``on_lost`` tells, or if storage did not answer.
        """
        session = self._slot.mine()
        return session is not None and await self._calls.run(session.heartbeat.renew())

    def _unused(self) -> bool:
        """Tell whether all users of the session through this handle are freed. False before the first user."""
        return False

    def record_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Record a client's input frames that have no effect to record, such as silence.

        They count as known, so that no later frame waits for them.
        """
        self._slot.append(input_record(client_id, seqs))

    def settle_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Settle input without effects, mostly by a write of the guard item alone. The session must be open.

        ``inputs`` has them, and ``on_settled`` tells, once they are durable, or will be with the records until
        ``position``.
        """
        self._slot.require().live.settle(input_record(client_id, seqs))

    def _begin(self) -> Future[Session]:
        return self._runtime.submit(self._open())

    async def _read_ahead(self) -> Standby:
        """Read a standby, on the storage loop."""
        return await self._acquisition.read_ahead(await self._stores())

    async def _finish_deletion(self) -> bool:
        """Finish an unfinished deletion, on the storage loop."""
        return await self._acquisition.finish_deletion(await self._stores())

    async def _open(self) -> Session:
        """Acquire and read the session, on the storage loop."""
        # Weakly: callbacks may refer to the manager, and the process refers to its open sessions.
        told = (
            weakly(self._lost_listeners.tell, None),
            weakly(self._commit_listeners.tell, None),
            weakly(self._settled_listeners.tell, None),
        )
        handles = self._runtime.handles
        with handles.opening():
            acquired = await self._acquisition.acquire(await self._stores(), self._slot.standby, *told)
            session, self._slot.history = acquired
            self._handles = handles
            handles.add(session, self._record_changes, self._unused)
        return session

    def _watch_loop(self) -> None:
        """Tie the heartbeat to the running event loop, and notice changes between two hooks."""
        if self._session is not None and in_event_loop():
            self._session.heartbeat.watch_running_loop(weakly(self._record_states, None))

    def _follow_loop(self) -> None:
        """Tie the heartbeat to the running event loop after the agent's earlier one ended (``asyncio.run`` twice)."""
        if self._session is not None and self._session.heartbeat.loop_ended:
            self._watch_loop()


def _release(session: Session) -> None:
    """Release a session that was opened after all callers had given up."""
    runtime = Runtime.shared()
    runtime.loop.call_soon_threadsafe(runtime.handles.release, session)
