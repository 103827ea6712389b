"""Hosted sessions on storage in memory, with a scripted model and clients that only remember what they were sent."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import SegueError
from segue.wire.claims import ClientAddress
from segue.wire.frames import Ready
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.mocked_aws import client
from tests.support.steady_clock import steady_clock  # noqa: F401 - a fixture
from tests.support.waiting import eventually
from tests.unit.worker.direct_workers import published_issuer, workers  # noqa: F401 - fixtures
from tests.unit.worker.handoffs import new, old  # noqa: F401 - fixtures
from tests.unit.worker.origins import origin  # noqa: F401 - a fixture
from tests.unit.worker.other_holders import held_at, offered  # noqa: F401 - fixtures
from tests.unit.worker.socket_server import door, issuer_keys, open_door  # noqa: F401 - fixtures
from tests.unit.worker.stand_ins import FakeConnections, HandledModel, address
from tests.unit.worker.worlds import LEASE, World, weather
from worker.conversation.model_start import ModelStart
from worker.conversation.parts import ConversationParts
from worker.conversation.session import HostedSession


@dataclass
class Hosting:
    """One hosted session and what surrounds it."""

    session: HostedSession
    manager: MemorySessionManager
    model: HandledModel
    agent: BidiAgent
    clients: FakeConnections


@pytest.fixture
def dynamodb(aws: None) -> Any:
    """A client of a connections table that is there."""
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="connections",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def clients() -> FakeConnections:
    return FakeConnections()


@pytest.fixture
async def host(storage: MemoryStorage, clients: FakeConnections) -> AsyncIterator[Callable[..., Awaitable[Hosting]]]:
    """Opens and starts hosted sessions; ends what the test leaves."""
    made: list[Hosting] = []

    async def make(*, who: tuple[ClientAddress, ...] = (address(),), start: bool = True, **options: Any) -> Hosting:
        manager = MemorySessionManager(
            storage=storage, **{"durability": "gate", "lease": LEASE, "acquire_timeout": 0.0, **options}
        )
        await manager.open()
        model = HandledModel()
        agent = BidiAgent(model=model, tools=[weather], session_manager=manager)
        hosting = Hosting(
            HostedSession(ConversationParts.wire(manager, ModelStart(agent), clients)), manager, model, agent, clients
        )
        made.append(hosting)
        if start:
            await hosting.session.start(who)
            for one in who:
                await eventually(lambda at=one.connection_id: clients.of(at, Ready))
        return hosting

    yield make
    for hosting in made:
        hosting.model.free.set()
        with contextlib.suppress(SegueError):
            await hosting.session.stop()
        if not hosting.session.ended.is_set():
            await hosting.session.drop()


@pytest.fixture
def unused_port() -> int:
    """A port on loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def world(storage: MemoryStorage, clients: FakeConnections) -> AsyncIterator[World]:
    made = World(storage, clients)
    made.begin()
    yield made
    for session in made.host.sessions:
        with contextlib.suppress(SegueError):
            await session.stop()
