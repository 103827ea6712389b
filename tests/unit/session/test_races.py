"""Requests and answers that come in an unlucky order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from strands import Agent

from segue import SessionFenced
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable, both, kind_of
from tests.support.scripted_model import answered, until
from tests.support.sessions import SHORT, Once, Sessions, item, manager_of, settled, started, texts
from tests.support.waiting import eventually


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"], ids=["its request", "its answer"])
async def test_a_heartbeat_late_at_a_release_fences_no_holder_and_restores_no_lease(
    memory_sessions: Sessions, storage: MemoryStorage, side: str
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.send("One")
    setattr(storage, side, latch := Latch("beat"))
    await latch.reached.wait()
    stopping = asyncio.ensure_future(agent.stop())
    with contextlib.suppress(AssertionError):  # a release may as well wait for the heartbeat
        await eventually(lambda: not item(storage).held, seconds=0.3)
    latch.go.set()
    await stopping
    await settled()

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


@pytest.mark.slow
async def test_heartbeats_go_on_after_a_session_was_taken_again(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.stop()
    await agent.start()
    await agent.send("Again")
    beat = item(storage).beat

    await eventually(lambda: item(storage).beat > beat + 1)
    await agent.stop()


@pytest.mark.slow
async def test_a_write_during_the_release_is_committed_under_the_next_acquisition(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions()
    await manager.open()
    staying = Agent(model=FakeModel(), session_manager=manager, agent_id="staying", callback_handler=None)
    await staying.invoke_async("One")
    release, put = Latch("release"), Latch("put")
    storage.before = both(release, put)
    closing = asyncio.ensure_future(manager.close())
    await release.reached.wait()
    writing = asyncio.ensure_future(staying.invoke_async("Two"))
    with contextlib.suppress(TimeoutError):  # the write may as well wait for the release
        await put.reached.wait(0.3)
    release.go.set()
    await closing
    put.go.set()
    await writing

    await manager.close()
    again = memory_sessions()
    await again.open()
    restored = Agent(model=FakeModel(), session_manager=again, agent_id="staying", callback_handler=None)
    assert restored.messages == staying.messages


async def test_a_release_whose_answer_is_lost_is_no_takeover(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    await agent.send("One")
    storage.after = lost = Unavailable("release")
    await agent.stop()
    assert lost.failed
    lost.on = False

    await agent.start()
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_an_acquisition_whose_answer_is_lost_is_mine(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    storage.after = lost = Once("acquire")
    manager = memory_sessions(acquire_timeout=5.0)

    await manager.open()

    assert lost.done
    assert manager.epoch == item(storage).epoch == 1


async def test_a_commit_whose_answer_is_lost_is_there_once(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    storage.after = Once("commit")
    await agent.send("One")
    storage.after = Once("commit")
    agent.model.emit(answered("Two"))
    await until(agent, "bidi_response_stop")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]


async def test_a_holder_that_lost_its_lease_in_the_background_takes_nothing_back(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    # A holder that took over tidies up in the background, and finds there that it was taken over itself.
    dead = await started(memory_sessions())
    await dead.send("One")
    crash(manager_of(dead))
    storage.before = latch = Latch("list")
    slow = await started(memory_sessions(holder="slow", probe=certainly_dead))
    await latch.reached.wait()
    heir = await started(memory_sessions(holder="heir", probe=certainly_dead))
    await heir.send("Two")
    await heir.stop()
    latch.go.set()
    await eventually(lambda: not manager_of(slow)._session.lease.held)

    with pytest.raises(SessionFenced):
        await slow.send("Three")

    assert await texts(memory_sessions) == ["One", "Two"]


class _Twice:
    """Has the first acquisition sent twice, as a client does that missed the answer."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.done = False
        self._storage = storage

    async def __call__(self, operation: str, what: Any) -> None:
        if not self.done and operation == "write" and kind_of(what) == "acquire":
            self.done = True
            await self._storage.guard.write(what)


@pytest.mark.parametrize("how", ["answered", "the answer is lost", "sent twice"])
@pytest.mark.parametrize("held", [True, False], ids=["taken over", "free"])
async def test_a_takeover_is_one_whether_its_answer_comes_or_not(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture, how: str, held: bool
) -> None:
    caplog.set_level("DEBUG", "segue.lease.lease")
    first = memory_sessions()
    await first.open()
    if held:
        crash(first)
    else:
        await first.close()
    caplog.clear()
    if how == "the answer is lost":
        storage.after = Once("acquire")
    elif how == "sent twice":
        storage.before = _Twice(storage)

    heir = memory_sessions(probe=certainly_dead, acquire_timeout=10.0)
    await heir.open()

    (acquired,) = [record for record in caplog.records if record.getMessage() == "lease acquired"]
    assert (acquired.takeover, acquired.epoch) == (held, heir.epoch)  # type: ignore[attr-defined]  # by ``extra``
    await eventually(lambda: bool([what for operation, what in storage.requests if operation == "list"]) == held)
    assert heir._session.lease.took_over is held
