"""The balancer of the local stack: new connections go to healthy workers, and open ones are left alone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from local.settings import LOOPBACK
from local.workers.balancer import LEAVING_SECONDS, Balancer, Target
from tests.support.waiting import eventually, promptly


class StandIn:
    """A worker's sockets' port: says its name to each connection, and answers ``/health`` as it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        self.checks = 0
        self.leaving = False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._server.close_clients()
        await self._server.wait_closed()

    @property
    def target(self) -> Target:
        return Target(self.name, self.port, self.leaving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line.startswith(b"GET /health"):
            self.checks += 1
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % self.status)
        else:
            writer.write(self.name.encode() + b" " + line)
            while piece := await reader.read(1000):
                writer.write(piece)
            writer.write(b"end")
        await writer.drain()
        writer.close()


@pytest.fixture
async def workers() -> AsyncIterator[list[StandIn]]:
    made = [StandIn(name) for name in ("a", "b")]
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.stop()


@pytest.fixture
async def balancer(workers: list[StandIn]) -> AsyncIterator[Balancer]:
    made = Balancer(lambda: [each.target for each in workers], random.Random(1))
    await made.start()
    yield made
    await made.stop()


def chosen(balancer: Balancer, now: float, times: int = 200) -> Counter[str]:
    return Counter(target.name for _ in range(times) if (target := balancer.choose(now)) is not None)


async def test_balancer_passes_bytes_both_ways_until_each_side_ends(balancer):
    reader, writer = await asyncio.open_connection(LOOPBACK, balancer.port)
    writer.write(b"hello\n")
    assert await promptly(reader.readline()) in {b"a hello\n", b"b hello\n"}
    writer.write(b"x" * 300_000)
    assert await promptly(reader.readexactly(300_000)) == b"x" * 300_000
    writer.write_eof()
    assert await promptly(reader.read()) == b"end", "the other way is open until its own end"
    writer.close()


async def test_balancer_spreads_new_connections_over_workers(balancer):
    counts = chosen(balancer, 0.0)
    assert min(counts["a"], counts["b"]) > 60


@pytest.mark.slow
async def test_a_worker_that_fails_its_checks_gets_no_new_connections_and_keeps_its_own(balancer, workers):
    while True:
        reader, writer = await asyncio.open_connection(LOOPBACK, balancer.port)
        writer.write(b"hello\n")
        if (await promptly(reader.readline())).startswith(b"b"):
            break
        writer.close()
    workers[1].status = 503
    await eventually(lambda: set(chosen(balancer, 0.0)) == {"a"})
    writer.write(b"still there\n")
    assert await promptly(reader.readline()) == b"still there\n"
    writer.close()
    workers[1].status = 200
    await eventually(lambda: set(chosen(balancer, 0.0)) == {"a", "b"})


async def test_a_worker_that_drains_gets_a_few_for_a_while(balancer, workers):
    workers[1].leaving = True
    counts = chosen(balancer, 100.0)
    assert 10 < counts["b"] < 80
    assert set(chosen(balancer, 100.0 + LEAVING_SECONDS)) == {"a"}


@pytest.mark.slow
async def test_all_workers_are_tried_if_none_is_healthy(balancer, workers):
    for each in workers:
        each.status = 500
    checks = [each.checks for each in workers]
    await eventually(lambda: all(each.checks >= before + 3 for each, before in zip(workers, checks, strict=True)))
    assert set(chosen(balancer, 0.0)) == {"a", "b"}


async def test_a_connection_is_closed_if_there_are_no_workers(workers):
    balancer = Balancer(list)
    await balancer.start()
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, balancer.port)
        with pytest.raises((ConnectionError, EOFError)):
            await promptly(reader.readexactly(1))
        writer.close()
    finally:
        await balancer.stop()


@pytest.mark.slow
async def test_a_worker_that_is_gone_ends_its_connections_and_is_not_chosen(balancer, workers):
    reader, writer = await asyncio.open_connection(LOOPBACK, balancer.port)
    writer.write(b"hello\n")
    name = (await promptly(reader.readline())).decode()[0]
    gone = next(each for each in workers if each.name == name)
    await gone.stop()
    assert await promptly(reader.read()) == b""
    writer.close()
    await eventually(lambda: set(chosen(balancer, 0.0)) == {"a", "b"} - {name})
    await gone.start()


async def test_the_end_of_the_balancer_is_that_of_its_connections(balancer):
    reader, writer = await asyncio.open_connection(LOOPBACK, balancer.port)
    writer.write(b"hello\n")
    await promptly(reader.readline())
    await balancer.stop()
    with pytest.raises((ConnectionError, EOFError)):
        await promptly(reader.readexactly(1))
    writer.close()
