"""Letting go of a session while storage does not answer: it ends in time, and nobody is kept out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import segue.session
import segue.upkeep
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import Sessions, item, started, texts
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segue.session, "CLOSE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(segue.upkeep, "CLOSE_TIMEOUT_S", 0.2)


@pytest.fixture
def outage(storage: MemoryStorage) -> Iterator[Unavailable]:
    """Fails what a test names in ``kinds``, until the test ends."""
    storage.before = down = Unavailable("nothing")
    yield down
    down.on = False


def fails(outage: Unavailable, *kinds: str) -> None:
    outage._kinds = kinds


@pytest.mark.parametrize("how", ["close", "leave"])
async def test_orphans_that_cannot_be_listed_keep_nobody_from_letting_go(
    memory_sessions: Sessions, storage: MemoryStorage, outage: Unavailable, how: str
) -> None:
    crash((await started(memory_sessions()))._session_manager)
    fails(outage, "list")
    agent = await started(manager := memory_sessions(probe=certainly_dead))
    await agent.send("One")
    await eventually(lambda: outage.failed)

    async with asyncio.timeout(5):
        await getattr(manager, how)()

    assert not item(storage).held
    outage.on = False
    assert await texts(memory_sessions) == ["One"]


async def test_orphans_that_cannot_be_listed_keep_nobody_from_deleting(
    memory_sessions: Sessions, storage: MemoryStorage, outage: Unavailable
) -> None:
    crash((await started(memory_sessions()))._session_manager)
    fails(outage, "list")
    await (manager := memory_sessions(probe=certainly_dead)).open()
    await eventually(lambda: outage.failed)

    with pytest.raises(segue.StorageUnavailable):  # whoever asked is told; the janitor deletes the objects
        async with asyncio.timeout(5):
            await manager.delete()

    assert item(storage).deleted
