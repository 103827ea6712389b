"""The relay of HTTP: what a partition does to those behind it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import CloseCode

from tests.chaos.faults import NO_FAULTS, FaultInjector
from tests.chaos.relays import LOOPBACK, HttpRelay, SocketRelay
from tests.support.waiting import eventually, promptly, within


@dataclass
class Storage:
    """A server that notes what it is asked for, and answers when it is told to."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        self.came.set()
        await self.answers.wait()
        return web.Response(text="done")


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    storage = Storage()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", storage.serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    storage.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    yield storage
    storage.answers.set()
    await runner.cleanup()


async def ask(url: str) -> str:
    """Ask with what aiohttp does not send again by itself."""
    async with aiohttp.ClientSession() as http, http.post(url) as answer:
        return await answer.text()


async def test_a_partition_swallows_requests_and_answers_until_it_heals(storage: Storage) -> None:
    async with HttpRelay(storage.url, FaultInjector(NO_FAULTS, random.Random(1))) as relay:
        under_way = asyncio.create_task(ask(f"{relay.url}/before"))
        await storage.came.wait()
        relay.partition()
        storage.answers.set()
        lost = asyncio.create_task(ask(f"{relay.url}/meanwhile"))
        await eventually(lambda: relay.swallowed == 2)
        assert not under_way.done()
        assert not lost.done()
        relay.heal()
        for request in (under_way, lost):
            with pytest.raises(aiohttp.ClientError):
                await request
        assert await ask(f"{relay.url}/after") == "done"
    assert storage.asked == ["/before", "/after"]


async def test_a_relay_ends_in_a_partition(storage: Storage) -> None:
    async with within(10.0), HttpRelay(storage.url, FaultInjector(NO_FAULTS, random.Random(1))) as relay:
        relay.partition()
        lost = asyncio.create_task(ask(relay.url))
        await eventually(lambda: relay.swallowed)
    with pytest.raises(aiohttp.ClientError):
        await lost


async def test_a_client_whose_worker_cannot_be_reached_finds_its_connection_broken(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and not listening: it refuses connections
        bound.bind((LOOPBACK, 0))
        upstream = f"ws://{LOOPBACK}:{bound.getsockname()[1]}/"
        async with SocketRelay(upstream, FaultInjector(NO_FAULTS, random.Random(1)), tmp_path / "log") as relay:
            client = await connect(relay.url)
            with pytest.raises(ConnectionClosedError):
                await promptly(client.recv())
            assert client.close_code == CloseCode.ABNORMAL_CLOSURE
