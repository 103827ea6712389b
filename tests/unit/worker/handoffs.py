"""Two workers with their listeners on loopback, and a conversation that one hands to the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, Prepared, encode_claim
from segue.wire.frames import InputAck
from shared.registered_worker import RegisteredWorker
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import FakeQueue, claim, delivery, text
from worker.hosting.claims import ClaimTaker
from worker.hosting.drain import DRAIN_TIMES, Drain, DrainTimes
from worker.hosting.host import Host
from worker.hosting.successors import Successors
from worker.server import Listener, Status


class Worker:
    """A host with its real listener on loopback."""

    def __init__(self, world: Any, name: str, version: str, **options: Any) -> None:
        self.name = name
        self.version = version
        self.host: Host = world.begin(acquire_timeout=1.0, **options)
        self.queue = FakeQueue()
        self.claims = ClaimTaker(self.queue, self.host)
        self.token = f"token of {name}"
        self.endpoint = ""
        self.posted: list[bool] = []
        self._listener = Listener(self.host, Status(worker_id=name, version=version), self.claims, self.token)
        prepare = self.claims.prepare

        async def noted(one: Any) -> Prepared:
            self.posted.append(one.prepare)
            return await prepare(one)

        self.claims.prepare = noted  # type: ignore[method-assign]

    async def begin(self) -> Worker:
        self.endpoint = f"http://127.0.0.1:{await self._listener.start('127.0.0.1', 0)}"
        return self

    async def end(self) -> None:
        self.claims.stop()
        await self.host.standbys.clear()
        for session in self.host.sessions:
            await session.stop()
        await self._listener.close()

    @property
    def peer(self) -> RegisteredWorker:
        return RegisteredWorker(self.name, self.endpoint, self.token, self.version, self.host.room)

    @property
    def session(self) -> Any:
        return self.host.find("default/talk")


@pytest.fixture
async def old(world) -> AsyncIterator[Worker]:
    worker = await Worker(world, "old", "1").begin()
    yield worker
    await worker.end()


@pytest.fixture
async def new(world) -> AsyncIterator[Worker]:
    worker = await Worker(world, "new", "2").begin()
    yield worker
    await worker.end()


async def drain(old: Worker, *others: Worker, times: DrainTimes = DRAIN_TIMES) -> None:
    async def peers() -> list[RegisteredWorker]:
        return [other.peer for other in others if other.host.room]

    async with Successors(peers) as successors:
        hurry = asyncio.Event()
        leaving = Drain(old.host, old.claims, old.queue, hurry, successors, old.name, times=times)
        await promptly(leaving.run(), 15)


async def conversation(world, old: Worker, *said: str) -> Any:
    """A session at the old worker in which some was said and answered."""
    await old.host.open_session(claim())
    model = world.models[-1]
    for number, words in enumerate(said, start=1):
        old.session.deliver(delivery(text(words, number)))
        await eventually(lambda one=words: one in model.texts)
        stream = [BidiResponseStartEvent("r"), *spoken(f"Yes, {words}", content_id=words), BidiResponseStopEvent("r")]
        model.emit(stream)
    if said:
        await eventually(lambda: old.session.turn.at_boundary and world.clients.of("k1", InputAck))
        await old.session.durable()  # the acknowledged text may be, and its answer not yet
    return model


async def posted(http: ClientSession, worker: Worker, one: Any, token: str | None = None, **changes: Any) -> int:
    body = encode_claim(msgspec.structs.replace(one, **changes))
    headers = {CLAIMS_TOKEN_HEADER: worker.token if token is None else token}
    async with http.post(worker.endpoint + CLAIMS_PATH, data=body, headers=headers) as answer:
        return answer.status
