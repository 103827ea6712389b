"""Worker processes behind relays, deployed anew, killed and stopped on demand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
import signal
import time
from dataclasses import dataclass
from typing import Final, Self

from local.deployment.outputs import Deployment
from local.errors import LocalError
from local.processes.children import Guard, base_environment
from local.processes.ports import ReservedPort
from local.settings import LOOPBACK, Settings
from local.stack.addresses import targets_of
from local.workers import worker_process
from local.workers.balancer import Balancer
from local.workers.worker_process import Worker, forks_of
from segue import LeaseSettings
from tests.chaos.faults import FaultInjector, FaultRates
from tests.chaos.relays import HttpRelay
from tests.support.waiting import eventually

STOP_SECONDS: Final = 120.0
"""Seconds from SIGTERM to SIGKILL, as in the task definition."""

LEASE_SECONDS: Final = 4.0
SHORT_LEASE: Final = LeaseSettings(LEASE_SECONDS, heartbeat=1.0)


@dataclass(eq=False)
class Member:
    """A worker, and what stands around it.

    Attributes:
        worker: The process.
        relay: Before it: frames come through it.
        storage: Behind it: between it and DynamoDB, S3 and SQS.
        leaving: True once other workers have been started in its place.
        ready: True once it answers.
    """

    worker: Worker
    relay: HttpRelay
    storage: HttpRelay
    leaving: bool = False
    ready: bool = False


class Fleet:
    """A service's workers.

    Attributes:
        injectors: The injector of faults on each hop, by name.
        hurried: When a worker that drained was told once more to end, on the monotonic clock; the platform never does.
    """

    def __init__(
        self,
        settings: Settings,
        deployment: Deployment,
        size: int,
        faults: FaultRates,
        dice: random.Random,
        *,
        lease: LeaseSettings = SHORT_LEASE,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            settings: Where things are.
            deployment: What is deployed.
            size: How many workers there are.
            faults: Rates of faults on every hop.
            dice: Decides everything.
            lease: Of the workers' sessions; default: a short one, so that waiting for its end takes no long run.
        """
        self.hurried: list[float] = []
        self._lease = lease
        self.injectors = {name: FaultInjector(faults, dice) for name in ("frames", "connections", "storage")}
        self._settings = settings
        self._deployment = deployment
        self._size = size
        self._guard = Guard(forks_of(settings))
        self._members: list[Member] = []
        self._versions = itertools.count(1)
        self._connections = HttpRelay(deployment.endpoint, self.injectors["connections"])
        self._balancer = Balancer(lambda: targets_of(member.worker for member in self._members), dice)
        self._open = contextlib.AsyncExitStack()

    @property
    def direct_url(self) -> str:
        """Address of the balancer before the workers' own sockets, where they have some."""
        return self._balancer.url

    async def __aenter__(self) -> Self:
        await self._guard.start()
        self._open.push_async_callback(self._guard.stop)
        try:
            await self._open.enter_async_context(self._connections)
            await self._launch()
            self._open.push_async_callback(self._balancer.stop)
            await self._balancer.start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self._members:
            member.worker.child.kill()
        for member in list(self._members):
            await self._bury(member)
        await self._open.aclose()

    def has(self, worker_id: str) -> bool:
        """Return true if a worker runs, or has been stopped and may go on."""
        return self._find(worker_id) is not None

    async def complete(self) -> None:
        """Wait until as many workers as there are to be answer, beside those that leave."""
        await eventually(lambda: sum(member.ready and not member.leaving for member in self._members) >= self._size)

    async def redeploy(self) -> None:
        """Bring up as many new workers, then drain the old ones."""
        old = list(self._members)
        for member in old:
            member.leaving = True
        await self._launch()
        await asyncio.gather(*(self._drain(member) for member in old))

    async def kill(self, worker_id: str) -> None:
        """Kill a worker, and start another."""
        member = self._find(worker_id)
        if member is not None:
            member.worker.child.kill()
            await self._bury(member)
            if not member.leaving:
                await self._fill_up()

    async def suspend(self, worker_id: str, seconds: float) -> None:
        """Suspend a worker for a while, then resume it."""
        member = self._find(worker_id)
        if member is not None:
            member.worker.child.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                member.worker.child.signal(signal.SIGCONT)

    async def partition(self, worker_id: str, seconds: float) -> None:
        """Keep a worker, which goes on to hear and speak, from all that it stores and asks for, for a while."""
        member = self._find(worker_id)
        if member is not None:
            member.storage.partition()
            try:
                await asyncio.sleep(seconds)
            finally:
                member.storage.heal()

    def _find(self, worker_id: str) -> Member | None:
        return next((member for member in self._members if member.worker.id == worker_id), None)

    async def _launch(self) -> None:
        version = f"{next(self._versions):06}"
        self._deployment = Deployment(
            self._deployment.endpoint,
            self._deployment.outputs,
            {**self._deployment.worker_environment, "SEGUE_WORKER_VERSION": version},
        )
        await self._fill_up(self._size)

    async def _fill_up(self, count: int = 1) -> None:
        members = [await self._start() for _ in range(count)]
        self._members += members
        await asyncio.gather(*map(_ready, members))

    async def _start(self) -> Member:
        worker_id, reserved = f"w-{secrets.token_hex(3)}", ReservedPort()
        relay = HttpRelay(f"http://{LOOPBACK}:{reserved.number}", self.injectors["frames"])
        deployment = self._deployment
        storage = HttpRelay(deployment.endpoint, self.injectors["storage"])
        await relay.__aenter__()
        await storage.__aenter__()
        api_path = deployment.management_endpoint.removeprefix(deployment.endpoint)
        variables = worker_process.environment(
            self._settings, deployment, worker_id, reserved.number, base_environment()
        ) | {
            "AWS_ENDPOINT_URL": storage.url,
            "SEGUE_MANAGEMENT_ENDPOINT": f"{self._connections.url}{api_path}",
            "SEGUE_WORKER_ENDPOINT": relay.url,
            "SEGUE_LEASE_SECONDS": str(self._lease.duration),
            "SEGUE_HEARTBEAT_SECONDS": str(self._lease.heartbeat),
        }
        child = await worker_process.run(self._settings, self._guard, worker_id, variables)
        return Member(Worker(id=worker_id, deployment=deployment, reserved=reserved, child=child), relay, storage)

    async def _drain(self, member: Member) -> None:
        if member.worker.state == "draining":
            self.hurried.append(time.monotonic())
        member.worker.state = "draining"
        await member.worker.child.stop(STOP_SECONDS)
        await self._bury(member)

    async def _bury(self, member: Member) -> None:
        await member.worker.child.wait()
        member.worker.reserved.release()
        if member in self._members:
            self._members.remove(member)
            await member.relay.__aexit__()
            await member.storage.__aexit__()


async def _ready(member: Member) -> None:
    try:
        await member.worker.until_ready()
        member.ready = True
    except LocalError:
        if not member.leaving:  # else a redeployment that overlaps with this one has drained it already
            raise
