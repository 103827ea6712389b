"""Damage to the objects of a session, for the tests of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent

from segue import JournalCorrupt
from segue.journal.blocks import unpack
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage

Sessions = Callable[..., Any]


class Vandal:
    """Changes what is stored."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.objects = storage.objects.objects
        self.items = storage.guard.items

    def keys(self, part: str = "") -> list[str]:
        return sorted(
            (key for key in self.objects if part in key), key=lambda key: int(key.rsplit("/", 1)[1].split("-")[0])
        )

    def damaged(self, key: str, damage: Any) -> bytes:
        """An object as it is after damage to its JSON, or to its compressed form."""
        body = self.objects[key]
        return bytes(damage(body if damage is cut_short else unpack(body)))

    def change_item(self, **changes: Any) -> None:
        self.items["default/talk"] = {**self.items["default/talk"], **changes}


@pytest.fixture
async def vandal(storage: MemoryStorage, memory_sessions: Sessions) -> Vandal:
    """Storage with a session of several segments, and another session."""
    for session_id in ("talk", "other"):
        manager = memory_sessions(session_id)
        await manager.open()
        agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
        await agent.invoke_async("Grüße")
        await agent.invoke_async("Two")
        await manager.close()
    return Vandal(storage)


async def corrupt(sessions: Sessions, key: str) -> JournalCorrupt:
    """The error that opening raises, which names the key and leaves no lease behind."""
    for _ in range(2):  # the lease was released, so that a second try gets as far
        with pytest.raises(JournalCorrupt) as found:
            await sessions().open()
        assert found.value.key == key
        assert key in str(found.value)
    return found.value


def cut_short(body: bytes) -> bytes:
    return body[:-9]  # in the compressed form, before its checksum


def newer(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "schema": 2}).encode()
