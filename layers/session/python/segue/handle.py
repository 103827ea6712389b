"""A session from outside: open it, wait for it, close it. Knows nothing of Strands.

Callable from any event loop, from several threads, and from code without a loop; storage happens on the
runtime's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from segue.errors import JournalCorrupt, SegueError, SessionFenced
from segue.history import History, fold
from segue.item import Known, session_key, valid_id
from segue.lease import Lease
from segue.options import Settings
from segue.runtime import LoopWatch, Runtime
from segue.session import Session, Stores

logger = logging.getLogger(__name__)

DURABLE_TIMEOUT_S = 30.0
"""Seconds that a hook waits for storage before it raises StorageUnavailable."""

Input = tuple[str, tuple[int, ...]]
"""A client's input frames: its id and their sequence numbers."""

_taking: contextvars.ContextVar[Input | None] = contextvars.ContextVar("segue_taking", default=None)


class SessionHandle(ABC):
    """One session of this process.

    Attributes:
        session_id: The session's id.
        session_key: ``<principal>/<session_id>``.
        settings: The options it was made with.
    """

    def __init__(self, session_id: str, settings: Settings) -> None:
        """Prepare; no I/O.

        Raises:
            ValueError: The id or the principal is not valid.
        """
        self.session_id = session_id
        self.session_key = session_key(settings.principal, session_id)
        self.settings = settings
        self._session: Session | None = None
        self._history = History()
        self._noted: Input | None = None
        self._lost_callbacks: list[Callable[[], None]] = []
        self._opening: Future[Session] | None = None
        self._opening_lock = threading.Lock()
        self._openers = 0
        self._runtime = Runtime.shared()

    @abstractmethod
    async def _stores(self) -> Stores:
        """Say where the session is kept. Runs on the storage loop."""

    @abstractmethod
    def _record_changes(self) -> None:
        """Queue what changed and no hook has told of. Runs on the agent's loop, or where ``flush`` is called."""

    async def open(self) -> None:
        """Acquire the session and read it, without blocking the event loop. Building the agent then does no I/O.

        Raises:
            SessionHeld: Somebody else is writing it.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
            StorageRefused: Storage says no: permissions, bucket or table.
        """
        if self._session is None:
            opening = self._begin_opening()
            try:
                self._session = await asyncio.shield(asyncio.wrap_future(opening))
            except asyncio.CancelledError:
                self._give_up(opening)
                raise
            finally:
                self._end_opening(opening)
        self._watch_loop()

    def open_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        if self._session is None:
            opening = self._begin_opening()
            try:
                self._session = opening.result()
            finally:
                self._end_opening(opening)

    async def flush(self) -> None:
        """Wait until everything queued is durable, agents' state included.

        Raises:
            SegueError: Why it is not.
        """
        self._record_changes()
        if (session := self._mine()) is not None:
            await self._runtime.run(session.durable(timeout=DURABLE_TIMEOUT_S))

    def flush_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        self._record_changes()
        if (session := self._mine()) is not None:
            self._runtime.run_sync(session.durable(timeout=DURABLE_TIMEOUT_S))

    async def resume(self) -> None:
        """Take the lease again after ``close``, without reading the session: it is as it was left.

        Raises:
            SessionFenced: It is not: somebody wrote in between. Discard this manager and its agents.
            SessionHeld: Somebody else is writing it.
            StorageUnavailable: Storage does not answer.
        """
        await self._runtime.run(self._require().resume())
        self._watch_loop()

    async def close(self) -> None:
        """Flush and release the lease. The next write takes it again, unless somebody wrote in between."""
        try:
            self._record_changes()
        finally:
            if (session := self._mine()) is not None:
                await self._runtime.run(session.close())

    def close_sync(self) -> None:
        """The same for code without an event loop; blocks this thread."""
        try:
            self._record_changes()
        finally:
            if (session := self._mine()) is not None:
                self._runtime.run_sync(session.close())

    async def delete(self) -> None:
        """End the session: its records are deleted, and its id may begin anew. Opens it if it was not open.

        Raises:
            SessionHeld: Somebody is writing it.
            StorageUnavailable: Storage does not answer.
        """
        await self.open()
        await self._runtime.run(self._require().delete())

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    @property
    def epoch(self) -> int:
        """The fencing token, 0 before the session was opened."""
        return self._session.epoch if self._session else 0

    @property
    def route_token(self) -> str:
        """The secret that callers of the holder's endpoint show, "" while nothing is held."""
        item = self._session.lease.item if self._session else None
        return (item.route_token or "") if item else ""

    @property
    def head(self) -> int:
        """Records committed."""
        return self._session.live.head if self._session else 0

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self._session.live.position if self._session else 0

    @property
    def inputs(self) -> dict[str, Known]:
        """Which input frames of each client the records, committed or queued, contain."""
        return self._session.live.inputs if self._session else {}

    @property
    def history(self) -> History:
        """The session as it was when it was opened, before repairs."""
        return self._history

    async def durable(self, position: int | None = None) -> None:
        """Wait until records are committed.

        Args:
            position: How many from the beginning of the session; default: all that are queued now.

        Raises:
            SessionFenced: They never will be.
            StorageUnavailable: Not within 30 s; they stay queued.
        """
        session = self._require()
        if position is None or position > session.live.head:
            await self._runtime.run(session.durable(position, DURABLE_TIMEOUT_S))

    @contextlib.contextmanager
    def taking(self, client_id: str, *seqs: int) -> Iterator[None]:
        """Say that what is recorded within, in this task, is the effect of a client's input frames."""
        token = _taking.set((valid_id(client_id, "client id"), seqs))
        try:
            yield
        finally:
            _taking.reset(token)

    def note_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Say that the next message recorded is the effect of a client's input frames."""
        self._noted = (valid_id(client_id, "client id"), tuple(seqs))

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the session is, or may be, someone else's: fall silent and discard the agent.

        The callback runs on the event loop that was running when this was called, or else on the storage loop.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._lost_callbacks.append(callback)
        else:
            self._lost_callbacks.append(lambda: _call_on(loop, callback))

    def lease_is_fresh(self) -> bool:
        """Whether this holder may still speak for the session, by its own clock."""
        try:
            session = self._mine()
        except SessionFenced:
            return False
        return session is not None and session.lease.held and session.lease.fresh_for > 0

    def _begin_opening(self) -> Future[Session]:
        """Open once, however many ask for it at the same time."""
        with self._opening_lock:
            if self._opening is None:
                self._opening = self._runtime.submit(self._open())
            self._openers += 1
            return self._opening

    def _end_opening(self, opening: Future[Session]) -> None:
        with self._opening_lock:
            self._openers -= 1
            if self._opening is opening and opening.done():
                self._opening = None

    def _give_up(self, opening: Future[Session]) -> None:
        """Let go what is acquired after the last one who wanted it has left."""
        with self._opening_lock:
            if self._openers > 1 or self._opening is not opening:
                return
            self._opening = None

        def let_go(opened: Future[Session]) -> None:
            if opened.exception() is None:
                self._runtime.submit(opened.result().close())

        opening.add_done_callback(let_go)

    async def _open(self) -> Session:
        """Runs on the storage loop."""
        stores = await self._stores()
        lease = Lease(
            stores.guard,
            self.session_key,
            settings=self.settings.lease,
            holder=self.settings.holder,
            endpoint=self.settings.endpoint,
            retention_s=self.settings.retention_days * 86_400,
            clock=self._runtime.clock,
        )
        session = Session(lease, stores, self._runtime.heartbeats, self._runtime.clock)
        session.on_lost(self._lost)
        journal = await session.open(self.settings.acquire_timeout, self.settings.probe)
        try:
            self._history = fold(journal.records)
        except JournalCorrupt:
            await session.close()
            raise
        journal.records.clear()
        return session

    def _mine(self) -> Session | None:
        """The session, if it was opened; never a parent process's."""
        if self._session is not None:
            self._session.check_process()
        return self._session

    def _require(self) -> Session:
        if (session := self._mine()) is None:
            raise RuntimeError("the session is not open: await session_manager.open()")
        return session

    def _take_inputs(self) -> Input | None:
        noted, self._noted = self._noted, None
        return noted or _taking.get()

    def _watch_loop(self) -> None:
        """Tie the heartbeat to the running event loop, and notice changes between two hooks."""
        if self._session is None or not in_event_loop():
            return
        handle = weakref.ref(self)

        def each_turn() -> None:
            if (alive := handle()) is not None:
                with contextlib.suppress(SegueError):
                    alive._record_changes()  # noqa: SLF001 - it is this very object, held weakly

        self._session.watch_loop(LoopWatch(asyncio.get_running_loop(), each_turn))
        self._runtime.loop.call_soon_threadsafe(self._session.beat_on)

    def _follow_loop(self) -> None:
        """An agent may live on one event loop after the other (``asyncio.run`` twice): the heartbeat goes with it."""
        if self._session is not None and self._session.loop_ended:
            self._watch_loop()

    def _lost(self) -> None:
        for callback in self._lost_callbacks:
            try:
                callback()
            except RuntimeError:
                pass  # its loop is closed: there is nobody to tell
            except Exception:
                logger.exception("a callback for a lost session failed")


def in_event_loop() -> bool:
    """Whether this code runs on an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _call_on(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)
