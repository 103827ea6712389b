"""Errors say which session they are about, and arrive whole in another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from segue import SegueError, SessionFenced, SessionHeld, StorageUnavailable
from segue.errors import JournalCorrupt, RecordTooLarge, SessionExists, SessionNotFound, StorageRefused
from tests.support.crash import certainly_dead
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import Sessions, started

ALL: list[SegueError] = [
    SessionHeld("worker-1", 3, "default/talk"),
    SessionHeld("worker-1", 3, "default/talk", shown="default/t@lk", here=True),
    SessionFenced(3, "worker-2", "default/talk"),
    SessionFenced(3, None),
    SessionNotFound("default/talk"),
    SessionExists("default/talk"),
    JournalCorrupt("key", "torn"),
    RecordTooLarge(5, 4),
    StorageUnavailable("slow"),
    StorageRefused("table", "denied"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_a_pickle_and_a_copy(error: SegueError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_errors_that_are_made_without_a_session_say_none() -> None:
    assert SessionHeld("worker-1", 3).session_key is None
    assert str(SessionFenced(3, None)).startswith("session was ended")


@pytest.mark.slow
async def test_held_and_fenced_name_their_session(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(first := memory_sessions())
    with pytest.raises(SessionHeld, match="'default/talk'") as held:
        await memory_sessions().open()
    await memory_sessions(probe=certainly_dead).open()
    with pytest.raises(SessionFenced, match="'default/talk'") as fenced:
        await agent.send("Lost")
    with pytest.raises(SessionFenced, match="'default/talk'") as again:
        await agent.send("Lost, too")

    assert {one.value.session_key for one in (held, fenced, again)} == {first.session_key}


async def test_the_error_of_a_write_after_leave_names_the_session(memory_sessions: Sessions) -> None:
    agent = await started(manager := memory_sessions())
    await manager.leave()

    with pytest.raises(SessionFenced, match="'default/talk'") as fenced:
        manager.append_message({"role": "user", "content": [{"text": "Late"}]}, agent)

    assert fenced.value.session_key == manager.session_key


def test_a_manager_is_a_context_without_an_event_loop(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    with memory_sessions() as manager:
        assert manager.lease_is_fresh()
    assert not manager.lease_is_fresh()

    memory_sessions().open_sync()  # it is free


def test_a_context_that_ends_with_an_error_closes_too(memory_sessions: Sessions) -> None:
    with pytest.raises(KeyError), memory_sessions():
        raise KeyError

    memory_sessions().open_sync()
