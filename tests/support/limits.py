"""Limits of a test and of a run, as a plugin of pytest. Both end with a verdict.

A test that passes its limit (pytest-timeout's setting and marker) fails, and the run goes on: its main thread is
interrupted, again and again until its finalizers have ended too. Only a process that nothing interrupts is given up:
it ends, and xdist starts another for the tests that are left.

A run in which no test begins or ends for ``STANDSTILL_SECONDS`` is stopped with exit code ``STANDSTILL_CODE``. What a
run has started and left is ended by ``leftovers``, whatever became of the run.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from tests.support.leftovers import Sweeper
from tests.support.steady_clock import steady

AGAIN_SECONDS = float(os.environ.get("SEGUE_TEST_AGAIN_S", "20"))
"""Seconds until an interrupted test that still runs is interrupted again: what its finalizers may take."""

LONGEST = 2
"""A limit counts seconds of the steady clock, but at most so many times as many of the real one."""

INTERRUPTIONS = 6
"""Interruptions of one test. At one more its process is given up."""

STANDSTILL_SECONDS = float(os.environ.get("SEGUE_TEST_STANDSTILL_S", "1500"))
"""Seconds without the beginning or the end of any test. The longest limit of a test and its interruptions fit in."""

STANDSTILL_CODE = 3
"""pytest's own code of an internal error: the run has no result."""

_passed_limit = pytest.StashKey[bool]()
_interruptible = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that starts the run, not one of xdist's
        config.pluginmanager.register(Run(config), "segue-run")


class Run:
    """Watches over a whole run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sweeper = Sweeper()
        self._running: dict[str, float] = {}
        self._news = time.monotonic()
        self._over = threading.Event()
        self._stopping = False
        self._watching = threading.Thread(target=self._watch, name="standstill", daemon=True)

    def pytest_sessionstart(self) -> None:
        self._sweeper.start()
        self._watching.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._news = self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._news = time.monotonic()
        self._running.pop(nodeid, None)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        end_jsii()
        for left in self._sweeper.sweep():
            terminalreporter.write_line(f"ended what a test had left behind: {left}", yellow=True)

    def pytest_unconfigure(self) -> None:
        if self._stopping:
            self._watching.join()  # a run whose processes it has ended comes to its end; the verdict is another
        self._over.set()
        self._sweeper.sweep()

    def _watch(self) -> None:
        while not self._over.wait(min(5.0, STANDSTILL_SECONDS / 5)):
            if time.monotonic() - self._news > STANDSTILL_SECONDS:
                self._stop()

    def _stop(self) -> None:
        self._stopping = True
        running = "".join(f"\n  {test} ({time.monotonic() - since:.0f} s)" for test, since in self._running.items())
        self._say(
            f"\nRUN STOPPED: no test began or ended for {STANDSTILL_SECONDS:.0f} s. Running: {running or 'none'}\n"
        )
        self._sweeper.sweep()
        os._exit(STANDSTILL_CODE)

    def _say(self, text: str) -> None:
        if (capture := self._config.pluginmanager.getplugin("capturemanager")) is not None:
            capture.suspend_global_capture(in_=True)
        sys.stderr.write(text)
        faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
        sys.stderr.flush()


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Interrupt the main thread at the limit and until the test has ended, in place of pytest-timeout's one alarm."""
    if settings.method != "signal" or threading.current_thread() is not threading.main_thread():
        return None
    interruptions = 0
    limit, longest = steady().now() + settings.timeout, time.monotonic() + LONGEST * settings.timeout

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interruptions
        if (left := min(limit - steady().now(), longest - time.monotonic())) > 0:
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.1), AGAIN_SECONDS)
            return
        if not item.stash.get(_interruptible, False):
            return  # pytest itself is at work between two phases; the next alarm comes
        interruptions += 1
        item.stash[_passed_limit] = True
        if interruptions == 1 or interruptions > INTERRUPTIONS:
            faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
        if interruptions > INTERRUPTIONS:
            os._exit(STANDSTILL_CODE)
        pytest.fail(f"passed its limit of {settings.timeout} s")

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN_SECONDS)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    """Keep the timer of a test that has failed: its finalizers may hang too. A debugger ends it."""
    return None if item.config.option.usepdb else True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Iterator[None]:
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _phase(item: pytest.Item) -> Iterator[None]:
    item.stash[_interruptible] = True
    try:
        return (yield)
    finally:
        item.stash[_interruptible] = False


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_phase)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_phase)
pytest_runtest_teardown = pytest.hookimpl(wrapper=True)(_phase)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Fail a test at its limit though something has swallowed the interruption."""
    report: pytest.TestReport = yield
    if item.stash.get(_passed_limit, False) and report.passed and report.when != "setup":
        report.outcome, report.longrepr = "failed", "passed its limit; something swallowed the interruption"
    return report


def end_jsii() -> None:
    """End the CDK's runtime, if a test has started it: it would end with this process, after the sweep."""
    if (runtime := sys.modules.get("jsii._runtime")) is not None:
        runtime.kernel.provider._process.stop()
