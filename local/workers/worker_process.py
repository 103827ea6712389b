"""One worker process, started as ECS would start a task of the deployed task definition."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp

from local.deployment.outputs import Deployment
from local.errors import LocalError
from local.processes.children import AWS_ENVIRONMENT, LAYER_WORKER, Child, Guard, base_environment, tail
from local.processes.forks import Forks
from local.processes.ports import ReservedPort, free_port
from local.settings import LOOPBACK, REGION, Settings
from local.timeouts import patient
from local.workers.debugger import LEASE_SECONDS

READY_SECONDS = 60.0
HEALTH_SECONDS = 1.0
POLL_SECONDS = 0.1
ORPHAN_GRACE_SECONDS = 10.0
"""The signal for a worker whose supervisor has died: its sessions are not lost, only handed on later."""

LIBRARIES: Final = (
    *("strands.bidi", "boto3", "s3transfer.manager", "aiohttp.web", "jwt", "cryptography.x509", "msgspec"),
    *("aws_lambda_powertools", "aws_lambda_powertools.metrics", "opentelemetry.sdk.trace"),
)
"""Modules that take most of a worker's start to import. None of this project: its code may change meanwhile."""

State = Literal["starting", "running", "draining", "stopped"]


def environment(
    settings: Settings, deployment: Deployment, worker_id: str, port: int, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return a worker's whole environment: the task definition's, with this machine's addresses.

    Args:
        settings: Where the code is.
        deployment: What is deployed.
        worker_id: Name of the worker, never used twice.
        port: Loopback port it takes frames on.
        inherited: The part of the caller's environment that children get.
    """
    root = settings.root
    return {
        **inherited,
        **AWS_ENVIRONMENT,
        **deployment.worker_environment,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (root / "functions", root / "layers/session/python")),
        "PYTHONUNBUFFERED": "1",
        "AWS_ENDPOINT_URL": deployment.endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "SEGUE_MANAGEMENT_ENDPOINT": deployment.management_endpoint,
        "SEGUE_WORKER_ID": worker_id,
        "SEGUE_WORKER_HOST": LOOPBACK,
        "SEGUE_BIND_HOST": LOOPBACK,
        "SEGUE_WORKER_PORT": str(port),
        **settings.worker_environment,
        **(debug_environment(settings) if settings.debug else {}),
    }


def debug_environment(settings: Settings) -> dict[str, str]:
    """Return what a worker gets besides, so that a person may look at it while it stands still."""
    folders = (settings.root, settings.root / "functions", settings.root / "layers/session/python")
    return {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "SEGUE_DEBUG": "1",
        "SEGUE_DEBUG_PORT": str(free_port()),
        "SEGUE_LEASE_SECONDS": str(LEASE_SECONDS),
    }


@dataclass(eq=False)
class Worker:
    """A worker process.

    Attributes:
        id: What it calls itself on leases and in the registry.
        deployment: What it was started for.
        reserved: Loopback port it takes frames on, kept for it until it listens or has failed to.
        child: The process.
        state: Where it is in its life; ``draining`` from its SIGTERM on.
        started: When, for people.
        debug_port: Loopback port at which an editor may attach; None: it runs without a debugger.
        sockets_port: Loopback port at which it takes clients' connections, once ready; None: it takes none.
    """

    id: str
    deployment: Deployment
    reserved: ReservedPort
    child: Child
    state: State = "starting"
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    debug_port: int | None = None
    sockets_port: int | None = None

    @property
    def port(self) -> int:
        """Loopback port it takes frames on."""
        return self.reserved.number

    async def health(self) -> dict[str, Any] | None:
        """Ask the worker how it is; None if it does not answer within a second or is not ready."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HEALTH_SECONDS)) as http,
                http.get(f"http://{LOOPBACK}:{self.port}/health") as answer,
            ):
                if answer.status == 200:
                    body: dict[str, Any] = await answer.json()
                    return body
        return None

    async def until_ready(self) -> None:
        """Wait for its first good answer.

        Raises:
            LocalError: It ended, or did not become ready within a minute (on a slow or busy machine several).
        """
        limit = patient(READY_SECONDS)
        try:
            async with asyncio.timeout(limit):
                while self.child.exit_code is None:
                    answer = await self.health()
                    # Where a port cannot be kept, another process may have got it.
                    if answer is not None and answer.get("worker_id") == self.id:
                        self.sockets_port = answer.get("sockets_port")
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            msg = f"worker {self.id} was not ready within {limit:.0f} s; its output: {self.child.log}"
            raise LocalError(msg) from error
        finally:
            self.reserved.release()
        msg = f"worker {self.id} {ending(self.child.exit_code)} before it was ready:\n{tail(self.child.log)}"
        raise LocalError(msg)

    async def facts(self) -> dict[str, Any]:
        """Return what a person or a script wants to know."""
        health = await self.health() if self.state != "stopped" else None
        return {
            "id": self.id,
            "pid": self.child.pid,
            "port": self.port,
            "version": self.deployment.version,
            "state": self.state,
            "started": self.started.isoformat(timespec="milliseconds"),
            "log": str(self.child.log),
            "answers": health is not None,
            "sessions": (health or {}).get("sessions"),
            "room": (health or {}).get("room"),
            "draining": (health or {}).get("draining"),
        }


def ending(exit_code: int | None) -> str:
    """Say how a process ended."""
    if exit_code is not None and exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def forks_of(settings: Settings) -> Forks | None:
    """Return where workers are forked; None if each is started in an interpreter of its own."""
    return Forks(LIBRARIES, settings.python) if settings.forked and not settings.debug else None


async def start(settings: Settings, guard: Guard, deployment: Deployment, worker_id: str) -> Worker:
    """Start a worker; it is not ready yet when this returns."""
    reserved = ReservedPort()
    try:
        variables = environment(settings, deployment, worker_id, reserved.number, base_environment())
        child = await (_run_debugged if settings.debug else run)(settings, guard, worker_id, variables)
    except BaseException:
        reserved.release()
        raise
    debug_port = int(variables["SEGUE_DEBUG_PORT"]) if settings.debug else None
    return Worker(id=worker_id, deployment=deployment, reserved=reserved, child=child, debug_port=debug_port)


async def run(settings: Settings, guard: Guard, worker_id: str, variables: Mapping[str, str]) -> Child:
    """Run the process of a worker.

    Args:
        settings: Where the code is.
        guard: Ends it if this process dies.
        worker_id: Name of the worker.
        variables: Its whole environment.
    """
    return await guard.run(
        f"worker {worker_id}",
        "worker",
        python=settings.python,
        environment=variables,
        log=_log(settings, worker_id),
        layer=LAYER_WORKER,
        grace=ORPHAN_GRACE_SECONDS,
    )


async def _run_debugged(settings: Settings, guard: Guard, worker_id: str, variables: Mapping[str, str]) -> Child:
    return await guard.spawn(
        f"worker {worker_id}",
        [settings.python, "-Xfrozen_modules=off", "-m", "local.workers.debugger"],
        environment=variables,
        log=_log(settings, worker_id),
        layer=LAYER_WORKER,
        grace=ORPHAN_GRACE_SECONDS,
        on_terminal=True,
    )


def _log(settings: Settings, worker_id: str) -> Path:
    return settings.logs / f"worker-{worker_id}.log"
