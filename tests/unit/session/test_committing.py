"""Callbacks for commits cannot harm the commits."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from segue import StorageUnavailable
from segue.journal.records import Record
from tests.support.sessions import Sessions, manager_of, started, texts
from tests.support.waiting import eventually, promptly


class _Loop:
    def call_soon_threadsafe(self, *_: object) -> None:
        raise TypeError("no loop")


async def test_a_commit_callback_that_fails_keeps_no_other_from_being_called(
    memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []
    agent = await started(memory_sessions())
    manager = manager_of(agent)
    manager._commit_listeners._callbacks.append((_Loop(), print))
    manager.on_commit(lambda records, _seconds: told.append(records))

    await agent.send("One")

    await eventually(lambda: told)
    assert "a callback for commits failed" in caplog.text
    await agent.stop()
    assert await texts(memory_sessions) == ["One"]


async def test_a_listener_that_fails_after_a_commit_does_not_repeat_the_commit(memory_sessions: Sessions) -> None:
    def mistaken(records: int, seconds: float) -> None:
        writer.on_committed(lambda _records, _seconds: None)
        raise KeyError("a mistake")

    agent = await started(memory_sessions())
    writer = manager_of(agent)._session.writer
    writer.on_committed(mistaken)

    with suppress(StorageUnavailable):  # unless the commit was over before it was waited for
        await agent.send("One")
    await agent.send("Two")

    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]
    assert writer.head == writer.position


async def test_a_record_committed_before_a_failure_is_durable_for_a_later_waiter(memory_sessions: Sessions) -> None:
    def mistaken(records: int, seconds: float) -> None:
        writer.on_committed(lambda _records, _seconds: None)
        raise KeyError("a mistake")

    agent = await started(memory_sessions())
    await agent.send("One")
    writer = manager_of(agent)._session.writer
    await eventually(lambda: not writer.draining and not writer.queued)
    writer.on_committed(mistaken)

    position = writer.append(
        Record(data={"message": {"role": "user", "content": [{"text": "Two"}]}})
    )  # and nothing beside it
    await eventually(lambda: writer.failure and not writer.draining)

    await promptly(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(writer.durable(position), writer._loop)), 10)
    assert writer.head == writer.position
    await agent.stop()
    assert await texts(memory_sessions) == ["One", "Two"]
