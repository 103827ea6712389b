"""The local deployment that is measured, with the processes that a measurement starts on it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measuring import lag
from local.deployment.issuer import Issuer
from local.deployment.outputs import Deployment
from local.processes.children import LAYER_WORKER, Guard, base_environment
from local.processes.ports import ReservedPort
from local.progress import Progress
from local.settings import LOOPBACK, Settings
from local.stack.stack import Stack
from local.workers import worker_process
from local.workers.worker_process import ORPHAN_GRACE_SECONDS, Worker


@dataclass(frozen=True)
class PlainServer:
    """A plain WebSocket server, as a process of its own.

    Attributes:
        pid: The process.
        url: Where it listens.
    """

    pid: int
    url: str


@dataclass
class Place:
    """The local deployment to measure; its workers take clients by the API and at sockets of their own.

    Attributes:
        settings: Where things are.
        deployment: What is deployed.
        issuer: Makes the tokens that let a client in.
        guard: Starts processes, and ends them with this one.
    """

    settings: Settings
    deployment: Deployment
    issuer: Issuer
    guard: Guard

    @property
    def token(self) -> Callable[[], str]:
        """Makes tokens of this machine's user."""
        return self.issuer.token

    @property
    def lag(self) -> Path:
        """File into which a process that is watched writes how late its loop was."""
        return self.settings.home / "lag.json"

    @asynccontextmanager
    async def echo_worker(self, **variables: str) -> AsyncIterator[Worker]:
        """Run one worker whose agent says back what it hears."""
        worker_id = f"echo-{random.randbytes(3).hex()}"
        with ReservedPort() as reserved:
            environment = worker_process.environment(
                self.settings, self.deployment, worker_id, reserved.number, base_environment()
            )
            environment["PYTHONPATH"] += f":{self.settings.root}"
            child = await self.guard.spawn(
                worker_id,
                [self.settings.python, "-m", "benchmarks.wire.echo_agent"],
                environment=environment | {lag.VARIABLE: str(self.lag)} | variables,
                log=self.settings.logs / f"worker-{worker_id}.log",
                layer=LAYER_WORKER,
                grace=ORPHAN_GRACE_SECONDS,
            )
            try:
                worker = Worker(id=worker_id, deployment=self.deployment, reserved=reserved, child=child)
                await worker.until_ready()
                yield worker
            finally:
                await child.stop(30.0)

    @asynccontextmanager
    async def plain_server(self, kind: str) -> AsyncIterator[PlainServer]:
        """Run a plain server.

        Args:
            kind: As ``benchmarks.wire.plain_servers`` names it.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.wire.plain_servers",
            kind,
            stdout=subprocess.PIPE,
            cwd=self.settings.root,
            env={**os.environ, lag.VARIABLE: str(self.lag)},
        )
        try:
            assert process.stdout is not None
            port = int(await process.stdout.readline())
            yield PlainServer(process.pid, f"ws://{LOOPBACK}:{port}")
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def place(home: Path) -> AsyncIterator[Place]:
    """Deploy to an emulator of its own.

    Args:
        home: Folder for everything that is written.
    """
    settings = replace(Settings(), home=home, port=0, workers=0, transport="both")
    guard = Guard()
    async with Stack(settings, Progress()) as stack:
        await guard.start()
        try:
            yield Place(settings, stack.deployment, stack.issuer, guard)
        finally:
            await guard.stop()


def sockets_url(worker: Worker) -> str:
    """Return where clients connect straight to a worker: its sockets' port, with no balancer between."""
    return f"ws://{LOOPBACK}:{worker.sockets_port}"
