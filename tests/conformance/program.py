"""The client under test: a process that takes commands and gives reports, one JSON object a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from tests.support.waiting import within

LINES_KEPT = 40
"""Lines of the program's standard error that a failure shows."""

LONGEST_LINE_BYTES = 8 * 1024 * 1024

LEAVE_SECONDS = 10.0
"""Seconds that the program has to end after its last command."""


class ProgramEnded(Exception):  # noqa: N818 - reads as what happened
    """Raised when the program has ended, or never began: see its standard error."""


class Program:
    """The program, and who listens to each of its conversations.

    Attributes:
        name: as it calls itself.
        can: its abilities.
        complaints: the end of its standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.name = "?"
        self.can: frozenset[str] = frozenset()
        self.complaints: deque[str] = deque(maxlen=LINES_KEPT)
        self._process = process
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._introduced = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._read_complaints())]

    @classmethod
    async def start(cls, command: str) -> Self:
        """Start it, and wait until it has said what it can."""
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE_BYTES,
            start_new_session=True,
        )
        program = cls(process)
        try:
            async with within():
                await program._introduced
        except BaseException:
            await program.end()
            raise
        return program

    def listen(self, case: str, listener: Callable[[dict[str, Any]], None]) -> None:
        """Have the reports of a conversation go to a listener."""
        self._listeners[case] = listener

    def tell(self, case: str, command: dict[str, Any]) -> None:
        """Give a command of a conversation."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"case": case, **command}).encode() + b"\n")

    async def end(self) -> None:
        """End it: by the end of its input, then by force."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with within(LEAVE_SECONDS):
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            report = json.loads(line)
            if "client" in report and not self._introduced.done():
                self.name, self.can = report["client"], frozenset(report["can"])
                self._introduced.set_result(None)
            elif listener := self._listeners.get(report.get("case", "")):
                listener(report)
        ended = ProgramEnded("the program has ended:\n" + "\n".join(self.complaints))
        if not self._introduced.done():
            self._introduced.set_exception(ended)
        for listener in self._listeners.values():
            listener({"broken": str(ended)})

    async def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.complaints.append(line.decode(errors="replace").rstrip())
