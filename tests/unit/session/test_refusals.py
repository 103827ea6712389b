"""Errors for which Strands' managers raise ``SessionException`` are such here, too, and keep their own class."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from strands import Agent
from strands.types.exceptions import SessionException

from segue import GuardedS3SessionManager, SegueError, StorageRefused
from segue.strands.errors import AgentIdUsedTwice, SessionStorageRefused
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import Sessions
from tests.support.stage import Stage


class Denied:
    """Refuses requests of the given kinds."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    async def __call__(self, operation: str, _what: Any) -> None:
        if operation in self._kinds:
            raise StorageRefused("my-table", "AccessDenied")


async def _opened(manager: Any) -> None:
    await manager.open()


async def _opened_without_a_loop(manager: Any) -> None:
    import asyncio

    await asyncio.to_thread(manager.open_sync)


async def _standby(manager: Any) -> None:
    await manager.prepare()


@pytest.mark.parametrize("ask", [_opened, _opened_without_a_loop, _standby])
async def test_a_refused_read_is_a_session_exception_and_storage_refused(
    memory_sessions: Sessions, storage: MemoryStorage, ask: Callable[[Any], Awaitable[None]]
) -> None:
    storage.before = Denied("read")

    with pytest.raises(SessionStorageRefused, match="my-table: AccessDenied; fix the name") as refused:
        await ask(memory_sessions())

    assert isinstance(refused.value, SessionException)
    assert isinstance(refused.value, StorageRefused)
    assert refused.value.resource == "my-table"
    for again in (pickle.loads(pickle.dumps(refused.value)), copy.copy(refused.value)):
        assert (type(again), str(again), vars(again)) == (
            SessionStorageRefused,
            str(refused.value),
            vars(refused.value),
        )


@pytest.mark.parametrize("how", ["append_message", "close", "leave", "delete", "rewind", "redact"])
async def test_a_refused_write_is_a_session_exception_and_storage_refused(
    memory_sessions: Sessions, storage: MemoryStorage, how: str
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    await agent.invoke_async("hi")
    (point, *_) = await manager.points()
    message: Any = {"role": "user", "content": [{"text": "more"}], "tracking_id": "more"}
    storage.before = Denied("put", "write", "delete")
    manager.append_message(message, agent)

    async def wait() -> None:
        match how:
            case "append_message":
                await manager.flush()
            case "rewind":
                await manager.rewind(point)
            case "redact":
                await manager.redact("more")
            case _:
                await getattr(manager, how)()

    with pytest.raises(SessionException) as refused:
        await wait()
    assert isinstance(refused.value, StorageRefused)


def test_a_refusal_in_a_hook_is_a_session_exception_and_storage_refused(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions()
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    storage.before = Denied("put")

    with pytest.raises(SessionException) as refused:
        agent("hi")
    assert isinstance(refused.value, StorageRefused)
    with pytest.raises(SessionStorageRefused):
        manager.flush_sync()
    with pytest.raises(SessionStorageRefused):
        manager.close_sync()


def test_a_missing_table_is_a_session_exception(stage: Stage) -> None:
    manager = GuardedS3SessionManager("talk", **{**stage.options, "lock_table": "nowhere"})

    with pytest.raises(SessionException, match="nowhere"):
        Agent(model=FakeModel(), session_manager=manager, callback_handler=None)


def test_an_agent_id_used_twice_is_a_session_exception_and_a_value_error(memory_sessions: Sessions) -> None:
    manager = memory_sessions("user@example.com")
    Agent(model=FakeModel(), session_manager=manager, agent_id="a", callback_handler=None)

    with pytest.raises(SessionException, match=r"agent id 'a' is used twice in session 'user@example\.com'") as twice:
        Agent(model=FakeModel(), session_manager=manager, agent_id="a", callback_handler=None)

    assert isinstance(twice.value, ValueError)
    assert not isinstance(twice.value, SegueError)
    again = pickle.loads(pickle.dumps(twice.value))
    assert (type(again), str(again), vars(again)) == (AgentIdUsedTwice, str(twice.value), vars(twice.value))
