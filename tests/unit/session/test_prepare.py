"""A successor that gets ready before its predecessor releases."""

from __future__ import annotations

import pytest
from strands.bidi import BidiAgent

from segue import SessionFenced, SessionNotFound
from tests.support.memory_manager import MemorySessionManager, MemoryStorage, kind_of
from tests.support.scripted_model import ScriptedModel, answered, until


def manager(storage: MemoryStorage, **options) -> MemorySessionManager:
    return MemorySessionManager(storage=storage, **{"durability": "gate", "acquire_timeout": 0.0, **options})


async def holding(storage: MemoryStorage, *texts: str) -> tuple[MemorySessionManager, BidiAgent]:
    """A holder whose session contains some texts."""
    holder = manager(storage)
    await holder.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=holder)
    await agent.start()
    for text in texts:
        await agent.send(text)
    await holder.flush()
    return holder, agent


def texts_of(agent: BidiAgent) -> list[str]:
    return [block["text"] for message in agent.messages for block in message["content"]]


async def test_a_prepared_successor_reads_no_objects_again_when_it_opens():
    storage = MemoryStorage()
    holder, agent = await holding(storage, "one", "two")
    successor = manager(storage)
    assert await successor.prepare() == holder.head
    heir = BidiAgent(model=ScriptedModel(), session_manager=successor)
    assert texts_of(heir) == ["one", "two"]
    await agent.stop()
    storage.requests.clear()
    await successor.open()
    assert [operation for operation, _ in storage.requests] == ["read", "write"]
    assert successor.head == holder.head
    await heir.start()
    await heir.send("three")
    await heir.stop()
    reader = manager(storage)
    await reader.open()
    assert texts_of(BidiAgent(model=ScriptedModel(), session_manager=reader)) == ["one", "two", "three"]
    await reader.close()


async def test_records_of_a_prepared_agent_are_committed_once_it_holds():
    storage = MemoryStorage()
    holder, agent = await holding(storage, "one")
    successor = manager(storage)
    await successor.prepare()
    model = ScriptedModel()
    heir = BidiAgent(model=model, session_manager=successor)
    heir.state.set("mood", "ready")
    await heir.start()
    model.emit(answered("I speak unasked."))
    await until(heir, "bidi_response_stop")
    before = holder.head
    await agent.stop()
    await successor.open()
    await successor.flush()
    assert successor.head > before
    await heir.stop()
    reader = manager(storage)
    await reader.open()
    again = BidiAgent(model=ScriptedModel(), session_manager=reader)
    assert texts_of(again) == ["one", "I speak unasked."]
    assert again.state.get("mood") == "ready"
    await reader.close()


async def test_an_agent_on_a_session_that_has_gone_on_never_writes():
    storage = MemoryStorage()
    holder, agent = await holding(storage, "one")
    successor = manager(storage)
    await successor.prepare()
    BidiAgent(model=ScriptedModel(), session_manager=successor)
    await agent.send("two")
    await holder.leave()
    storage.requests.clear()
    with pytest.raises(SessionFenced):
        await successor.open()
    assert not [what for operation, what in storage.requests if operation == "write"]
    fresh = manager(storage)
    await fresh.open()
    assert texts_of(BidiAgent(model=ScriptedModel(), session_manager=fresh)) == ["one", "two"]
    await fresh.close()


async def test_without_an_agent_a_session_that_has_gone_on_is_read_again():
    storage = MemoryStorage()
    _, agent = await holding(storage, "one")
    successor = manager(storage)
    await successor.prepare()
    await agent.send("two")
    await agent.stop()
    await successor.open()
    assert texts_of(BidiAgent(model=ScriptedModel(), session_manager=successor)) == ["one", "two"]
    await successor.close()


async def test_a_prepared_agent_that_is_not_needed_leaves_no_trace():
    storage = MemoryStorage()
    holder, _ = await holding(storage, "one")
    successor = manager(storage)
    await successor.prepare()
    heir = BidiAgent(model=ScriptedModel(), session_manager=successor)
    heir.state.set("mood", "ready")
    await heir.start()
    storage.requests.clear()
    await heir.stop()
    assert storage.requests == []
    await holder.close()


async def test_there_is_nothing_to_prepare_in_a_session_that_never_was():
    with pytest.raises(SessionNotFound):
        await manager(MemoryStorage()).prepare()


async def test_writes_after_leave_are_fenced_and_reach_no_storage():
    storage = MemoryStorage()
    holder, agent = await holding(storage, "one")
    await holder.leave()
    released = [what for operation, what in storage.requests if operation == "write" and kind_of(what) == "release"]
    assert len(released) == 1
    storage.requests.clear()
    with pytest.raises(SessionFenced):
        await agent.send("too late")
    assert storage.requests == []


async def test_input_without_an_effect_is_recorded_and_changes_no_history():
    storage = MemoryStorage()
    holder, agent = await holding(storage, "one")
    holder.record_input("c1", (1, 2, 4))
    await agent.stop()
    reader = manager(storage)
    await reader.open()
    assert (reader.inputs["c1"].upto, reader.inputs["c1"].beyond) == (2, (4,))
    assert set(reader.history.agents) == {"default"}
    await reader.close()
