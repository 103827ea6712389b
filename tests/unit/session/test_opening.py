"""Opening, building and closing: in a loop and without one, at once and given up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent

from segue import SessionHeld, StorageRefused, StorageUnavailable
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable
from tests.support.scripted_model import ScriptedModel
from tests.support.sessions import KEPT, SHORT, Sessions, item, manager_of, started, texts
from tests.support.waiting import eventually


async def test_opening_twice_at_once_opens_once(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()

    await asyncio.gather(manager.open(), manager.open())

    assert storage.writes == ["acquire"]


async def test_an_open_that_is_given_up_leaves_no_lease_behind(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    storage.before = latch = Latch("acquire")
    opening = asyncio.ensure_future(memory_sessions().open())
    await latch.reached.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    latch.go.set()

    await eventually(lambda: storage.guard.items and not item(storage).held)


async def test_a_cancelled_close_releases_the_lease(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.open()
    storage.before = latch = Latch("release")
    closing = asyncio.ensure_future(manager.close())
    await latch.reached.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    latch.go.set()

    await eventually(lambda: not item(storage).held)


@pytest.mark.slow
async def test_the_session_is_not_lost_while_it_is_read(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    writer = await started(memory_sessions())
    await writer.send("One")
    await writer.stop()
    storage.before = latch = Latch("get")
    opening = asyncio.ensure_future(memory_sessions(lease=KEPT).open())
    await latch.reached.wait()

    with pytest.raises(SessionHeld):
        await memory_sessions(acquire_timeout=2 * KEPT.duration).open()

    latch.go.set()
    await opening


@pytest.mark.slow
async def test_storage_that_does_not_answer_ends_an_open_after_its_timeout(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    storage.before = Unavailable()

    with pytest.raises(StorageUnavailable):
        await memory_sessions(acquire_timeout=0.2).open()


async def test_async_with_opens_and_closes(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    async with memory_sessions() as manager:
        assert item(storage).held
        assert manager.epoch == 1

    assert not item(storage).held


async def test_building_after_open_does_no_io_and_blocks_nothing(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await started(memory_sessions())
    await writer.send("One")
    await writer.stop()
    manager = memory_sessions()
    await manager.open()
    before = len(storage.requests)

    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)

    assert len(storage.requests) == before
    assert len(agent.messages) == 1
    assert "before building" not in caplog.text


async def test_building_without_open_in_a_loop_works_and_says_what_to_do(
    memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "segue"):
        agent = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())
    await agent.start()
    await agent.send("One")
    await agent.stop()

    assert "open() before building the agent" in caplog.text
    assert await texts(memory_sessions) == ["One"]


def test_building_without_open_outside_a_loop_works_in_silence(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    manager = memory_sessions()
    with caplog.at_level(logging.WARNING, "segue"):
        agent = BidiAgent(model=ScriptedModel(), session_manager=manager, state={"mood": "good"})

    assert item(storage).head == manager.position, "durable before the constructor returns"
    assert caplog.text == ""

    async def talk() -> None:
        await agent.start()
        await agent.send("One")
        await agent.stop()

    asyncio.run(talk())
    assert asyncio.run(texts(memory_sessions)) == ["One"]


def test_one_agent_in_several_loops_one_after_the_other(memory_sessions: Sessions) -> None:
    agent = BidiAgent(model=ScriptedModel(), session_manager=memory_sessions())

    async def talk(text: str) -> None:
        agent.model = ScriptedModel()  # its queue belongs to one loop
        await agent.start()
        await agent.send(text)
        await agent.stop()

    for text in ("One", "Two", "Three"):
        asyncio.run(talk(text))

    assert asyncio.run(texts(memory_sessions)) == ["One", "Two", "Three"]


@pytest.mark.slow
def test_the_lease_is_kept_on_whichever_loop_the_agent_lives(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions(lease=SHORT)

    async def build() -> BidiAgent:
        await manager.open()
        return BidiAgent(model=ScriptedModel(), session_manager=manager)

    agent = asyncio.run(build())

    async def talk() -> None:
        await agent.start()
        await agent.send("One")
        beat = item(storage).beat
        await eventually(lambda: item(storage).beat > beat + 1, seconds=3.0)
        await agent.stop()

    asyncio.run(talk())


def test_agents_in_several_threads_share_a_session(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    agents = [
        Agent(model=FakeModel(), session_manager=manager, agent_id=f"agent-{number}", callback_handler=None)
        for number in range(4)
    ]
    failures: list[BaseException] = []

    def talk(agent: Agent) -> None:
        try:
            for number in range(5):
                agent(f"{agent.agent_id} says {number}")
        except BaseException as error:  # noqa: BLE001 - a thread keeps what it raises to itself
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.close_sync()

    assert failures == []
    again = memory_sessions()
    for agent in agents:
        restored = Agent(model=FakeModel(), session_manager=again, agent_id=agent.agent_id, callback_handler=None)
        assert restored.messages == agent.messages
        assert len(restored.messages) == 10


async def test_an_open_that_cannot_finish_a_redaction_keeps_no_lease(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    async def refuse(operation: str, what: Any) -> None:
        if operation == "delete":
            raise StorageRefused("bucket", "AccessDenied")

    agent = await started(memory_sessions())
    await agent.send("secret")
    storage.before = refuse
    with pytest.raises(StorageRefused):
        await manager_of(agent).redact(agent.messages[0]["tracking_id"])
    with contextlib.suppress(StorageRefused):
        await manager_of(agent).close()
    assert item(storage).scrub

    for _ in range(2):
        with pytest.raises(StorageRefused):
            await memory_sessions().open()


def test_a_constructor_asks_storage_for_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()

    assert storage.requests == []
    assert (manager.epoch, manager.head, manager.position, manager.route_token) == (0, 0, 0, "")
    assert not manager.lease_is_fresh()


async def test_closing_what_was_never_opened_does_nothing(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.flush()
    await manager.close()

    assert storage.requests == []


async def test_closing_twice_does_nothing_more(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    await manager.open()
    await manager.close()
    before = len(storage.requests)
    await manager.close()

    assert len(storage.requests) == before
