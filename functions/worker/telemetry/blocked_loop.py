"""A watch over the event loop: code that blocks it, a user's tool above all, is named while it does so.

    loop      ─ turn ─ turn ─ turn ───────────── blocked ──────────────────── turn ─▶ counted, and how long it was
    thread      look   look   look   look   look: no turn for 0.5 s ─▶ the stack of the loop's thread, once

A loop that waits for the system is not blocked, whatever time it takes: it has not been given a core. The same is true
if the thread itself comes late.

A watch only tells. The sessions of a blocked loop are not handed over from another thread: the reasons are in
docs/rfcs/0029.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import selectors
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

from aws_lambda_powertools import Logger

from segue.session.runtime import Runtime
from shared.log import logger
from worker.telemetry.metrics import Count, metrics

BLOCKED_SECONDS: Final = 0.5
"""Seconds for which the loop may stand still; a longer block is logged and counted. Callers hear it, since 20 ms of
sound are due every 20 ms."""

STANDSTILL_SECONDS: Final = 0.75
"""Seconds for which the process may stand still; after a longer time it may have been taken for dead: less than two
probes of half a second take."""

LOOK_SECONDS: Final = 0.1
"""Seconds between two looks at the loop: a block is measured to within so much."""

STACK_FRAMES: Final = 12
"""Innermost frames of a blocked loop's stack that the log has; the outer ones are left out."""

_LIBRARIES: Final = tuple(
    path for name in ("stdlib", "purelib", "platlib") if (path := sysconfig.get_paths().get(name)) is not None
)


class BlockedLoopWatch:
    """Watch from a thread over the loop that it is started on."""

    def __init__(
        self,
        log: Logger,
        *,
        blocked_seconds: float = BLOCKED_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch nothing yet.

        Args:
            log: Where blocks are written.
            blocked_seconds: Seconds without a turn that are a block.
            look_seconds: Seconds between two looks, and between two turns of an idle loop.
            clock: Seconds.
        """
        self._log = log
        self._blocked_seconds = blocked_seconds
        self._look_seconds = look_seconds
        self._clock = clock
        self._turned_at = clock()
        self._resumed_at = -math.inf
        self._reported = False
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop."""
        self._loop_thread = threading.get_ident()
        self._turn()
        threading.Thread(target=self._watch, name="loop watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def stood_still(self) -> float:
        """Seconds for which the loop has taken no turn that was due; 0 while it turns. Any thread may ask."""
        return max(0.0, self._clock() - self._turned_at - self._look_seconds)

    def standstill_ended_at(self) -> float:
        """Time at which the loop went on after its last standstill; minus infinity if there was none.

        That is now, as long as the loop has taken no turn since: what asks may be the first that runs.
        """
        return self._clock() if self.stood_still() > STANDSTILL_SECONDS else self._resumed_at

    def _turn(self) -> None:
        now = self._clock()
        self._resumed_at = self.standstill_ended_at()
        if self._reported:
            self._reported = False
            metrics.count(Count.LOOP_BLOCKED)
            self._log.warning("the event loop turns again", blocked_ms=round((now - self._turned_at) * 1000))
        self._turned_at = now
        self._timer = asyncio.get_running_loop().call_later(self._look_seconds, self._turn)

    def _watch(self) -> None:
        before = self._clock()
        while not self._stopped.wait(self._look_seconds):
            now = self._clock()
            late, before = now - before > self._blocked_seconds, now
            if not late and not self._reported and now - self._turned_at > self._blocked_seconds:
                self._report_block()

    def _report_block(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the one way to another thread's stack
        stack = traceback.extract_stack(frame)
        if not stack or stack[-1].filename == selectors.__file__:
            return  # it waits for the system, and was not given a core
        self._reported = True
        place = culprit(stack)
        self._log.error(
            "the event loop is blocked",
            at=f"{place.filename}:{place.lineno}",
            code=place.line or "",
            action="await what takes long, or make the tool a plain def: Strands runs those in a thread",
            stack=[f"{each.filename}:{each.lineno} {each.name}" for each in stack[-STACK_FRAMES:]],
        )


class Standstills:
    """Standstills of this process, by the clock of its sessions. Not known where no watch runs.

    Attributes:
        watch: The watch over the process's loop.
    """

    def __init__(self) -> None:
        """Know of none."""
        self.watch: BlockedLoopWatch | None = None

    def latest(self) -> float:
        """Time at which the last one ended; minus infinity if there was none."""
        return -math.inf if self.watch is None else self.watch.standstill_ended_at()


standstills: Final = Standstills()
"""Those of this process."""


@contextlib.contextmanager
def watched_loop() -> Iterator[BlockedLoopWatch | None]:
    """Watch the running loop while the block lasts; not where a debugger stops it on purpose (SEGUE_DEBUG)."""
    if os.environ.get("SEGUE_DEBUG"):
        yield None
        return
    watch = BlockedLoopWatch(logger, clock=Runtime.shared().clock.now)
    watch.start()
    standstills.watch = watch
    try:
        yield watch
    finally:
        standstills.watch = None
        watch.stop()


def culprit(stack: traceback.StackSummary) -> traceback.FrameSummary:
    """Return the innermost frame that is neither Python's own nor a package's: the line that blocks."""
    own = [frame for frame in stack if not frame.filename.startswith((*_LIBRARIES, "<"))]
    return own[-1] if own else stack[-1]
