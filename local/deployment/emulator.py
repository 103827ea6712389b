"""The AWS emulator: MiniStack in its own environment, on loopback, with its state kept over a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from local.deployment.empty_emulator import emulator_environment
from local.deployment.emulator_program import UNPACKED
from local.errors import LocalError
from local.processes.children import (
    AWS_ENVIRONMENT,
    LAYER_EMULATOR,
    Child,
    Guard,
    base_environment,
    tail,
)
from local.processes.ports import ReservedPort, kept_port, port_is_free
from local.settings import LOOPBACK, Settings
from local.timeouts import patient

PROGRAM = ("-P", str(Path(__file__).with_name("emulator_program.py")))
"""Arguments of the emulator's Python: MiniStack, closed to websites."""

START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it, and checked
MEMORY_BYTES = 1 << 30
"""Free room that the file system in memory must have: beside small files, it gets each archive of code and layers
before it is looked at (``unpacked``)."""


def scratch_folder(settings: Settings, memory: Path = MEMORY) -> Path:
    """Return where temporary files go: into memory if there is room.

    For every function it runs the emulator writes the archives of the function's layers, and it removes them while the
    function is updated and every other request waits. On a slow disk that takes longer than a lease lives.

    Args:
        settings: Names the folder to fall back on.
        memory: A file system in memory.
    """
    name = hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]
    folder = memory / f"segue-{os.getuid()}-{name}"
    try:
        if shutil.disk_usage(memory).free >= MEMORY_BYTES:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat(follow_symlinks=False).st_uid == os.getuid() and not folder.is_symlink():
                return folder
    except OSError:
        pass  # there is no such file system here, or it is not ours to use
    return settings.temporary


def environment(settings: Settings, port: int, scratch: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the emulator's whole environment; the Lambda functions it runs inherit it.

    Args:
        settings: Where state goes.
        port: TCP port to listen on.
        scratch: Where temporary files go.
        inherited: The part of the caller's environment that children get.
    """
    binaries = settings.emulator_python.parent
    return {
        **inherited,
        **AWS_ENVIRONMENT,
        "PATH": f"{binaries}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        **emulator_environment(port, scratch),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(settings.state / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(settings.state / "s3"),
        UNPACKED: str(settings.unpacked),
    }


def choose_port(settings: Settings) -> int:
    """Return the port to listen on: the configured one, the one used last time, or any free one.

    The last one is preferred because saved state (queue URLs) names it.

    Raises:
        LocalError: The configured port is in use.
    """
    if settings.port:
        if not port_is_free(settings.port):
            msg = (
                f"port {settings.port} on {LOOPBACK} is in use: stop what listens there, or choose another with --port."
            )
            raise LocalError(msg)
        return settings.port
    return kept_port(_port_file(settings))


def _port_file(settings: Settings) -> Path:
    return settings.state / "port"


class Emulator:
    """One emulator process.

    Attributes:
        url: Its endpoint, what AWS_ENDPOINT_URL is set to.
        child: The process, once started.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self.url = ""
        self.child: Child | None = None
        self._settings = settings
        self._guard = guard
        self._scratch: Path | None = None

    @property
    def running(self) -> bool:
        """True if there is a process to stop."""
        return self.child is not None and self.child.exit_code is None

    @property
    def log(self) -> Path:
        """Path of the emulator's log."""
        return self._settings.logs / "emulator.log"

    def check(self) -> None:
        """Say early what is missing.

        Raises:
            LocalError: Its environment is not there, or the configured port is in use.
        """
        if not self._settings.emulator_python.exists():
            msg = "the emulator is not installed: run `make setup`."
            raise LocalError(msg)
        choose_port(self._settings)

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            LocalError: The port is in use, or it does not come up in time.
        """
        port = choose_port(self._settings)
        try:
            reserved = ReservedPort(port)
        except OSError as error:
            msg = f"port {port} on {LOOPBACK} was taken by another program meanwhile: try again."
            raise LocalError(msg) from error
        with reserved:
            await self._start(port)

    async def _start(self, port: int) -> None:
        settings = self._settings
        scratch = self._scratch = scratch_folder(settings)
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed one has left
        scratch.mkdir(mode=0o700, parents=True)
        for folder in (settings.state / "services", settings.state / "s3"):
            folder.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        _port_file(settings).write_text(f"{port}\n", encoding="utf-8")
        self.url = f"http://{LOOPBACK}:{port}"
        self.child = await self._guard.spawn(
            "emulator",
            [settings.emulator_python, *PROGRAM],
            environment=environment(settings, port, scratch, base_environment()),
            log=self.log,
            layer=LAYER_EMULATOR,
            grace=STOP_SECONDS,
        )
        try:
            limit = patient(START_SECONDS)
            async with asyncio.timeout(limit):
                await self._until_ready()
        except TimeoutError as error:
            msg = f"the emulator did not answer on {self.url} within {limit:.0f} s; its output: {self.log}"
            raise LocalError(msg) from error

    async def _until_ready(self) -> None:
        assert self.child is not None  # noqa: S101 - set by start, the only caller
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while True:
                if self.child.exit_code is not None:
                    msg = f"the emulator ended at once (exit code {self.child.exit_code}):\n{tail(self.log)}"
                    raise LocalError(msg)
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"{self.url}/_ministack/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop it cleanly (it saves its state on SIGTERM, and only then) and remove its temporary files."""
        if self.child is not None:
            await self.child.stop(STOP_SECONDS)
            self.child = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
