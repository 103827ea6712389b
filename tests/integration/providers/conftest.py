"""A fake of each provider on loopback, for Strands' real models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from local.fakes import FAKES, Fake
from tests.support.memory_manager import MemoryStorage
from tests.support.provider_calls import Call
from worker.providers import Settings, build

NewFake = Callable[..., Any]
NewCall = Callable[..., Any]


@pytest.fixture
async def new_fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NewFake]:
    """Starts the fake of a provider; at the end nothing may have been sent that its schema forbids."""
    # The key of no real account, wherever the tests run.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made: list[Fake] = []
    async with AsyncExitStack() as running:

        async def start(name: str, *, pace: float = 0.0) -> Fake:
            fake = await running.enter_async_context(FAKES[name](pace=pace))
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

    async def start(fake: Fake, storage: MemoryStorage, *, connect: bool = True, **variables: str) -> Call:
        call = Call(storage, fake.environment() | variables)
        made.append(call)
        return await call.open(connect=connect)

    yield start
    for call in made:
        await call.clean_up()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()
