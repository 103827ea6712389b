"""No payload in any log line: not when all goes well, and not in what errors say."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent, tool
from strands.types.exceptions import ContextWindowOverflowException

import segue.journal.blocks
from segue import SegueError
from segue.strands.manager import GuardedSessionManager
from tests.support.crash import certainly_dead
from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import SHORT, manager_of, started
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

SECRET = "s3cr3t-4111"


@tool
def note(text: str) -> str:
    """Keep a note."""
    return f"{SECRET} noted"


@tool
def burst(text: str) -> str:
    """Fail, saying too much."""
    raise ValueError(f"{SECRET} is not a note")


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="segue")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All that a log line may show: its text, its keys, its traceback. Of other libraries, what they show unasked."""
    lines = []
    for record in caplog.records:
        if record.name.startswith("segue") or record.levelno >= logging.INFO:
            trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            lines.append(f"{record.name} {record.getMessage()} {record.__dict__} {trace}")
    return lines


def leaks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in told(caplog) if SECRET in line]


async def talked(manager: GuardedSessionManager) -> Agent:
    await manager.open()
    replies = [
        tool_call("note", "t1", text=SECRET),
        "Noted.",
        tool_call("burst", "t2", text=SECRET),
        f"{SECRET}, alas.",
    ]
    agent = Agent(
        model=FakeModel(replies),
        session_manager=manager,
        tools=[note, burst],
        system_prompt=f"Never tell {SECRET}",
        callback_handler=None,
    )
    agent.state.set("card", SECRET)
    await agent.invoke_async(f"Note {SECRET}")
    await agent.invoke_async(f"And once more {SECRET}")
    return agent


@pytest.mark.slow
async def test_a_whole_session_logs_no_payload(
    s3_sessions: Sessions, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 4)
    first = s3_sessions()
    agent = await talked(first)
    assert SECRET in str(agent.messages)
    await first.redact(agent.messages[0]["tracking_id"])
    await first.close()

    second = s3_sessions()
    await second.open()
    Agent(model=FakeModel([]), session_manager=second, callback_handler=None)
    await second.delete()

    assert not leaks(caplog)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["commit", "put"])
async def test_storage_that_fails_logs_no_payload(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    agent = await talked(memory_sessions(durability="gate"))
    await manager_of(agent).flush()
    storage.before = down = Unavailable(kind)
    agent.model = FakeModel([ContextWindowOverflowException(SECRET)])
    with contextlib.suppress(ContextWindowOverflowException):
        await agent.invoke_async(f"Lost? {SECRET}")
    await eventually(lambda: down.failed > 1)
    down.on = False
    await manager_of(agent).close()

    assert [line for line in told(caplog) if line.startswith("segue")], "the failure was logged"
    assert not leaks(caplog)


async def test_a_fault_in_segue_itself_logs_no_payload(
    memory_sessions: Sessions, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await talked(memory_sessions(durability="gate"))
    await manager_of(agent).flush()

    async def fault(operation: str, what: Any) -> None:
        if operation == "put":
            raise RuntimeError("a fault")

    storage.before = fault
    agent.model = FakeModel(["Yes."])
    with contextlib.suppress(SegueError):
        await agent.invoke_async(f"Lost? {SECRET}")
        await manager_of(agent).flush()

    assert any("commit failed unexpectedly" in line for line in told(caplog))
    assert not leaks(caplog)


async def test_a_session_that_was_lost_logs_no_payload(
    memory_sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await started(memory_sessions(lease=SHORT))
    await agent.send(SECRET)
    heir = await started(memory_sessions(probe=certainly_dead))
    with pytest.raises(SegueError) as fenced:
        await agent.send(f"Too late, {SECRET}")

    assert SECRET not in str(fenced.value)
    assert SECRET not in repr(fenced.value)
    assert not leaks(caplog)
    with contextlib.suppress(SegueError):
        await agent.stop()
    await heir.stop()
