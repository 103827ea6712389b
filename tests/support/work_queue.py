"""Files that several processes of pytest share, each taking the next ones when it is ready, as a plugin of pytest.

    python -m pytest -n0 -p tests.support.work_queue --queue=FILE

``FILE`` names a test file a line; what is taken is removed, and all end when ``FILE`` is gone. Nothing is collected
that another process runs, and no process is left alone with a long share: ``pytest-xdist`` would collect all files in
each, and a share that is fixed before is a guess.
"""

from __future__ import annotations

import fcntl
import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARES = 24
"""The part of what is left that is taken at once: few files at the end, when it matters who takes them."""


def take(queue: Path) -> list[str]:
    """Take the next files from a queue; none if it is empty, or gone."""
    try:
        file = queue.open("r+")
    except FileNotFoundError:
        return []
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        left = file.read().split()
        count = 1 + len(left) // SHARES
        file.seek(0)
        file.truncate()
        file.write("\n".join(left[count:]))
    return left[:count]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--queue", metavar="FILE", help="take test files from the lines of this file until none is left")


def pytest_configure(config: pytest.Config) -> None:
    name: str | None = config.getoption("queue")
    if name is None:
        return
    if not Path(name).is_file():
        msg = f"--queue={name}: there is no such file"
        raise pytest.UsageError(msg)
    # A shell's background processes ignore interrupts, and Ctrl-C would leave them running.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(WorkQueue(Path(name)), "segue-work-queue")


class WorkQueue:
    """Collects and runs what this process takes from a queue."""

    def __init__(self, queue: Path) -> None:
        self._queue = queue
        self._folders: dict[Path, pytest.Collector] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Collect nothing yet."""
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_directory(self, path: Path) -> Iterator[pytest.Collector | None]:
        """Keep a folder's collector: fixtures of its ``conftest.py`` belong to the one for which they were read."""
        fresh: pytest.Collector | None = yield
        return fresh if fresh is None else self._folders.setdefault(path, fresh)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what is taken. A file that cannot be collected has failed, and the others are run."""
        tests = self._taken(session)
        test = next(tests, None)
        while test is not None:
            # Only the very last is followed by none: that is when the fixtures of the session end.
            following = next(tests, None)
            test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            test = following
        session.testscollected = max(session.testscollected, 1)  # that others took all is no failure
        return True

    def _taken(self, session: pytest.Session) -> Iterator[pytest.Item]:
        collected = 0
        while files := take(self._queue):
            gc.disable()  # as in tests/conftest.py: nothing that is imported becomes garbage
            try:
                tests = session.perform_collect(files)
            finally:
                gc.enable()
            collected += len(tests)
            session.testscollected = collected
            yield from tests
