"""Strands' Gemini Live model against a fake that speaks its protocol."""

from __future__ import annotations

import pytest

from local.fakes.gemini import FakeGemini
from tests.support.memory_manager import MemoryStorage
from tests.support.provider_calls import Call


@pytest.fixture
async def fake(monkeypatch):
    async with FakeGemini() as made:
        monkeypatch.setenv("SSL_CERT_FILE", made.environment()["SSL_CERT_FILE"])
        yield made
        print(made.problems)
        assert made.problems == []


async def test_first(fake):
    call = await Call(MemoryStorage(), fake.environment()).open()
    await call.ask("My name is Alice", "Hello Alice")
    await call.speak("What's my name?")
    await call.until("Your name is Alice")
    await call.ask("use the tool weather with Paris", "sunny in Paris")
    print(call.transcripts)
    await call.stop()
    print(fake.mind.told)
    call = await Call(call.manager._storage, fake.environment()).open()
    await call.ask("What's my name?", "Your name is Alice")
    print(fake.mind.told)
    await call.stop()
