"""A summary is kept twice: as a message, and in the conversation manager's state. Redacted, it is in neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import SummarizingConversationManager
from strands.types.exceptions import ContextWindowOverflowException

import segue.journal.blocks
from segue.journal.blocks import unpack
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import recorder_of
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

SECRET = "they paid with card 4111"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 4)


def holding(storage: MemoryStorage) -> list[str]:
    return [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]


async def agent_of(manager: Any, *replies: Any) -> Agent:
    await manager.open()
    summarizing = SummarizingConversationManager(summary_ratio=0.5, preserve_recent_messages=2)
    return Agent(
        model=FakeModel(replies), session_manager=manager, conversation_manager=summarizing, callback_handler=None
    )


async def summarized(manager: Any) -> Agent:
    overflow = ContextWindowOverflowException("too long")
    agent = await agent_of(manager, "A1", "A2", "A3", overflow, SECRET, "A4", "A5")
    for number in range(1, 5):
        await agent.invoke_async(f"Q{number}")
    assert SECRET in str(agent.conversation_manager.get_state())
    return agent


def id_of_summary(agent: Agent) -> str:
    return next(message["tracking_id"] for message in agent.messages if SECRET in str(message))


@pytest.mark.parametrize("restored", [False, True], ids=["where it was made", "after a restore"])
async def test_a_redacted_summary_is_in_no_object(
    memory_sessions: Sessions, storage: MemoryStorage, restored: bool
) -> None:
    manager = memory_sessions()
    agent = await summarized(manager)
    if restored:
        await manager.close()
        manager = memory_sessions()
        agent = await agent_of(manager, "A5")
    assert holding(storage)

    await manager.redact(id_of_summary(agent))

    assert not holding(storage)
    assert SECRET not in str(agent.conversation_manager.get_state())
    await agent.invoke_async("Q5")
    await manager.close()
    assert not holding(storage), "a later record brings the redacted summary back"
    heir = await agent_of(memory_sessions())
    assert heir.messages == agent.messages
    assert heir.conversation_manager.get_state() == agent.conversation_manager.get_state()
    assert SECRET not in str(heir.messages)


@pytest.mark.parametrize("kind", ["get", "list"])
async def test_a_holder_that_finishes_it_does_not_bring_it_back(
    memory_sessions: Sessions, storage: MemoryStorage, kind: str
) -> None:
    manager = memory_sessions()
    agent = await summarized(manager)
    storage.before = down = Unavailable(kind)
    recorder_of(manager).redact(id_of_summary(agent), "gone")
    await eventually(lambda: down.failed)
    crash(manager)
    down.on = False

    manager = memory_sessions(probe=certainly_dead)
    heir = await agent_of(manager, "A5")

    assert not holding(storage)
    assert SECRET not in str(heir.conversation_manager.get_state())
    heir.conversation_manager.removed_message_count += 1  # so that the state is recorded again
    await heir.invoke_async("Q5")
    await manager.close()
    assert not holding(storage)


async def test_a_summary_keeps_a_redacted_messages_text_until_it_is_redacted_itself(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager = memory_sessions()
    agent = await agent_of(
        manager, "A1", "A2", "A3", ContextWindowOverflowException("too long"), f"Summary: {SECRET}.", "A4"
    )
    await agent.invoke_async(SECRET)
    swallowed = agent.messages[0]["tracking_id"]
    for number in range(2, 5):
        await agent.invoke_async(f"Q{number}")
    summary = id_of_summary(agent)
    assert swallowed != summary

    await manager.redact(swallowed)
    assert holding(storage), "a summary does not tell its sources"
    await manager.redact(summary)

    assert not holding(storage)
    await manager.close()
