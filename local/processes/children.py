"""Child processes that never outlive this one: each in a process group of its own, all known to a guard process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.errors import LocalError
from local.processes.forks import Forks
from local.settings import ROOT, Settings

TAIL_LINES = 15
KEPT_WORKER_LOGS = 20
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
INHERITED_PREFIXES = ("UV_", "JSII_", "OTEL_")
"""Variables that children get from the caller. Not the caller's AWS settings: nothing here may reach a real account."""

AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that are valid nowhere; the emulator takes any."""

# Ended in this order when the supervisor dies: tools, then workers (they hand their sessions back), then the emulator.
LAYER_EMULATOR, LAYER_WORKER, LAYER_TOOL = 0, 1, 2


def base_environment() -> dict[str, str]:
    """Return the environment that every child starts from."""
    return {n: value for n, value in os.environ.items() if n in INHERITED or n.startswith(INHERITED_PREFIXES)}


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, for an error message; empty if there is none."""
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""


def prune_logs(settings: Settings) -> None:
    """Remove the logs of workers of long ago; every worker has one of its own."""
    logs = sorted(settings.logs.glob("worker-*.log"), key=lambda log: log.stat().st_mtime)
    for log in logs[:-KEPT_WORKER_LOGS]:
        log.unlink()


class Process(Protocol):
    """A process: asyncio's handle, or that of a forked one."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end, and return the exit code."""


@dataclass(eq=False)
class Child:
    """A running child process.

    Attributes:
        name: For people and log lines.
        process: The handle; its pid is also its process group.
        log: File that gets everything it prints.
        guard: Where it is registered.
    """

    name: str
    process: Process
    log: Path
    guard: Guard

    @property
    def pid(self) -> int:
        """Process id, and process group id."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self.process.returncode

    async def wait(self) -> int:
        """Wait for the end, take the rest of its group with it, and return the exit code."""
        code = await self.process.wait()
        # Before the guard forgets the group: what the process itself started must not stay behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.guard.remove(self.pid)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Signal the process alone, as a container runtime signals the first process of a container."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole group."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace: float) -> int:
        """SIGTERM, and SIGKILL ``grace`` seconds later; returns the exit code. A stopped process is woken first."""
        try:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()
        except asyncio.CancelledError:
            self.kill()
            raise


class Guard:
    """The pipe to ``local.processes.guard``, which ends what is registered here if this process dies before."""

    def __init__(self, forks: Forks | None = None) -> None:
        """Get ready.

        Args:
            forks: Forks the programs that ``run`` runs; None: each is started in an interpreter of its own.
        """
        self._process: asyncio.subprocess.Process | None = None
        self._forks = forks

    async def start(self, *, keep_open: Sequence[int] = ()) -> None:
        """Start the guard process.

        Args:
            keep_open: File descriptors that it holds for as long as it works (the lock of this home).
        """
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local.processes.guard",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT, env=base_environment(), start_new_session=True, pass_fds=tuple(keep_open),
        )  # fmt: skip

    def add(self, group: int, layer: int, grace: float) -> None:
        """Register a process group."""
        self._write(f"add {group} {layer} {grace}\n")

    def remove(self, group: int) -> None:
        """Forget a process group whose members have all been waited for."""
        self._write(f"remove {group}\n")

    async def stop(self) -> None:
        """Let the guard go; it ends what is still registered."""
        if self._forks is not None:
            await self._forks.stop()
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        await self._process.wait()
        self._process = None

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line.encode())

    async def spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        log: Path,
        layer: int,
        grace: float,
        on_terminal: bool = False,
    ) -> Child:
        """Start a child in a session and process group of its own, with its output in a file.

        Args:
            name: For people.
            command: Program and arguments.
            environment: Its whole environment.
            log: File its output is appended to.
            layer: When the guard would end it (``LAYER_…``).
            grace: Seconds the guard would give it between SIGTERM and SIGKILL.
            on_terminal: Leave it in this process's session, so that it may take the terminal for a while.

        Raises:
            LocalError: The program cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *map(str, command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=ROOT,
                    env=dict(environment),
                    start_new_session=not on_terminal,
                    process_group=0 if on_terminal else None,
                )
            except OSError as error:
                msg = f"{name} cannot be started ({error}); run `make setup`."
                raise LocalError(msg) from error
        self.add(process.pid, layer, grace)
        return Child(name=name, process=process, log=log, guard=self)

    async def run(
        self,
        name: str,
        module: str,
        *,
        python: Path,
        environment: Mapping[str, str],
        log: Path,
        layer: int,
        grace: float,
    ) -> Child:
        """Run ``python -m module`` as a child; the other arguments are those of ``spawn``.

        Raises:
            LocalError: It cannot be started.
        """
        if self._forks is None:
            command = [str(python), "-m", module]
            return await self.spawn(name, command, environment=environment, log=log, layer=layer, grace=grace)
        log.parent.mkdir(parents=True, exist_ok=True)
        process = await self._forks.fork(module, environment, log)
        self.add(process.pid, layer, grace)
        return Child(name=name, process=process, log=log, guard=self)
