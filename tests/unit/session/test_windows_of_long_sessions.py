"""Windows of long sessions: a record names what was dropped, not all that stays."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from segue.admin.fork import fork
from segue.clock import SystemClock
from segue.history.order import LONG
from segue.history.points import read_at
from segue.journal.records import Record, encode_record
from segue.lease.item import ESCAPES_SCHEMA, FIRST_SCHEMA, GuardItem
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import manager_of
from tests.unit.session.edits import Sessions, text_agent
from tests.unit.session.outside_messages import closed, exchange, opened, said

_LENGTH = 2 * LONG
"""Messages outside, so many that the ids of all that stay are not written again."""


async def long_session(sessions: Sessions, **options: Any) -> Any:
    """An agent that holds the last turn of a long session, and takes the oldest out with every turn."""
    await closed(await opened(sessions, text_agent, messages=exchange(*range(_LENGTH // 2))))
    trimming = SlidingWindowConversationManager(window_size=4)
    return await opened(sessions, text_agent, max_messages=2, conversation_manager=trimming, **options)


async def test_a_window_record_of_a_long_session_names_only_the_dropped_messages(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await long_session(memory_sessions)
    assert GuardItem.parse(storage.guard.items["default/talk"]).schema == FIRST_SCHEMA
    for number in range(5):
        await agent.invoke_async(f"new {number}")
    await closed(agent)
    manager = memory_sessions()
    await manager.open()
    journal = await asyncio.to_thread(manager._runtime.run_sync, manager._session.read())
    windows = [record.data for record in journal.records if record.kind == "window"]

    assert [list(window) for window in windows] == [["drop"]] * len(windows)
    assert windows
    assert max(len(encode_record(Record(kind="window", data=window))) for window in windows) < 200
    assert GuardItem.parse(storage.guard.items["default/talk"]).schema == ESCAPES_SCHEMA
    ids = [message["tracking_id"] for message in manager.history.agents["default"].messages]
    assert ids[: _LENGTH - 2] == [message["tracking_id"] for message in exchange(*range(_LENGTH // 2 - 1))]
    assert ids[_LENGTH - 2 :] == [message["tracking_id"] for message in agent.messages]
    await manager.close()


@pytest.mark.slow
async def test_messages_dropped_from_a_long_sessions_window_can_return(memory_sessions: Sessions) -> None:
    agent = await long_session(memory_sessions)
    whole = copy.deepcopy(agent.messages)
    del agent.messages[:]
    await manager_of(agent).flush()
    agent.messages = [*whole, said("more")]
    await closed(agent)

    again = await opened(memory_sessions, text_agent)
    assert again.messages == [*exchange(*range(_LENGTH // 2)), said("more")]


async def test_a_fork_of_such_a_session_is_closed_to_earlier_releases_too(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await long_session(memory_sessions)
    del agent.messages[-1]
    await closed(agent)
    await fork(storage.stores(), "default/talk", "default/copy", SystemClock())

    assert GuardItem.parse(storage.guard.items["default/copy"]).schema == ESCAPES_SCHEMA
    history = (await read_at(storage.stores(), "default/copy", SystemClock())).agents["default"]
    assert len(history.messages) == _LENGTH - 1
