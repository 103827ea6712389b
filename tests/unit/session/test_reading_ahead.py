"""The session is read while the write that acquires it is on its way, and that is never more than a saving of time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segue import JournalCorrupt
from segue.journal.blocks import PAGE_SEGMENTS
from tests.support.memory_manager import Latch, MemoryStorage, both
from tests.support.sessions import Sessions, item, settled, started
from tests.support.waiting import eventually

MESSAGES = PAGE_SEGMENTS + 3


@pytest.fixture
async def written(memory_sessions: Sessions, storage: MemoryStorage) -> list[str]:
    """A session of a page and a few segments, released; the keys of its objects."""
    manager = memory_sessions()
    agent = await started(manager)
    for number in range(MESSAGES):
        manager.append_message({"role": "user", "content": [{"text": f"m{number}"}]}, agent)
        await manager.flush()
    await agent.stop()
    storage.requests.clear()
    return sorted(storage.objects.objects)


def got(storage: MemoryStorage) -> list[Any]:
    return sorted(key for operation, key in storage.requests if operation == "get")


def shown(manager: Any) -> list[str]:
    return [message["content"][0]["text"] for message in manager.history.agents["default"].messages]


SAID = [f"m{number}" for number in range(MESSAGES)]


async def test_objects_are_read_while_the_lease_is_acquired(
    memory_sessions: Sessions, storage: MemoryStorage, written: list[str]
) -> None:
    storage.before = latch = Latch("acquire")
    manager = memory_sessions()
    opening = asyncio.ensure_future(manager.open())
    await latch.reached.wait()

    await eventually(lambda: got(storage) == written)
    assert not item(storage).held
    latch.go.set()
    await opening

    assert got(storage) == written, "no object is read twice"
    assert shown(manager) == SAID


@pytest.mark.slow
async def test_a_reading_from_before_another_holders_write_is_not_used(
    memory_sessions: Sessions, storage: MemoryStorage, written: list[str]
) -> None:
    storage.before = latch = Latch("acquire")
    manager = memory_sessions(acquire_timeout=10.0)
    opening = asyncio.ensure_future(manager.open())
    await latch.reached.wait()
    await eventually(lambda: got(storage) == written)

    other = memory_sessions()
    agent = await started(other)
    other.append_message({"role": "user", "content": [{"text": "meanwhile"}]}, agent)
    await agent.stop()
    latch.go.set()
    await opening

    assert shown(manager) == [*SAID, "meanwhile"]


async def test_objects_that_could_not_be_read_ahead_are_read_by_the_holder(
    memory_sessions: Sessions, storage: MemoryStorage, written: list[str]
) -> None:
    async def missing_until_held(operation: str, what: Any) -> None:
        if operation == "get" and not item(storage).held:
            raise JournalCorrupt(str(what), "as the test wants it")

    storage.before = missing_until_held
    manager = memory_sessions()
    await manager.open()

    assert got(storage) == written
    assert shown(manager) == SAID


async def test_an_unfinished_redaction_is_not_read_ahead(
    memory_sessions: Sessions, storage: MemoryStorage, written: list[str]
) -> None:
    storage.guard.items["default/talk"]["scrub"] = str(item(storage).head - 1)
    seen: list[bool] = []

    async def note(operation: str, what: Any) -> None:
        if operation == "get":
            seen.append(item(storage).held)

    latch = Latch("acquire")
    storage.before = both(note, latch)
    opening = asyncio.ensure_future(memory_sessions().open())
    await latch.reached.wait()
    await settled()
    latch.go.set()
    await opening

    assert seen
    assert all(seen)
