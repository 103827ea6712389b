"""Sessions with volumes, for the tests of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue.journal import blocks
from segue.journal.blocks import unpack
from segue.lease.item import GuardItem
from tests.support.memory_manager import Latch, MemoryStorage
from tests.support.sessions import manager_of
from tests.support.waiting import eventually

Sessions = Callable[..., Any]


SECRET = "the number is 4111"


@pytest.fixture
def small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages of two messages make a volume."""
    monkeypatch.setattr(blocks, "PAGE_RECORDS", 2)
    monkeypatch.setattr(blocks, "VOLUME_PAGES", 2)


def item_of(storage: MemoryStorage) -> GuardItem:
    return GuardItem.parse(storage.guard.items["default/talk"])


def holding(storage: MemoryStorage, part: str = "") -> list[str]:
    found = storage.objects.objects.items()
    return [key for key, body in found if part in key and SECRET.encode() in unpack(body)]


def texts(agent: BidiAgent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


async def bound(agent: BidiAgent, storage: MemoryStorage, volumes: str) -> None:
    """Speak until the guard says so."""
    for number in range(100):
        if item_of(storage).volumes.startswith(volumes):
            return
        await agent.send(f"{number}")
        await settled(agent)
    pytest.fail(f"volumes are {item_of(storage).volumes!r} after 100 messages")


async def settled(agent: BidiAgent) -> None:
    """Wait for the binding that is under way, if there is one."""
    binder = manager_of(agent)._session.writer._committer._binder
    await eventually(lambda: binder._binding is None or binder._binding.done())


async def reached(latch: Latch, agent: BidiAgent) -> None:
    """Speak until a request is held up."""
    for _ in range(100):
        if latch._taken:
            return await latch.reached.wait()
        await agent.send("on")
    pytest.fail("nothing was bound in 100 messages")


def tracking_id(agent: BidiAgent) -> str:
    (found,) = [message for message in agent.messages if message["content"][0].get("text") == SECRET]
    return str(found["tracking_id"])
