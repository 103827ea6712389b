"""The sessions that this process has open, and how they end if they are not closed.

    the program ends         atexit ─────────▶ recorded, flushed and released, all at once, within EXIT_TIMEOUT_SECONDS
    a handle is collected    __del__ ────────▶ queued on the storage loop ──▶ flushed and released
    another handle of this   release_unused ─▶ released if no agent uses it; otherwise the other is told that it is
    process wants a session                    here

Only the process that acquired a session releases it: a forked child has a runtime of its own, and with it one of these
that knows of no session.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, cast

from segue.errors import SegueError, StorageUnavailable
from segue.ids import shown
from segue.lease.waiting import HolderLocation

if TYPE_CHECKING:
    from segue.session.session import Session

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_SECONDS = 10.0
"""Seconds that the end of a program waits for storage: as long as container runtimes wait between SIGTERM and SIGKILL.
Healthy storage needs a fraction of one. Records that are not written by then are named on stderr."""

_RELEASE_SECONDS = 2.0
"""Seconds of ``EXIT_TIMEOUT_SECONDS`` that are kept for the releases, if storage does not take the queued records."""

_TOLD_AFTER_SECONDS = 1.0
"""Seconds of waiting at the end of the program after which a warning is logged."""

_RETRY_SECONDS = 1.0
"""Seconds between two tries to write a collected handle's records, while storage does not answer."""

_RELEASE_PATIENCE_SECONDS = 5.0
"""Seconds that an acquisition waits for a release that this process has begun, even if it waits for no other holder."""


_EXIT_PRIORITY = 100
"""Before what multiprocessing itself has to finish (its priorities are 0 to 15)."""


class OpenHandle:
    """One session and the handle that it belongs to, which this does not keep alive."""

    def __init__(self, session: Session, record_changes: Callable[[], None], unused: Callable[[], bool]) -> None:
        """Keep two bound methods of the handle, weakly."""
        self.session = session
        self._record_changes = weakref.WeakMethod(record_changes)
        self._unused = weakref.WeakMethod(unused)

    def record_changes(self) -> None:
        """Queue changes that no hook has reported."""
        if (record := self._record_changes()) is not None:
            record()

    @property
    def unused(self) -> bool:
        """Tell whether all users of the handle are freed, and no request is in flight."""
        return (unused := self._unused()) is not None and unused() and self.session.idle


class OpenHandles:
    """The open handles of one process. Made and used by its runtime; methods say where they may be called."""

    def __init__(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        """Begin with none.

        Args:
            loop: The storage loop.
            executor: Threads for Python's garbage collector: finalizers of other libraries may block.
        """
        self._loop = loop
        self._executor = executor
        self._pid = os.getpid()
        self._opening: set[asyncio.Task[Any]] = set()
        self._open: dict[Session, OpenHandle] = {}
        self._releasing: dict[Session, asyncio.Task[None]] = {}
        self._ended = False

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """Mark the running task of the storage loop as one that the end of the program cancels."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._opening.add(task)
        try:
            yield
        finally:
            self._opening.discard(task)

    def add(self, session: Session, record_changes: Callable[[], None], unused: Callable[[], bool]) -> None:
        """Add a session that was opened. Runs on the storage loop."""
        self._open[session] = OpenHandle(session, record_changes, unused)

    def collected(self, session: Session, record_changes: Callable[[], None]) -> None:
        """Release a session whose handle is being collected.

        Called by a finalizer: in any thread, between any two instructions. So it takes no lock and waits for nothing.

        Args:
            session: The session.
            record_changes: Queues changes; keeps the handle alive for as long as that takes.
        """
        if not self._ended and os.getpid() == self._pid:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.release, session, record_changes)

    def release(self, session: Session, record_changes: Callable[[], None] = lambda: None) -> None:
        """Flush and release a session that has no handle any more. Runs on the storage loop."""
        self._open.pop(session, None)
        self._release(session, record_changes)

    def _release(self, session: Session, record_changes: Callable[[], None] = lambda: None) -> None:
        if session.unfinished and session not in self._releasing:
            self._releasing[session] = task = self._loop.create_task(_released(session, record_changes))
            task.add_done_callback(lambda _: self._releasing.pop(session, None))

    async def release_unused(self, acquire_id: str | None, *, collect: bool) -> HolderLocation:
        """Release the session of an acquisition, if it is one of this process and no agent uses it any more.

        Args:
            acquire_id: The acquisition's id, as the guard item has it.
            collect: Whether to run the garbage collector first: an agent may be part of a cycle. It stops the process
                for a moment.
        """
        if collect and self._session_of(acquire_id) is not None:
            await self._loop.run_in_executor(self._executor, gc.collect)
        session = self._session_of(acquire_id)
        if session is None:
            return HolderLocation.ELSEWHERE
        if session not in self._releasing:
            if not self._open[session].unused:
                return HolderLocation.HERE
            logger.info("released, no agent uses it any more", extra={"session": session.lease.session_key})
            self._release(session)  # its handle is alive, and may use it again
        if (releasing := self._releasing.get(session)) is not None:
            await asyncio.wait({releasing}, timeout=_RELEASE_PATIENCE_SECONDS)
        return HolderLocation.HERE if session.lease.held else HolderLocation.RELEASED

    def _session_of(self, acquire_id: str | None) -> Session | None:
        for session in (*self._open, *self._releasing):
            if session.lease.held and session.lease.mine.acquire_id == acquire_id:
                return session
        return None

    def release_all(self) -> None:
        """Release all sessions, at the end of the program. Blocks, and names unwritten records on stderr."""
        if self._ended or os.getpid() != self._pid:
            return
        self._ended = True
        wrong: dict[Session, str] = {}
        for handle in list(self._open.values()):
            if handle.session.unfinished or handle.session.lease.lost is not None:
                try:
                    handle.record_changes()
                except Exception as error:  # noqa: BLE001 - one agent's state must not keep the others' from storage
                    wrong[handle.session] = f"what changed last was not recorded: {error}"
        sessions = [*self._open, *self._releasing]
        ending = asyncio.run_coroutine_threadsafe(self._end_all(), self._loop)
        with contextlib.suppress(TimeoutError, KeyboardInterrupt):
            wrong = ending.result(EXIT_TIMEOUT_SECONDS + _TOLD_AFTER_SECONDS) | wrong
        for line in _unwritten_or_held(sessions, wrong):
            _print_on_stderr(line)

    async def _end_all(self) -> dict[Session, str]:
        """Release all sessions. Returns the reasons of those that failed, as far as they are known."""
        deadline = self._loop.time() + EXIT_TIMEOUT_SECONDS
        for task in self._opening:
            task.cancel()
        if self._opening:
            await asyncio.wait(self._opening, timeout=EXIT_TIMEOUT_SECONDS)
        releases: dict[asyncio.Task[None], Session] = {task: session for session, task in self._releasing.items()}
        for session in self._open:
            if session.unfinished:
                flush_for = max(0.0, deadline - self._loop.time() - _RELEASE_SECONDS)
                releases[self._loop.create_task(session.leave(flush_for))] = session
        if not releases:
            return {}
        _, pending = await asyncio.wait(releases, timeout=min(_TOLD_AFTER_SECONDS, EXIT_TIMEOUT_SECONDS))
        if pending and (left := deadline - self._loop.time()) > 0:
            logger.warning("the program ends, sessions that wait for storage: %d, for up to %.0f s", len(pending), left)
            await asyncio.wait(pending, timeout=left)
        return {session: _reason_of(task) for task, session in releases.items() if not _succeeded(task)}


def at_exit(end: Callable[[], None]) -> None:
    """Call back when this process ends normally, before modules that are loaded now are torn down."""
    atexit.unregister(end)  # a forked child inherits it, in its parent's order
    atexit.register(end)
    # A child that multiprocessing has forked ends without atexit; it has finalizers of its own instead.
    if (processes := sys.modules.get("multiprocessing.process")) is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize  # loaded already, in every such child

        Finalize(None, end, exitpriority=_EXIT_PRIORITY)


async def _released(session: Session, record_changes: Callable[[], None]) -> None:
    """Flush and release, with as many retries as it takes."""
    facts = {"session": session.lease.session_key, "epoch": session.epoch}
    try:
        record_changes()
    except Exception:
        logger.exception("what changed last in a session that was not closed is not recorded", extra=facts)
    told = False
    while session.unfinished:
        try:
            await session.close()
        except StorageUnavailable as error:
            if not told:
                told = True
                logger.warning("a session that was not closed is not written yet", extra={**facts, "error": str(error)})
            await asyncio.sleep(_RETRY_SECONDS)
        except SegueError as error:
            logger.warning(
                "session %s: %d records were not written: %s",
                *(shown(session.lease.session_key), session.unwritten, error),
                extra=facts,
            )
            return
        else:
            return


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _reason_of(task: asyncio.Task[None]) -> str:
    """Return the reason of a release that failed at the end of the program: nothing is retried any more."""
    error = task.exception() if task.done() and not task.cancelled() else None
    return "storage does not answer" if error is None or isinstance(error, StorageUnavailable) else str(error)


def _unwritten_or_held(sessions: list[Session], wrong: dict[Session, str]) -> Iterator[str]:
    for session in dict.fromkeys(sessions):
        why = wrong.get(session) or (str(session.failure) if session.unwritten and session.failure else None)
        problems = [why] if why else []
        if session.lease.held:
            problems.append(f"not released, its lease expires in {session.lease.settings.duration:g} s")
        if session.unwritten:
            records = "1 record was" if session.unwritten == 1 else f"{session.unwritten} records were"
            problems.insert(0, f"{records} not written")
        if problems:
            yield f"segue: session {shown(session.lease.session_key)}: {'; '.join(problems)}"


def _print_on_stderr(line: str) -> None:
    """Tell people. Logging may be set up for machines, and be torn down already."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
