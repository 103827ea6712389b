"""Random pauses of a test's process, as a plugin of pytest: ``-p tests.support.stalls``.

A busy machine gives a process no turn for a tenth of a second, again and again. Tests that count on a time, or on the
order of two things that do not wait for each other, fail on it and nowhere else. With this plugin they fail on a quiet
machine: it sometimes sleeps before a callback of an event loop, around a call in an executor, and before a thread
begins. A pause of a loop stops the steady clock, too.

``SEGUE_STALLS`` is the seed (default 1). A test's pauses follow from it and the test's name, as far as the test itself
is repeatable; ``SEGUE_STALL_SECONDS`` is the longest of them (default 0.1).
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import thread
from typing import Any

import pytest

from tests.support.steady_clock import steady

SEED = os.environ.get("SEGUE_STALLS", "1")
LONGEST_SECONDS = float(os.environ.get("SEGUE_STALL_SECONDS", "0.1"))
BUDGET_SECONDS = 3.0
"""Seconds of one test's pauses together. A test without a limit on them could wait for ever, or seem to."""

CALLBACK_CHANCE = 0.06
"""Probability of a pause before a callback of a loop."""

THREAD_CHANCE = 0.15
"""Probability of a pause before, and of one after, a call in an executor's thread, and before a thread begins."""


class Stalls:
    """Pauses of the test that runs.

    Attributes:
        left: Seconds that the pauses of this test may still take.
    """

    def __init__(self, sleep: Callable[[float], object] = time.sleep) -> None:
        self.left = 0.0
        self._sleep = sleep
        self._random = random.Random(SEED)
        self._lock = threading.Lock()

    def begin(self, test: str) -> None:
        """Begin the pauses of a test."""
        self._random.seed(f"{SEED} {test}")
        self.left = BUDGET_SECONDS

    def end(self) -> None:
        """End them."""
        self.left = 0.0

    def pause_process(self) -> None:
        """Pause now and then, as if the whole process had no turn."""
        if (seconds := self._draw(CALLBACK_CHANCE)) > 0:
            with steady().stopped():
                self._sleep(seconds)

    def pause_thread(self) -> None:
        """Pause now and then, as if this thread alone had no turn."""
        if (seconds := self._draw(THREAD_CHANCE)) > 0:
            self._sleep(seconds)

    def _draw(self, chance: float) -> float:
        with self._lock:
            if self.left <= 0 or self._random.random() >= chance:
                return 0.0
            seconds = LONGEST_SECONDS * self._random.choice((0.04, 0.2, 0.5, 1.0))
            self.left -= seconds
            return seconds


_stalls = Stalls()


_run_callback: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # type: ignore[attr-defined]
_run_call: Callable[..., None] = thread._WorkItem.run
_run_thread: Callable[[threading.Thread], None] = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]


def _paused_callback(handle: asyncio.Handle) -> None:
    _stalls.pause_process()
    _run_callback(handle)


def _paused_call(*args: Any, **options: Any) -> None:
    _stalls.pause_thread()
    _run_call(*args, **options)
    _stalls.pause_thread()


def _paused_thread(started: threading.Thread) -> None:
    _stalls.pause_thread()
    _run_thread(started)


def pytest_configure() -> None:
    """Put a pause before each callback of a loop, around each call in an executor, and before each thread's own."""
    asyncio.Handle._run = _paused_callback
    thread._WorkItem.run = _paused_call
    threading.Thread._bootstrap_inner = _paused_thread  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let pauses happen while a test's own function runs, and not in its fixtures."""
    _stalls.begin(item.nodeid)
    try:
        return (yield)
    finally:
        _stalls.end()
