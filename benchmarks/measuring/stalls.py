"""Stalls of an event loop, seen from two sides.

From outside: a ticker task sleeps for a millisecond, again and again, and sees how much later it wakes. That is
what a task that carries audio would see: it contains whatever keeps the loop's thread from running, work on the
loop, other threads that hold the interpreter's lock, and the operating system giving the core to others.

From inside: the selector is asked once a turn of the loop, so the time between its return and the next call is
the time that the loop spent on callbacks.

The loop runs on ``select``, whose timeouts are exact to microseconds; with ``epoll`` they are rounded up to whole
milliseconds, and a ticker would see those.
"""

from __future__ import annotations

import asyncio
import selectors
import statistics
import time
from types import TracebackType
from typing import Any, Self

import msgspec

TICK_SECONDS = 0.001
_CALIBRATIONS = 20


class Window(msgspec.Struct, kw_only=True):
    """Stalls of the loop during a while, in milliseconds.

    Attributes:
        stall: The longest time that the ticker woke late.
        turn: The longest turn of the loop.
        busy: Time that the loop spent on callbacks, the ticker's own left out.
    """

    stall: float = 0.0
    turn: float = 0.0
    busy: float = 0.0


class TimedSelector(selectors.SelectSelector):
    """Timer of the turns of the loop that uses it."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        super().__init__()
        self.longest = self.busy = 0.0
        self._woke = time.perf_counter()

    def select(self, timeout: float | None = None) -> Any:
        """Wait, and take the time between two calls as a turn."""
        turn = time.perf_counter() - self._woke
        self.busy += turn
        self.longest = max(self.longest, turn)
        try:
            return super().select(timeout)
        finally:
            self._woke = time.perf_counter()


def run(main: Any) -> Any:
    """Run a coroutine function, which is given the meter, on a loop whose turns are timed."""
    selector = TimedSelector()

    async def measured() -> Any:
        async with StallMeter(selector) as meter:
            return await main(meter)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(measured())


class StallMeter:
    """The ticker, and a window of time over which it and the turns are looked at.

    Attributes:
        lates: How late each tick of the window came, in ms.
    """

    def __init__(self, selector: TimedSelector) -> None:
        """Watch the loop of a selector."""
        self.lates: list[float] = []
        self._selector = selector
        self._ticks = 0
        self._tick_cost = 0.0
        self._began = (0.0, 0)
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the ticker, and learn what a tick costs the loop."""
        self._ticker = asyncio.create_task(self._tick())
        costs = []
        for _ in range(_CALIBRATIONS):
            busy, ticks = self._selector.busy, self._ticks
            await asyncio.sleep(10 * TICK_SECONDS)
            costs.append((self._selector.busy - busy) / max(1, self._ticks - ticks))
        self._tick_cost = statistics.median(costs)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the ticker."""
        if self._ticker is not None:
            self._ticker.cancel()

    async def begin(self) -> None:
        """Look from here on; what went on before is over once the ticker has woken from it."""
        await self._some_ticks()
        self.lates.clear()
        self._selector.longest = 0.0
        self._began = (self._selector.busy, self._ticks)

    async def end(self) -> Window:
        """Say what was seen, as soon as the ticker has woken from a stall that may be under way."""
        await self._some_ticks()
        busy, ticks = self._began
        ticker_busy = (self._ticks - ticks) * self._tick_cost
        return Window(
            stall=max(self.lates),
            turn=self._selector.longest * 1e3,
            busy=max(0.0, self._selector.busy - busy - ticker_busy) * 1e3,
        )

    async def _some_ticks(self) -> None:
        last = self._ticks + 2
        while self._ticks < last:  # noqa: ASYNC110 - telling of a tick would make ticks slower
            await asyncio.sleep(TICK_SECONDS)

    async def _tick(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            self.lates.append((time.perf_counter() - before - TICK_SECONDS) * 1e3)
            self._ticks += 1
