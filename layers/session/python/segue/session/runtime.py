"""One storage loop, bounded thread pools and one heartbeat schedule for all sessions of a process.

Agents live on event loops that must not wait: audio flows through them. So everything that talks to storage
runs on a loop of its own, in a daemon thread, and boto3's blocking calls on more threads. It serves agents on
any loop, in any thread, and code without a loop alike.

    executor             objects: puts, gets            S3 hangs: these wait
    guard_executor       acquisitions, commits, releases, and what makes clients
    heartbeat_executor   heartbeats, and nothing else   docs/rfcs/0014
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import os
import random
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ClassVar, Protocol, TypeVar

from segue.clock import Clock, SystemClock
from segue.errors import SegueError
from segue.session.open_handles import OpenHandles, at_exit
from segue.session.threads import DaemonExecutor

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

STORAGE_THREADS = 32
"""Requests for objects in flight at once, for all sessions of a process, and as many for guard items. A restore uses
all of the former for a moment; while S3 hangs, they are all taken. Further requests wait for a thread."""

HEARTBEAT_THREADS = 128
"""Heartbeats in flight at once, for all sessions of a process. One takes milliseconds, so there are one or two threads;
there are more only while DynamoDB is slow. Beyond the limit heartbeats wait for each other."""

SWITCH_INTERVAL_SECONDS = 0.0002
"""Seconds that a storage thread may keep the interpreter's lock while an agent's loop waits for it. A request is
two milliseconds of boto3; Python's own interval of 5 ms would let the loop, and the audio on it, wait for all of it
(docs/rfcs/0006)."""

SPREAD = 0.1
"""Part of the time between two heartbeats over which those of a process are spread, each anew."""


class Scheduled(Protocol):
    """A session's heartbeat, as the schedule calls it."""

    async def beat(self) -> float | None:
        """Send the heartbeat that is due. Return seconds until the next call; None: call no more."""
        ...


class Runtime:
    """The storage loop and what hangs on it. ``Runtime.shared()`` is the process's."""

    _shared: ClassVar[Runtime | None] = None
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        """Start the loop's thread, and shorten Python's switch interval to ``SWITCH_INTERVAL_SECONDS`` at most."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_SECONDS))
        self.clock: Clock = SystemClock()
        self.executor = DaemonExecutor(STORAGE_THREADS, thread_name_prefix="segue-storage")
        self.guard_executor = DaemonExecutor(STORAGE_THREADS, thread_name_prefix="segue-guard")
        self.heartbeat_executor = DaemonExecutor(HEARTBEAT_THREADS, thread_name_prefix="segue-heartbeat")
        self.loop = asyncio.new_event_loop()
        self.heartbeats = HeartbeatSchedule(self.loop, self.clock)
        self.handles = OpenHandles(self.loop, self.guard_executor)
        threading.Thread(target=self._run, name="segue-loop", daemon=True).start()

    @classmethod
    def shared(cls) -> Runtime:
        """The runtime of this process. A forked child gets its own: threads do not survive a fork."""
        with cls._shared_lock:
            if cls._shared is None:
                cls._shared = cls()
                at_exit(cls._end)
            return cls._shared

    @classmethod
    def forget_after_fork(cls) -> None:
        """Let a forked child start anew."""
        cls._shared = None
        cls._shared_lock = threading.Lock()

    @classmethod
    def _end(cls) -> None:
        if cls._shared is not None:
            cls._shared.handles.release_all()

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run a coroutine on the storage loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await a coroutine that runs on the storage loop, from any event loop.

        Cancelling the wait does not cancel the work: what was begun with storage is seen through.
        """
        return await asyncio.shield(asyncio.wrap_future(self.submit(work)))

    def run_sync(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Block this thread until a coroutine on the storage loop is done."""
        if threading.current_thread().name == "segue-loop":
            work.close()
            raise RuntimeError(
                "a synchronous call from Segue's own storage loop would wait for itself: await the async one"
            )
        return self.submit(work).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


class HeartbeatSchedule:
    """Schedule of all sessions' heartbeats, which keeps none of them alive.

    Each call comes up to ``SPREAD`` of its delay early, at random. Otherwise sessions that were acquired in one moment
    would send all their heartbeats together, for ever, and callers of this process would hear the gap.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, generator: random.Random | None = None) -> None:
        """Serve a loop. ``generator`` is for runs that have to be repeatable."""
        self._loop = loop
        self._clock = clock
        self._random = generator or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._due: list[tuple[float, int, weakref.ref[Scheduled]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.lateness = 0.0
        """Seconds that the latest heartbeat was late, for the benchmarks."""

    def add(self, session: Scheduled, delay: float) -> None:
        """Call ``session`` after ``delay`` seconds at the latest; must be called on the schedule's loop."""
        due = self._clock.now() + delay * self._random.uniform(1 - SPREAD, 1)
        heapq.heappush(self._due, (due, next(self._order), weakref.ref(session)))
        self._arm()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back on the schedule's loop, from any thread."""
        self._loop.call_soon_threadsafe(callback)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._due:
            self._timer = self._loop.call_later(max(0.0, self._due[0][0] - self._clock.now()), self._fire)

    def _fire(self) -> None:
        while self._due and self._due[0][0] <= self._clock.now():
            due, _, reference = heapq.heappop(self._due)
            self.lateness = self._clock.now() - due
            if (session := reference()) is not None:
                task = self._loop.create_task(self._beat(session))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        self._arm()

    async def _beat(self, session: Scheduled) -> None:
        try:
            delay = await session.beat()
        except Exception:
            logger.exception("heartbeat failed unexpectedly")
            delay = 1.0
        if delay is not None:
            self.add(session, delay)


class LoopWatch:
    """Watch over an event loop that may stop turning. A hung loop must lose its lease.

    Each ``alive`` asks for one more turn and tells whether the one asked for before was taken.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, each_turn: Callable[[], None]) -> None:
        """Watch a loop, and use its turns.

        Args:
            loop: The agent's event loop.
            each_turn: Called on that loop at each turn that was asked for.
        """
        self._loop = loop
        self._each_turn = each_turn
        self._turned = True

    @property
    def closed(self) -> bool:
        """Tell whether the loop has ended for good."""
        return self._loop.is_closed()

    def alive(self) -> bool:
        """Tell whether the loop has turned since the last call."""
        turned, self._turned = self._turned, False
        try:
            self._loop.call_soon_threadsafe(self._turn)
        except RuntimeError:
            return False
        return turned

    def _turn(self) -> None:
        self._turned = True
        with contextlib.suppress(SegueError):  # the next hook is told
            self._each_turn()


def in_event_loop() -> bool:
    """Tell whether this code runs on an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Runtime.forget_after_fork)
