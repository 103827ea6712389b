"""A second manager of the same process on one session: it takes over from a dropped one, or waits and says for whom."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from segue import SessionHeld, StorageUnavailable
from tests.support.crash import crash
from tests.support.memory_manager import Latch, MemoryStorage
from tests.support.sessions import built, item
from tests.support.waiting import eventually
from tests.unit.session.collecting import manager

pytestmark = pytest.mark.usefixtures("without_collections")


def test_a_session_whose_agent_is_gone_is_taken_over_within_the_process(storage: MemoryStorage) -> None:
    first = manager(storage)
    built(first)("One")

    second = built(manager(storage))

    assert len(second.messages) == 2
    assert not first.lease_is_fresh()
    assert item(storage).epoch == 3, "released, and acquired anew"


def test_a_manager_that_was_taken_over_from_may_be_used_again_and_is_known_to_be_here(storage: MemoryStorage) -> None:
    first = manager(storage)
    built(first)("One")
    with manager(storage):
        pass  # it only looks

    agent = built(first, agent_id="another")
    agent("Two")

    with pytest.raises(SessionHeld, match="held by this process"):
        manager(storage).open_sync()
    del agent, first
    assert len(built(manager(storage)).messages) == 2


def test_an_agent_in_a_cycle_is_found_to_be_gone(storage: MemoryStorage) -> None:
    first = manager(storage)
    agent: Any = built(first)
    agent("One")
    agent.myself = agent
    del agent

    assert len(built(manager(storage)).messages) == 2


def test_session_held_says_if_the_session_is_in_use_in_this_process(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    agent = built(first := manager(storage))
    agent("One")

    with pytest.raises(SessionHeld, match="held by this process") as held:
        built(manager(storage))

    assert (held.value.here, held.value.session_key) == (True, first.session_key)
    agent("Two")  # and nothing of the first was touched
    assert "acquire" not in storage.writes[1:]


def test_a_manager_that_has_no_agent_yet_is_in_use(storage: MemoryStorage) -> None:
    first = manager(storage)
    first.open_sync()

    with pytest.raises(SessionHeld, match="held by this process"):
        manager(storage).open_sync()

    built(first)("One")


async def test_a_manager_that_still_writes_is_in_use_though_its_agent_was_freed(storage: MemoryStorage) -> None:
    first = manager(storage, durability="gate")
    await first.open()
    agent = built(first)
    await first.flush()
    storage.before = latch = Latch("commit")
    first.append_message({"role": "user", "content": [{"text": "Kept"}]}, agent)
    await latch.reached.wait()
    del agent

    with pytest.raises(SessionHeld, match="held by this process"):
        await manager(storage).open()
    latch.go.set()
    await first.flush()

    await (second := manager(storage)).open()
    assert [one["content"] for one in second.history.agents["default"].messages] == [[{"text": "Kept"}]]
    await second.close()


@pytest.mark.slow
async def test_a_second_manager_waits_for_the_first_to_be_dropped(storage: MemoryStorage) -> None:
    agent = built(manager(storage))
    waiting = asyncio.ensure_future((second := manager(storage, acquire_timeout=30.0)).open())
    await eventually(lambda: len([one for one, _ in storage.requests if one == "read"]) > 2)
    del agent

    await waiting
    await second.close()


def test_a_holder_of_another_process_is_not_said_to_be_here(storage: MemoryStorage) -> None:
    first = manager(storage, holder="elsewhere")
    first.open_sync()
    crash(first)

    with pytest.raises(SessionHeld) as held:
        manager(storage).open_sync()

    assert not held.value.here
    assert "elsewhere" in str(held.value)


@pytest.mark.usefixtures("skipping_clock")
async def test_a_wait_says_whose_holder_it_is_and_for_how_long(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = manager(storage, holder="worker-7")
    first.open_sync()
    crash(first)  # its lease runs out

    await (second := manager(storage, acquire_timeout=30.0)).open()
    waiting, ended = caplog.messages
    assert waiting.startswith("session default/talk is held by worker-7 at epoch 1: waiting for ")
    assert waiting.endswith(" s, up to 30 s")
    assert ended.startswith("session default/talk is held by worker-7 at epoch 1: waited ")
    caplog.clear()

    with pytest.raises(SessionHeld):
        await manager(storage, acquire_timeout=3.0).open()
    (waiting,) = caplog.messages
    assert "is held by another session manager of this process at epoch 2, close that: waiting for " in waiting
    await second.close()


@pytest.mark.usefixtures("skipping_clock")
async def test_a_wait_for_storage_is_logged_too(storage: MemoryStorage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def is_away(operation: str, what: Any) -> None:
        if "session default/talk cannot be acquired yet, storage does not answer" not in caplog.text:
            raise StorageUnavailable("as the test wants it")

    storage.before = is_away
    await manager(storage, acquire_timeout=60.0).open()
