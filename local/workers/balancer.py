"""TCP balancer of the local stack: what a Network Load Balancer is to the workers' own sockets in AWS.

    client ──TCP──▶ balancer ──TCP──▶ any worker whose sockets' port answers ``/health`` with 200

As the real one it chooses a worker for each new connection and for its whole life, knows nothing of what is said, and
leaves connections alone when their worker drains or fails its checks. For a while it still sends a few new ones to a
worker that drains, which closes them with 1013. If no worker is healthy, all of them are tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import aiohttp

from local.settings import LOOPBACK

CHECK_SECONDS: Final = 0.5
"""Between two checks of a worker; AWS's shortest is 5 s, too long for a developer who waits."""

ANSWER_SECONDS: Final = 1.0
"""A check that takes longer has failed."""

FAILURES: Final = 2
"""Checks in a row after which a worker counts as unhealthy."""

LEAVING_SECONDS: Final = 5.0
"""For so long a draining worker still gets new connections; up to two minutes are reported of the real one."""

LEAVING_SHARE: Final = 0.2
"""The share of new connections that draining workers get meanwhile."""

PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Target:
    """A worker, as the balancer sees it.

    Attributes:
        name: The worker's id.
        port: Its loopback port for sockets.
        leaving: Whether it drains.
    """

    name: str
    port: int
    leaving: bool = False


@dataclass
class _TargetHealth:
    failures: int = FAILURES  # unhealthy until the first good answer
    left_at: float | None = None

    @property
    def healthy(self) -> bool:
        return self.failures < FAILURES


class Balancer:
    """Spreads connections over workers.

    Attributes:
        port: Where it listens, once started.
    """

    def __init__(self, targets: Callable[[], Iterable[Target]], dice: random.Random | None = None) -> None:
        """Get ready.

        Args:
            targets: Returns the workers there are now.
            dice: Chooses.
        """
        self.port = 0
        self._targets = targets
        self._dice = dice or random.Random()  # noqa: S311 - chooses a worker, and keeps no secret
        self._health: dict[str, _TargetHealth] = {}
        self._server: asyncio.Server | None = None
        self._checking: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Address that clients connect to."""
        return f"ws://{LOOPBACK}:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Look at the workers, then listen.

        Args:
            port: Loopback port, 0 for any free one.
        """
        await self._check_all()
        self._server = await asyncio.start_server(self._serve_connection, LOOPBACK, port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._checking = asyncio.create_task(self._check(), name="balancer checks")

    async def stop(self) -> None:
        """Take nothing more, and break what is open."""
        tasks = [*self._connections, *([self._checking] if self._checking else [])]
        if self._server is not None:
            self._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def choose(self, now: float) -> Target | None:
        """Choose the worker of a new connection; None if there is none."""
        targets = list(self._targets())
        for target in targets:
            health = self._health.setdefault(target.name, _TargetHealth())
            if target.leaving and health.left_at is None:
                health.left_at = now
        healthy = [target for target in targets if self._health[target.name].healthy]
        staying = [target for target in healthy if not target.leaving]
        leaving = [target for target in healthy if target.leaving and self._takes_connections(target, now)]
        if staying and leaving:
            return self._dice.choice(leaving if self._dice.random() < LEAVING_SHARE else staying)
        candidates = staying or leaving or targets
        return self._dice.choice(candidates) if candidates else None

    def _takes_connections(self, target: Target, now: float) -> bool:
        left_at = self._health[target.name].left_at
        return left_at is not None and now - left_at < LEAVING_SECONDS

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._check_all()

    async def _check_all(self) -> None:
        targets = list(self._targets())
        for name in self._health.keys() - {target.name for target in targets}:
            del self._health[name]
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            answers = await asyncio.gather(*(_is_well(http, target) for target in targets))
        for target, is_well in zip(targets, answers, strict=True):
            health = self._health.setdefault(target.name, _TargetHealth())
            health.failures = 0 if is_well else health.failures + 1

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler of a connection runs in one
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        target = self.choose(asyncio.get_running_loop().time())
        try:
            if target is None:
                return
            with contextlib.suppress(OSError):
                await _join(reader, writer, *await asyncio.open_connection(LOOPBACK, target.port))
        finally:
            writer.transport.abort()  # nothing happens after a clean end


async def _is_well(http: aiohttp.ClientSession, target: Target) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(f"http://{LOOPBACK}:{target.port}/health") as answer:
            return answer.status == 200
    return False


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    worker_reader: asyncio.StreamReader,
    worker_writer: asyncio.StreamWriter,
) -> None:
    """Pass bytes on both ways, until both have ended or one breaks."""
    try:
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_pass_on(reader, worker_writer))
            ways.create_task(_pass_on(worker_reader, writer))
    except* OSError:
        pass  # one end is gone: the other hears of it as it would of a router
    finally:
        for end in (writer, worker_writer):
            end.close()
        worker_writer.transport.abort()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
    sink.write_eof()
