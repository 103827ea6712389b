"""Releasing a session while storage does not answer: it ends in time, and no other process is kept out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from strands.bidi import BidiAgent

import segue.session.heartbeat
import segue.session.session
from segue import SessionFenced, SessionHeld, StorageUnavailable
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import KEPT, SHORT, Sessions, item, manager_of, started, texts
from tests.support.waiting import eventually, within


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segue.session.session, "CLOSE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(segue.session.session, "CLEANUP_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(segue.session.heartbeat, "CLOSE_TIMEOUT_SECONDS", 0.2)


@pytest.fixture
def outage(storage: MemoryStorage) -> Iterator[Unavailable]:
    """Fails what a test names in ``kinds``, until the test ends."""
    storage.before = down = Unavailable("nothing")
    yield down
    down.on = False


def fails(outage: Unavailable, *kinds: str) -> None:
    outage._kinds = kinds


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "leave"])
async def test_the_lease_is_released_though_orphans_cannot_be_listed(
    memory_sessions: Sessions, storage: MemoryStorage, outage: Unavailable, how: str
) -> None:
    crash(manager_of(await started(memory_sessions())))
    fails(outage, "list")
    agent = await started(manager := memory_sessions(probe=certainly_dead))
    await agent.send("One")
    await eventually(lambda: outage.failed)

    async with within(5):
        await getattr(manager, how)()

    assert not item(storage).held
    outage.on = False
    assert await texts(memory_sessions) == ["One"]


@pytest.mark.slow
async def test_a_session_is_deleted_though_orphans_cannot_be_listed(
    memory_sessions: Sessions, storage: MemoryStorage, outage: Unavailable
) -> None:
    crash(manager_of(await started(memory_sessions())))
    fails(outage, "list")
    await (manager := memory_sessions(probe=certainly_dead)).open()
    await eventually(lambda: outage.failed)

    with pytest.raises(StorageUnavailable):  # the caller is told; the janitor deletes the objects
        async with within(5):
            await manager.delete()

    assert item(storage).deleted


async def left_to_expire(manager: Any, outage: Unavailable) -> BidiAgent:
    """Return an agent whose session could not be released: the outcome of its last commit was unknown."""
    agent = await started(manager)
    await manager.flush()  # that it begins is a commit of its own
    fails(outage, "commit")
    manager.append_message(message("One"), agent)
    with pytest.raises(StorageUnavailable):
        await manager.close()
    outage.on = False
    await eventually(lambda: manager.head == manager.position)
    return agent


def message(text: str) -> Any:
    return {"role": "user", "content": [{"text": text}], "tracking_id": text}


async def resumed(manager: Any, agent: BidiAgent) -> None:
    await manager.resume()


async def written(manager: Any, agent: BidiAgent) -> None:
    manager.append_message(message("Two"), agent)
    await manager.flush()


@pytest.mark.slow
@pytest.mark.parametrize("again", [resumed, written])
async def test_a_lease_left_to_expire_is_renewed_again_when_the_session_is_used(
    memory_sessions: Sessions, outage: Unavailable, again: Callable[..., Awaitable[None]]
) -> None:
    agent = await left_to_expire(manager := memory_sessions(lease=KEPT), outage)

    await again(manager, agent)

    with pytest.raises(SessionHeld):
        await memory_sessions(lease=KEPT, acquire_timeout=2 * KEPT.duration).open()
    assert manager.lease_is_fresh()
    await manager.close()
    await memory_sessions().open()


@pytest.mark.slow
async def test_a_lease_left_to_expire_expires_if_the_session_is_not_used(
    memory_sessions: Sessions, outage: Unavailable
) -> None:
    agent = await left_to_expire(manager := memory_sessions(lease=SHORT), outage)

    await memory_sessions(lease=SHORT, acquire_timeout=10).open()

    with pytest.raises(SessionFenced):
        await manager.resume()
    with pytest.raises(SessionFenced):
        await written(manager, agent)


@pytest.mark.slow
async def test_a_resume_while_storage_is_still_away_says_so(memory_sessions: Sessions, outage: Unavailable) -> None:
    agent = await started(manager := memory_sessions(lease=SHORT))
    await manager.flush()
    fails(outage, "commit")
    manager.append_message(message("One"), agent)
    with pytest.raises(StorageUnavailable):
        await manager.close()

    with pytest.raises(StorageUnavailable):
        async with within(5):
            await manager.resume()


async def stuck(manager: Any, outage: Unavailable) -> BidiAgent:
    """An agent whose session has a commit under way that storage does not answer."""
    agent = await started(manager)
    await manager.flush()  # that it begins is a commit of its own
    fails(outage, "commit")
    manager.append_message(message("One"), agent)
    await eventually(lambda: outage.failed)
    return agent


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resume", "delete"])
async def test_calls_that_wait_for_a_commit_fail_in_bounded_time(
    memory_sessions: Sessions, outage: Unavailable, how: str
) -> None:
    await stuck(manager := memory_sessions(), outage)

    with pytest.raises(StorageUnavailable):
        async with within(5):
            await getattr(manager, how)()


@pytest.mark.slow
async def test_a_manager_that_left_without_a_release_writes_nothing_more(
    memory_sessions: Sessions, outage: Unavailable
) -> None:
    agent = await stuck(manager := memory_sessions(lease=SHORT), outage)
    with pytest.raises(StorageUnavailable):
        await manager.leave()

    with pytest.raises(SessionFenced):
        manager.append_message(message("Two"), agent)
    outage.on = False
    await eventually(lambda: manager.head == manager.position)  # what was sent is decided
    with pytest.raises(SessionFenced):
        manager.append_message(message("Two"), agent)
    with pytest.raises(SessionFenced):
        await manager.resume()
    await (heir := memory_sessions(lease=SHORT, acquire_timeout=10)).open()
    assert [one["content"] for one in heir.history.agents["default"].messages] == [[{"text": "One"}]]
