"""``segue.admin.Sessions``: each of its methods beside a holder that goes on, on a directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from strands import Agent
from strands.session import FileSessionManager

from segue import GuardedFileSessionManager, SessionExists, SessionHeld, SessionNotFound
from segue.admin import Sessions
from segue.lease.settings import LeaseSettings
from segue.session.runtime import Runtime
from segue.storage.stores import Stores
from tests.support.memory_manager import MemorySessionManager, MemoryStorage

SHORT = LeaseSettings(duration=2.0, heartbeat=0.3, margin=0.3)


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions.directory(tmp_path)


@pytest.fixture
def manager(tmp_path: Path) -> GuardedFileSessionManager:
    return GuardedFileSessionManager("talk", tmp_path, lease=SHORT)


def said(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": [{"text": text}]}


EXCHANGE = [said("user", "My name is Alice"), said("assistant", "Hello Alice")]


def texts(messages: list[dict[str, object]]) -> list[str]:
    return [message["content"][0]["text"] for message in messages]  # type: ignore[index]


def held(manager: GuardedFileSessionManager, *messages: dict[str, object]) -> Agent:
    return Agent(messages=list(messages or EXCHANGE), session_manager=manager, callback_handler=None)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_a_held_session_is_listed_and_read(sessions: Sessions, manager: GuardedFileSessionManager) -> None:
    held(manager)
    await manager.flush()
    (one,) = await asyncio.to_thread(sessions.list, watch=True)

    assert (one.session, one.state, one.stale, one.epoch) == ("default/talk", "held", False, 1)
    assert texts(sessions.read("talk").agents["default"].messages) == ["My name is Alice", "Hello Alice"]
    assert sessions.points("talk")[-1].records == one.head
    assert sessions.verify("talk").ok
    await manager.close()


async def test_an_agent_is_restored_without_the_lease_and_what_it_adds_is_not_kept(
    sessions: Sessions, manager: GuardedFileSessionManager
) -> None:
    agent = held(manager)
    await manager.flush()
    looking = sessions.read_only("talk")
    copy = Agent(session_manager=looking, callback_handler=None)
    assert texts(copy.messages) == ["My name is Alice", "Hello Alice"]
    await copy._append_messages(said("user", "Only here"))  # type: ignore[arg-type]
    await looking.close()

    await agent._append_messages(said("user", "The holder goes on"))  # type: ignore[arg-type]
    await manager.close()
    (one,) = sessions.list()
    assert one.epoch == 2  # its own acquisition and its release
    assert texts(sessions.read("talk").agents["default"].messages)[2:] == ["The holder goes on"]


async def test_a_session_is_read_as_it_was(sessions: Sessions, manager: GuardedFileSessionManager) -> None:
    agent = held(manager)
    await manager.flush()
    then = sessions.points("talk")[-1].records
    await agent._append_messages(said("user", "Later"))  # type: ignore[arg-type]
    await manager.close()

    looking = sessions.read_only("talk", at=then)
    assert texts(Agent(session_manager=looking, callback_handler=None).messages) == texts(EXCHANGE)
    await looking.close()
    assert len(sessions.read("talk", at=then).agents["default"].messages) == 2
    assert len(sessions.read("talk").agents["default"].messages) == 3
    with pytest.raises(ValueError, match="no commit ends"):
        sessions.read("talk", at=10_000)


async def test_a_session_is_forked_exported_and_imported(
    sessions: Sessions, manager: GuardedFileSessionManager, tmp_path: Path
) -> None:
    held(manager)
    await manager.flush()

    head = sessions.fork("talk", "copy")
    assert head == sessions.list()[1].head
    with pytest.raises(SessionExists):
        sessions.fork("talk", "copy")
    told = sessions.export("talk", FileSessionManager("talk", storage_dir=str(tmp_path / "strands")))
    assert told.messages == {"default": 2}
    assert (told.changes, told.damaged) == ((), ())
    sessions.import_(FileSessionManager("talk", storage_dir=str(tmp_path / "strands")), "moved")
    assert texts(sessions.read("moved").agents["default"].messages) == texts(EXCHANGE)
    await manager.close()


@pytest.mark.slow
async def test_a_holder_that_lives_keeps_its_session(sessions: Sessions, manager: GuardedFileSessionManager) -> None:
    held(manager)
    await manager.flush()
    with pytest.raises(SessionHeld):
        await asyncio.to_thread(sessions.delete, "talk")
    with pytest.raises(SessionHeld):
        await asyncio.to_thread(sessions.release, "talk")
    await manager.close()

    assert not sessions.release("talk").needed
    assert sessions.delete("talk") > 0
    with pytest.raises(SessionNotFound):
        sessions.read("talk")
    assert sessions.list() == []
    assert [one.state for one in sessions.list(ended=True)] == ["deleted"]


def test_an_invalid_id_is_refused_and_a_valid_one_has_its_key(sessions: Sessions) -> None:
    with pytest.raises(ValueError, match="not valid"):
        sessions.read("")
    assert sessions.key("alice/talk") == "alice/talk"
    assert sessions.key("user@example.com") == "default/user=40example.com"


@pytest.mark.slow
def test_importing_admin_orphans_imports_no_strands() -> None:
    import subprocess
    import sys

    code = "import sys, segue.admin.orphans; print('strands' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def _fork(sessions: Sessions, at: str | None) -> None:
    sessions.fork("talk", "copy", at=at)


def _read_only(sessions: Sessions, at: str | None) -> None:
    with sessions.read_only("talk", at=at):
        pass


@pytest.mark.parametrize("look", [_fork, _read_only])
async def test_a_point_in_time_costs_no_second_reading_of_the_session(look: Callable[..., None]) -> None:
    storage = MemoryStorage()
    manager = MemorySessionManager("talk", storage=storage)
    Agent(messages=list(EXCHANGE), session_manager=manager, callback_handler=None)  # type: ignore[arg-type]
    await manager.close()

    async def opened(_: Runtime) -> Stores:
        return storage.stores()

    async def requests(at: str | None) -> int:
        """Count the requests for the session that is read."""
        storage.requests.clear()
        storage.guard.items.pop("default/copy", None)
        await asyncio.to_thread(look, Sessions(opened, None, None), at)
        return sum("talk" in str(what) for operation, what in storage.requests if operation in {"read", "get"})

    assert await requests(str(manager.head)) == await requests(None) > 0
