"""Which client input the records contain, as a successor learns it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from strands.hooks import HookOrder, MessageUpdatedEvent

from segue.lease.item import Known
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemoryStorage
from tests.support.scripted_model import spoken, until
from tests.support.sessions import manager_of, started

Sessions = Callable[..., Any]


async def known(sessions: Sessions, client_id: str = "page-1") -> Known | None:
    """Return the client's inputs that a successor knows."""
    heir = sessions(probe=certainly_dead)
    await heir.open()
    await heir.close()
    return heir.inputs.get(client_id)


@pytest.mark.slow
async def test_input_that_a_message_took_is_known_to_a_successor(s3_sessions: Sessions) -> None:
    agent = await started(s3_sessions())
    manager = manager_of(agent)
    for seq, text in enumerate(("One", "Two", "Three"), start=1):
        with manager.taking("page-1", seq):
            await agent.send(text)
    with manager.taking("page-2", 1):
        await agent.send("Hello from the other page")
    crash(manager)

    assert await known(s3_sessions) == Known(3)
    assert await known(s3_sessions, "page-2") == Known(1)


async def test_input_out_of_order_is_known_one_by_one(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    for seq in (1, 4, 2, 7):
        with manager_of(agent).taking("page-1", seq):
            await agent.send(f"{seq}")
    await agent.stop()

    assert await known(memory_sessions) == Known(2, (4, 7))


async def test_a_message_without_input_is_no_input(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    with manager_of(agent).taking("page-1", 1):
        await agent.send("One")
    await agent.send("Two")
    await agent.stop()

    assert await known(memory_sessions) == Known(1)


async def test_input_is_known_here_when_it_is_queued_and_there_when_it_is_durable(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(durability="gate"))
    manager = manager_of(agent)
    await manager.flush()
    storage.before = Latch("commit")
    with manager.taking("page-1", 1):
        await agent.send("One")
    assert manager.inputs == {"page-1": Known(1)}
    crash(manager)
    storage.before.go.set()

    assert await known(memory_sessions) is None


async def test_two_clients_that_speak_at_once_keep_their_own(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())

    async def speak(client_id: str) -> None:
        for seq in range(1, 6):
            with manager_of(agent).taking(client_id, seq):
                await agent.send(f"{client_id} {seq}")

    await asyncio.gather(speak("page-1"), speak("page-2"))
    await agent.stop()

    assert await known(memory_sessions) == Known(5)
    assert await known(memory_sessions, "page-2") == Known(5)


async def test_noted_input_goes_with_the_next_record(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    manager = manager_of(agent)

    def note(event: MessageUpdatedEvent) -> None:
        manager.note_input("page-1", [1, 2, 3])

    agent.hooks.add_callback(MessageUpdatedEvent, note, order=HookOrder.SDK_FIRST - 10)
    agent.model.emit(spoken("What's the weather?", role="user", content_id="u1"))
    await until(agent, "bidi_transcript_block")
    await agent.send("Not from a client")
    await agent.stop()

    assert await known(memory_sessions) == Known(3)
    numbers = [record for record in (await _records(memory_sessions)) if record.inputs]
    assert [record.inputs for record in numbers] == [("page-1", (1, 2, 3))]


async def test_noted_input_outlives_a_placeholder(memory_sessions: Sessions) -> None:
    # Audio is noted when it comes in; the transcript that it makes begins as a placeholder.
    agent = await started(memory_sessions())
    manager_of(agent).note_input("page-1", [1, 2])
    agent.model.emit(spoken("What's the weather?", role="user", content_id="u1"))
    await until(agent, "bidi_transcript_block")
    await agent.stop()

    assert await known(memory_sessions) == Known(2)


async def test_clients_that_were_not_heard_for_long_are_forgotten_first(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    for number in [*range(20), 5]:
        with manager_of(agent).taking(f"page-{number}", 1):
            await agent.send("Hi")
    await agent.stop()

    heir = memory_sessions()
    await heir.open()
    assert list(heir.inputs) == [f"page-{number}" for number in [4, *range(6, 20), 5]]


@pytest.mark.parametrize("client_id", ["", "two words", "a\nb", "x" * 129, "..", "page/1"])
async def test_a_client_id_that_would_break_the_guard_is_refused(memory_sessions: Sessions, client_id: str) -> None:
    manager = memory_sessions()
    await manager.open()

    with pytest.raises(ValueError, match="client id"), manager.taking(client_id, 1):
        pass
    with pytest.raises(ValueError, match="client id"):
        manager.note_input(client_id, [1])


@pytest.mark.parametrize("seq", [-1, 2**53, 10**17, True, 1.5, "1", None])
async def test_a_sequence_number_that_would_break_the_guard_is_refused(memory_sessions: Sessions, seq: Any) -> None:
    manager = memory_sessions()
    await manager.open()

    with pytest.raises(ValueError, match="sequence number"), manager.taking("client", seq):
        pass
    with pytest.raises(ValueError, match="sequence number"):
        manager.note_input("client", [seq])
    with pytest.raises(ValueError, match="sequence number"):
        manager.record_input("client", [0, seq])

    manager.record_input("client", [2**53 - 1])
    await manager.close()
    await memory_sessions().open()


async def _records(sessions: Sessions) -> list[Any]:
    from segue.journal.reader import read_unheld
    from segue.session.runtime import Runtime

    stores = await sessions()._stores()
    return (await read_unheld(stores.guard, stores.objects, "", "default/talk", Runtime.shared().clock)).records


async def test_input_without_effect_is_known_and_makes_no_agent(memory_sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    manager.record_input("c", [1, 2])
    await manager.close()
    successor = memory_sessions()
    await successor.open()

    assert successor.inputs == {"c": Known(2)}
    assert successor.history.agents == {}
    with pytest.raises(ValueError, match="client id"):
        successor.record_input("not a client", [3])
    await successor.close()
