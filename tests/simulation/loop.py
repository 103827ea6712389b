"""Virtual time: an event loop that never waits, and processes on it that can be stopped, resumed and killed.

Time jumps from one timer to the next, so an hour costs nothing, and the order of everything follows from the
seed alone. Times are multiples of 1/1024 s, which floats add exactly: events that could coincide often do.

Each callback belongs to the process in whose context it was scheduled. A stopped process's callbacks are put
aside until it goes on, as SIGSTOP does: between any two awaits, timers and sends included. A killed process
never goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from asyncio.events import Handle
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

_TICKS_PER_S = 1024
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


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time, without any I/O."""

    def __init__(self) -> None:
        super().__init__()
        self.virtual_now = 0.0
        self.turns = 0
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.virtual_now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(math.ceil(when * _TICKS_PER_S) / _TICKS_PER_S, callback, *args, context=context)

    def outside(self, delay: float, callback: Callable[..., Any], *args: Any) -> None:
        """Schedule what no process does: the network, or fate."""
        self.call_later(delay, callback, *args, context=Context())

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("deadlock: nothing is left that could happen")
            self.virtual_now = max(self.virtual_now, timers[0]._when)
        while timers and timers[0]._when <= self.virtual_now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        self.turns += 1
        if self.turns > _TURNS_AT_MOST:
            raise RuntimeError(f"livelock: {self.turns} turns, {self.virtual_now:.3f} virtual seconds")
        for _ in range(len(ready)):
            self._run_handle(ready.popleft())

    def _run_handle(self, handle: Handle) -> None:
        if handle._cancelled:  # type: ignore[attr-defined]
            return
        process = handle._context.get(_current)  # type: ignore[attr-defined]
        if process is not None and process.put_aside is not None:
            process.put_aside.append(handle)
            return
        handle._run()  # type: ignore[attr-defined]

    def put_back(self, handles: list[Handle]) -> None:
        """Let callbacks run that were put aside."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def end_all_tasks(self) -> None:
        """Cancel what is left, also what stopped and killed processes left behind, so that nothing leaks."""
        for _ in range(10):
            left = asyncio.all_tasks(self)
            if not left:
                return
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.sleep(0))
        raise RuntimeError(f"these tasks refuse to end: {asyncio.all_tasks(self)}")


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
        self.put_aside: list[Handle] | None = None
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
