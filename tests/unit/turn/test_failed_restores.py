"""A text function whose agent cannot be restored changes nothing, however often its message comes again."""

from __future__ import annotations

from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from segue.wire.frames import TextInput
from shared.agent_code import AgentFailed
from tests.support.memory_manager import MemorySessionManager
from tests.unit.turn.conftest import KEY, Person, Process, World


class Unwilling(SlidingWindowConversationManager):
    """A conversation manager that cannot be restored from any state."""

    def restore_from_session(self, state: dict[str, Any]) -> Any:
        raise ValueError("a state of another release")


async def records(world: World) -> list[Any]:
    manager = MemorySessionManager(storage=world.storage, principal="alice", acquire_timeout=0.0)
    await manager.open()
    journal = await manager._calls.run(manager._slot.require().read())
    await manager.close()
    return list(journal.records)


async def test_an_agent_that_cannot_be_restored_records_nothing_at_any_try() -> None:
    world = World()
    person = Person(world)
    person.conversation.say(TextInput(text="Hello"))
    await person.settle(Process(world))
    before = await records(world)
    process = Process(world)
    build = process._agent

    def redeployed(manager: Any) -> Any:
        agent = build(None)
        return type(agent)(
            model=agent.model, session_manager=manager, conversation_manager=Unwilling(), callback_handler=None
        )

    process.sessions._new_agent = redeployed
    for _ in range(3):
        with pytest.raises(AgentFailed) as failed:
            await process.sessions.acquire_session(KEY)
        assert "another release" in str(failed.value.__cause__)

    assert await records(world) == before
    process.sessions._new_agent = build
    session = await process.sessions.acquire_session(KEY)
    assert len(session.agent.messages) == 2
    await process.sessions.keep_session(session)
