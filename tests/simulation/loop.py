"""Virtual time: an event loop that never waits, and processes on it that can be stopped, resumed and killed.

Time jumps from one timer to the next, so an hour costs nothing, and the order of everything follows from the
seed alone. Times are multiples of 1/1024 s, which floats add exactly: events that could coincide often do.

Each callback belongs to the process in whose context it was scheduled. A stopped process's callbacks are put
aside until it goes on, as SIGSTOP does: between any two awaits, timers and sends included. A killed process
never goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any

_TICKS_PER_SECOND = 1024
_TURNS_AT_MOST = 1_000_000

_current: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process:
    """The process that is running.

    Raises:
        LookupError: None is; it is the network, or fate.
    """
    process = _current.get()
    if process is None:
        raise LookupError("outside all processes")
    return process


class VirtualHandle(float):
    """A callback, and the virtual time at which it is due: asyncio's handle, compared as the float that it is.

    A run has thousands of them, and asyncio makes, compares and runs its own in Python, with debugging in mind.

    Attributes:
        callback: What is called.
        args: What with.
        context: Where; None outside all processes.
        is_cancelled: Whether it is not called any more.
    """

    __slots__ = ("args", "callback", "context", "is_cancelled")

    callback: Callable[..., Any]
    args: tuple[Any, ...]
    context: Context | None
    is_cancelled: bool

    def cancel(self) -> None:
        """Let it not be called."""
        self.is_cancelled = True
        self.callback, self.args = _nothing, ()  # keeps nothing alive

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self.is_cancelled

    def when(self) -> float:
        """Return the virtual time at which it is due."""
        return float(self)


def _handle(when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None) -> VirtualHandle:
    handle = VirtualHandle(when)
    handle.callback, handle.args = callback, args
    handle.context = copy_context() if context is None else context
    handle.is_cancelled = False
    return handle


def _nothing() -> None:
    """Stand in for a callback that was cancelled."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time, without any I/O."""

    _ready: deque[VirtualHandle]
    _scheduled: list[VirtualHandle]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.virtual_now = 0.0
        self.turns = 0
        self.errors: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[Any]] = []  # in order, which asyncio.all_tasks does not keep; and all held alive
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.virtual_now

    def create_task[T](self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        task = super().create_task(coro, **options)
        self._tasks.append(task)
        return task

    get_debug = staticmethod(bool)  # type: ignore[assignment]  # False, without a call in Python for each future

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> VirtualHandle:
        handle = _handle(self.virtual_now, callback, args, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # nothing sleeps that would have to be woken

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> VirtualHandle:
        return self.call_at(self.virtual_now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> VirtualHandle:
        handle = _handle(math.ceil(when * _TICKS_PER_SECOND) / _TICKS_PER_SECOND, callback, args, context)
        heappush(self._scheduled, handle)
        return handle

    def outside(self, delay: float, callback: Callable[..., Any], *args: Any) -> None:
        """Schedule what no process does: the network, or fate."""
        handle = VirtualHandle(math.ceil((self.virtual_now + delay) * _TICKS_PER_SECOND) / _TICKS_PER_SECOND)
        handle.callback, handle.args, handle.context, handle.is_cancelled = callback, args, None, False
        heappush(self._scheduled, handle)

    def _run_once(self) -> None:
        """Take turns until the loop is stopped. A run has thousands of callbacks: running one is written out here."""
        ready, take = self._ready, self._ready.popleft
        while True:
            self._let_time_pass()
            self.turns += 1
            for _ in range(len(ready)):
                handle = take()
                if handle.is_cancelled:
                    continue
                context = handle.context
                try:
                    if context is None:
                        handle.callback(*handle.args)
                    elif (process := context.get(_current)) is not None and process.put_aside is not None:
                        process.put_aside.append(handle)
                    else:
                        context.run(handle.callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio's loops do
                    self.call_exception_handler({"message": f"exception in {handle.callback!r}", "exception": error})
            if self._stopping:
                return

    def _let_time_pass(self) -> None:
        """Make ready what is due; if nothing was ready, what is due next."""
        ready, timers = self._ready, self._scheduled
        if self.turns >= _TURNS_AT_MOST:
            raise RuntimeError(f"livelock: {self.turns} turns, {self.virtual_now:.3f} virtual seconds")
        while timers and timers[0].is_cancelled:
            heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise RuntimeError("deadlock: nothing is left that could happen")
            self.virtual_now = max(self.virtual_now, timers[0].when())
        while timers and timers[0] <= self.virtual_now:
            ready.append(heappop(timers))

    def put_back(self, handles: list[VirtualHandle]) -> None:
        """Let callbacks run that were put aside."""
        self._ready.extend(handles)

    def end_all_tasks(self) -> None:
        """Cancel what is left, also what stopped and killed processes left behind, so that nothing leaks."""
        for _ in range(10):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.sleep(0))
        raise RuntimeError(f"these tasks refuse to end: {[task for task in self._tasks if not task.done()]}")


class ProcessClock:
    """A process's clock: its own zero, and its own idea of a second."""

    def __init__(self, loop: VirtualLoop, *, rate: float = 1.0, offset: float = 0.0, wall: float = 0.0) -> None:
        self.rate = rate
        self._loop = loop
        self._offset = offset
        self._wall = wall

    def now(self) -> float:
        return self._loop.virtual_now * self.rate + self._offset

    def wall(self) -> float:
        return self._wall + self._loop.virtual_now

    def jump(self, seconds: float) -> None:
        """Set the wall clock on, or back."""
        self._wall += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.rate)


class Process:
    """Something that can be stopped (SIGSTOP), resumed (SIGCONT) and killed (SIGKILL).

    Attributes:
        page_limits: Segments and records at which its version of the library cuts a page.
        volume_limit: Bytes of records that it binds into a volume.
    """

    def __init__(self, loop: VirtualLoop, name: str, clock: ProcessClock, page_limits: tuple[int, int]) -> None:
        self.name = name
        self.clock = clock
        self.page_limits = page_limits
        self.volume_limit = 10_000
        self.killed = False
        self.put_aside: list[VirtualHandle] | None = None
        self._loop = loop
        self._context = Context()
        self._context.run(_current.set, self)

    @property
    def stopped(self) -> bool:
        return self.put_aside is not None

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        return self._loop.create_task(work, context=self._context.copy())

    def stop(self, seconds: float) -> None:
        """Stop now, go on later."""
        if self.put_aside is None and not self.killed:
            self.put_aside = []
            self._loop.outside(seconds, self.resume)

    def resume(self) -> None:
        """Go on: whatever came due meanwhile happens at once."""
        if not self.killed and self.put_aside is not None:
            handles, self.put_aside = self.put_aside, None
            self._loop.put_back(handles)

    def kill(self) -> None:
        """Stop for good. Requests under way are on their way still."""
        self.stop(0.0)
        self.killed = True

    def revive_to_be_ended(self) -> None:
        """Let the remains run once more, so that they can be cancelled at the end of a simulation."""
        self.killed = False
        self.resume()
