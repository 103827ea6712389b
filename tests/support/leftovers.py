"""Processes that a run of tests has started and left: they are found by a mark in their environment, and ended.

The sweeper is a process of its own. It sweeps when the run asks for it or has gone, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = "SEGUE_TEST_RUN"
"""Environment variable with the run's id. Processes inherit it; one with an environment of its own is given it."""

GRACE_SECONDS = 3.0
"""Seconds between SIGTERM and SIGKILL."""


class Sweeper:
    """Ends at last what the run has started."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Mark what is started from now on, and start the sweeper."""
        environment = dict(os.environ)
        os.environ[MARK] = run = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-S", __file__, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def sweep(self) -> list[str]:
        """End what is left; return the command lines."""
        if (process := self._process) is None:
            return []
        self._process = None
        return process.communicate()[0].splitlines()


def marked(run: str) -> dict[int, str]:
    """Return the living processes of a run, but for the one that started it, with their command lines."""
    mark = f"{MARK}={run}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


def end(run: str) -> list[str]:
    """End the processes of a run: SIGTERM, then SIGKILL."""
    commands = list((left := marked(run)).values())
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        deadline = time.monotonic() + seconds
        while (left := marked(run)) and time.monotonic() < deadline:
            time.sleep(0.05)
    return commands


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.read()  # until the run has ended or closes it
    for command in end(sys.argv[1]):
        with contextlib.suppress(BrokenPipeError):
            print(command[:200], flush=True)
