"""Processes forked from a server that has imported what takes two seconds to import; a test process has one server.

test process ──▶ fork server: imports libraries, runs nothing ──▶ a writer (``tests.integration.writer``)
                                                              └─▶ a worker: ``python -m worker``, from its first line
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import connection
from pathlib import Path
from typing import TextIO, cast

from tests.support.waiting import eventually_sync

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        *("strands.bidi", "boto3", "s3transfer.manager", "aiohttp.web", "jwt", "cryptography.x509", "msgspec"),
        *("aws_lambda_powertools", "opentelemetry.sdk.trace"),
        # The worker's logger and metrics read variables when they are imported, of which no test has any.
        *("worker.app", "tests.integration.writer", "tests.support.warm_models"),
    ]
)

_lock = threading.Lock()
"""A process's end is told once, by a pipe: of two threads that look at once the second reads 255. Starts look, too."""


def warm_up() -> None:
    """Return when the server has imported everything: the first process would come seconds later than all others."""
    process = processes.Process(target=os.getpid)
    process.start()
    process.join()


class ForkedWorker:
    """A worker process, in a process group of its own. Its constructor blocks for some milliseconds.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it.

        Args:
            environment: Its whole environment.
            log: File that gets everything it prints.
        """
        self._process = processes.Process(target=_work, args=(dict(environment), str(log)), daemon=True)
        with _lock:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        with contextlib.suppress(ProcessLookupError):  # it has ended
            # Until then a signal to its group would reach nothing.
            eventually_sync(lambda: os.getpgid(self.pid) == self.pid)

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        with _lock:
            return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, if it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def join(self) -> None:
        """Wait until it has ended."""
        connection.wait([self._process.sentinel])
        with _lock:
            self._process.join()

    async def wait(self) -> int:
        """Wait until it has ended, and return the exit code."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        sentinel = os.dup(self._process.sentinel)  # several may wait
        loop.add_reader(sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(sentinel)
            os.close(sentinel)
        with _lock:
            self._process.join()
            return cast("int", self._process.exitcode)


def _work(environment: dict[str, str], log: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
        cast("TextIO", stream).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    os.close(output)
    sys.argv = ["worker"]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
