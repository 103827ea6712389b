"""Programs forked from a process that has imported their libraries (``local.processes.fork_server``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.errors import LocalError
from local.settings import ROOT


class Forked:
    """A program, as ``asyncio.subprocess.Process`` shows one.

    Attributes:
        pid: Its process id, and process group id.
        returncode: Exit code, negative for a signal; None while it runs.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Wait for its end, and return the exit code."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - set before the event
        return self.returncode

    def kill(self) -> None:
        """SIGKILL its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, code: int) -> None:
        """Take note of its end."""
        self.returncode = code
        self._ended.set()


class Forks:
    """A server and its programs."""

    def __init__(self, libraries: Sequence[str], python: Path = Path(sys.executable)) -> None:
        """Get ready; the server starts with the first program.

        Args:
            libraries: Modules that it imports; none whose code may change while it runs.
            python: Interpreter of the programs.
        """
        self._command = [str(python), "-m", "local.processes.fork_server", *libraries]
        self._server: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._forked: asyncio.Queue[Forked | None] = asyncio.Queue()
        self._programs: dict[int, Forked] = {}
        self._ask_lock = asyncio.Lock()

    async def fork(self, module: str, environment: Mapping[str, str], log: Path) -> Forked:
        """Run ``python -m module`` with its output in a file. If this is cancelled, what was asked for is killed.

        Args:
            module: What to run.
            environment: Its whole environment. The first program's is the server's, too: libraries read it.
            log: File its output is appended to.

        Raises:
            LocalError: The server has ended.
        """
        job = json.dumps({"module": module, "environment": dict(environment), "log": str(log)})
        # An answer that is not waited for would be taken for that to the next question.
        request = asyncio.create_task(self._ask(job, module, environment))
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            request.add_done_callback(_kill_unwanted)
            raise

    async def _ask(self, job: str, module: str, environment: Mapping[str, str]) -> Forked:
        async with self._ask_lock:
            server = self._server or await self._start(environment)
            assert server.stdin is not None  # noqa: S101 - a pipe
            with contextlib.suppress(ConnectionError):  # the queue tells
                server.stdin.write(f"{job}\n".encode())
                await server.stdin.drain()
            forked = await self._forked.get()
        if forked is None:
            msg = f"{module} cannot be started: the process that forks it has ended ({server.returncode}); try again."
            raise LocalError(msg)
        return forked

    async def stop(self) -> None:
        """End the server, and the programs that still run."""
        if self._server is not None and self._server.stdin is not None and self._listening is not None:
            await asyncio.gather(*map(_killed, list(self._programs.values())))
            self._server.stdin.close()
            await self._listening

    async def _start(self, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        server = self._server = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=dict(environment),
            start_new_session=True,
        )
        self._forked, self._programs = asyncio.Queue(), {}
        self._listening = asyncio.create_task(self._listen(server, self._forked, self._programs))
        return server

    async def _listen(
        self,
        server: asyncio.subprocess.Process,
        forked: asyncio.Queue[Forked | None],
        programs: dict[int, Forked],
    ) -> None:
        assert server.stdout is not None  # noqa: S101 - a pipe
        async for line in server.stdout:
            fact = json.loads(line)
            if "code" in fact:
                programs.pop(fact["pid"]).end(fact["code"])
            else:
                program = programs[fact["pid"]] = Forked(fact["pid"])
                forked.put_nowait(program)
        await server.wait()
        self._server = None  # the next program gets another
        for program in programs.values():  # of whose end nothing would tell
            program.kill()
            program.end(-signal.SIGKILL)
        forked.put_nowait(None)


def _kill_unwanted(request: asyncio.Task[Forked]) -> None:
    if not request.cancelled() and request.exception() is None:
        request.result().kill()


async def _killed(program: Forked) -> None:
    program.kill()
    await program.wait()
