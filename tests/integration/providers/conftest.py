"""A fake of each provider on loopback, for Strands' real models."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from local.fakes import FAKES, Fake
from segue.wire.frames import Ready
from tests.support.memory_manager import MemoryStorage
from tests.support.provider_calls import Call
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeConnections, address
from worker.conversation.model_start import ModelStart
from worker.conversation.parts import ConversationParts
from worker.conversation.session import HostedSession
from worker.providers import Settings, build, nova
from worker.telemetry.metrics import Model, metrics

NewFake = Callable[..., Any]
NewCall = Callable[..., Any]
Host = Callable[[Call], Awaitable[HostedSession]]
Counted = Callable[[], Counter[str]]


@pytest.fixture(autouse=True)
def nova_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop wait less long for the end of Nova's stream, which never comes after a lost connection."""
    monkeypatch.setattr(nova, "STOP_SECONDS", 0.5)


@pytest.fixture
async def new_fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NewFake]:
    """Starts the fake of a provider; at the end nothing may have been sent that its schema forbids."""
    # The key of no real account, wherever the tests run.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made: list[Fake] = []
    async with AsyncExitStack() as running:

        async def start(name: str) -> Fake:
            fake = await running.enter_async_context(FAKES[name]())
            if (authority := fake.environment().get("SSL_CERT_FILE")) is not None:
                monkeypatch.setenv("SSL_CERT_FILE", authority)
            made.append(fake)
            return fake

        yield start
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)  # the certificate is gone
    for name in FAKES:  # what is a constant of a module is as it was
        build(Settings.from_environment({"SEGUE_PROVIDER": name, "OPENAI_API_KEY": "x", "GEMINI_API_KEY": "x"}))
    assert [problem for fake in made for problem in fake.problems] == []


@pytest.fixture
async def new_call() -> AsyncIterator[NewCall]:
    """Opens calls; ends those that the test leaves."""
    made: list[Call] = []

    async def start(
        fake: Fake, storage: MemoryStorage, *, opened: bool = True, connect: bool = True, **variables: str
    ) -> Call:
        call = Call(storage, fake.environment() | variables)
        made.append(call)
        return await call.open(connect=connect) if opened else call

    yield start
    for call in made:
        await call.clean_up()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def clients() -> FakeConnections:
    return FakeConnections()


@pytest.fixture
async def host(clients: FakeConnections) -> AsyncIterator[Host]:
    """Hosts calls as the worker does, for one client."""
    made: list[HostedSession] = []

    async def start(call: Call) -> HostedSession:
        session = HostedSession(ConversationParts.wire(call.manager, ModelStart(call.agent), clients))  # type: ignore[arg-type]
        made.append(session)
        await session.start((address(),))
        await eventually(lambda: clients.of("k1", Ready))
        return session

    yield start
    for session in made:
        await session.stop()


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Counts of model connections since the test began, or since it last read them."""
    metrics.take_figures()

    def read() -> Counter[str]:
        counts, _, _ = metrics.take_figures()
        return Counter({name: times for name, times in counts.items() if name in set(Model)})

    yield read
    metrics.take_figures()
