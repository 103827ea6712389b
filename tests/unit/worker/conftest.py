"""Hosted sessions on storage in memory, with a scripted model and clients that only remember what they were sent."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from strands import tool
from strands.bidi import BidiAgent

from segue import LeaseSettings, SegueError
from segue.wire.claims import Claim, ClientAddress
from segue.wire.frames import Ready
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.steady_clock import steady_clock  # noqa: F401 - a fixture
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeConnections, HandledModel, address
from worker.conversation.model_start import ModelStart
from worker.conversation.parts import ConversationParts
from worker.conversation.session import HostedSession
from worker.hosting.host import Host

LEASE = LeaseSettings(duration=5.0, heartbeat=1.0, margin=0.5)


@tool
def weather(city: str) -> str:
    """Say what the weather is.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


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
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="connections",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


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


@dataclass
class World:
    """A host and everything that its sessions touch.

    Attributes:
        host: Under test.
        storage: Shared by all session managers.
        clients: What posts.
        models: Every model that was built, in order.
        happened: What tests want in order: filled by hooks that they install.
        fail_start: Raised by the models that are built from now on.
    """

    storage: MemoryStorage
    clients: FakeConnections
    models: list[HandledModel] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    fail_start: Exception | None = None
    probe: Any = None
    host: Host = field(init=False)

    def begin(self, *, capacity: int = 10, linger_seconds: float = 30.0, acquire_timeout: float = 0.0) -> Host:
        def new_manager(claim: Claim) -> MemorySessionManager:
            return MemorySessionManager(
                claim.session_id,
                principal=claim.principal,
                storage=self.storage,
                durability="gate",
                lease=LEASE,
                acquire_timeout=acquire_timeout,
                holder="w1",
                endpoint="http://w1",
                probe=self.probe,
            )

        def new_agent(manager: Any) -> BidiAgent:
            return self.build_agent(manager)

        self.host = Host(new_manager, new_agent, self.clients, capacity=capacity, linger_seconds=linger_seconds)
        return self.host

    def build_agent(self, manager: Any) -> BidiAgent:
        """The user's function; tests put their own in its place."""
        model = HandledModel()
        model.start_failure = self.fail_start
        self.models.append(model)
        return BidiAgent(model=model, tools=[weather], session_manager=manager)


@pytest.fixture
async def world(storage: MemoryStorage, clients: FakeConnections) -> AsyncIterator[World]:
    made = World(storage, clients)
    made.begin()
    yield made
    for session in made.host.sessions:
        with contextlib.suppress(SegueError):
            await session.stop()
