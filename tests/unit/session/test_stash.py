"""Messages that a context manager offloads are there after a restore, as with Strands' snapshots."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from strands import Agent, tool
from strands.experimental.context_manager import ContextManager, Offload
from strands.session import SnapshotSessionManager
from strands.storage import InMemoryStorage, LocalFileStorage

from tests.support.fake_model import FakeModel, tool_call
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import Sessions

PAGE = "All that the page says. " * 400
"""More than a context manager leaves in the history."""


@tool
def read_page() -> str:
    """Read a page."""
    return PAGE


def agent_of(manager: Any, *replies: Any, **options: Any) -> Agent:
    return Agent(
        model=FakeModel(replies),
        session_manager=manager,
        tools=[read_page],
        callback_handler=None,
        **{"context_manager": "auto", **options},
    )


def stash(agent: Agent) -> dict[str, Any]:
    """All that the agent's stash has."""
    assert agent.context_manager is not None
    assert agent.context_manager.stash is not None
    return asyncio.run(agent.context_manager.stash.take_snapshot())


def store(agent: Agent, name: str, value: bytes) -> str:
    assert agent.context_manager is not None
    assert agent.context_manager.stash is not None
    return asyncio.run(agent.context_manager.stash.store(name, 0, value))


def kinds(storage: MemoryStorage, sessions: Sessions) -> list[str]:
    with sessions() as manager:
        return [record.kind for record in manager._runtime.run_sync(manager._slot.require().read()).records]


def test_a_shortened_tool_result_is_whole_in_the_restored_stash(memory_sessions: Sessions) -> None:
    with memory_sessions() as manager:
        agent = agent_of(manager, tool_call("read_page", "t1"), "Done")
        agent("Read it")
        (result,) = [block["toolResult"] for one in agent.messages for block in one["content"] if "toolResult" in block]
        assert len(result["content"][0]["text"]) < len(PAGE), "the context manager has shortened it"
        before = stash(agent)

    with memory_sessions() as manager:
        restored = agent_of(manager)

        assert restored.messages == agent.messages
        assert stash(restored)["t1_0"] == {"text": PAGE}
        assert stash(restored) == before


def test_strands_snapshot_manager_restores_the_stash_too() -> None:
    kept = InMemoryStorage()
    agent = agent_of(SnapshotSessionManager("talk", storage=kept), tool_call("read_page", "t1"), "Done")
    agent("Read it")
    store(agent, "mine", b'"a note"')
    agent("Again")

    assert stash(agent_of(SnapshotSessionManager("talk", storage=kept))) == stash(agent)


def test_messages_that_left_the_history_are_in_the_restored_stash(memory_sessions: Sessions) -> None:
    drop = ContextManager(strategies=[Offload.drop("*").when(utilization=0.0, preserve_recent=1)])
    with memory_sessions() as manager:
        agent = agent_of(manager, "One", "Two", "Three", context_manager=drop)
        for text in ("First", "Second", "Third"):
            agent(text)
        assert "Second" not in str(agent.messages)

    with memory_sessions() as manager:
        restored = agent_of(manager)

        assert restored.messages == agent.messages
        assert {"text": "Second"} in stash(restored).values()


def test_entries_that_a_program_stored_in_the_stash_are_restored(memory_sessions: Sessions) -> None:
    with memory_sessions() as manager:
        agent = agent_of(manager)
        kept, changed, gone = (store(agent, name, b'{"a": [1]}') for name in ("kept", "changed", "gone"))
        agent("Hello")
        store(agent, "changed", b'"anew"')
        assert agent.context_manager is not None
        assert agent.context_manager.stash is not None
        asyncio.run(agent.context_manager.stash.delete(gone))

    with memory_sessions() as manager:
        found = stash(agent_of(manager))

    assert found[kept] == {"a": [1]}
    assert found[changed] == "anew"
    assert gone not in found


def test_a_session_records_the_presence_of_a_stash_once(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    for _ in range(3):
        with memory_sessions() as manager:
            agent_of(manager, tool_call("read_page", "t1"), "Done")("Read it")

    assert kinds(storage, memory_sessions).count("stash") == 1, "one record says that the session has a stash"


@pytest.mark.parametrize("options", [{"context_manager": None}, {"context_manager": False}], ids=str)
def test_an_agent_without_a_stash_records_none(
    memory_sessions: Sessions, storage: MemoryStorage, options: dict[str, Any]
) -> None:
    with memory_sessions() as manager:
        agent_of(manager, tool_call("read_page", "t1"), "Done", **options)("Read it")

    assert "stash" not in kinds(storage, memory_sessions)


def test_a_stash_with_storage_of_its_own_is_not_recorded(
    memory_sessions: Sessions, storage: MemoryStorage, tmp_path: Any
) -> None:
    elsewhere = ContextManager(stash={"storage": LocalFileStorage(str(tmp_path))})
    with memory_sessions() as manager:
        agent = agent_of(manager, tool_call("read_page", "t1"), "Done", context_manager=elsewhere)
        store(agent, "mine", b'"a note"')
        agent("Read it")

    assert "stash" not in kinds(storage, memory_sessions)


@pytest.mark.parametrize("held", [True, False])
async def test_a_redacted_message_is_gone_from_the_stash(
    memory_sessions: Sessions, storage: MemoryStorage, held: bool
) -> None:
    manager = memory_sessions()
    await manager.open()
    agent = agent_of(manager, "Noted")
    await agent.invoke_async("My number is 4711")
    tracking_id = agent.messages[0]["tracking_id"]
    if not held:
        del agent.messages[:]
        await agent.invoke_async("Hello")
    assert agent.context_manager is not None
    assert agent.context_manager.stash is not None
    assert "4711" in str(await agent.context_manager.stash.take_snapshot())

    await manager.redact(tracking_id)

    assert "4711" not in str(await agent.context_manager.stash.take_snapshot())
    await manager.close()
    await (after := memory_sessions()).open()
    restored = agent_of(after)
    assert restored.context_manager is not None
    assert restored.context_manager.stash is not None
    assert "4711" not in str(await restored.context_manager.stash.take_snapshot())
    await after.close()


def test_a_session_that_began_without_a_stash_gets_one_later(memory_sessions: Sessions) -> None:
    with memory_sessions() as manager:
        agent_of(manager, tool_call("read_page", "t1"), "Done", context_manager=None)("Read it")
    with memory_sessions() as manager:
        agent_of(manager)("Go on")
    with memory_sessions() as manager:
        assert stash(agent_of(manager))["t1_0"] == {"text": PAGE}
