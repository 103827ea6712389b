"""Turns of text tell the conversation so far, and what is typed, to clients that ask for it."""

from __future__ import annotations

import msgspec

from segue.wire.frames import Error, Hello, HistoryOutput, HistoryRequest, Ready
from shared.conversation.history_pages import PAGES_AT_ONCE
from tests.unit.turn.conftest import Person, World


def lines(world: World, connection_id: str, *, page: bool) -> list[list[str | None]]:
    frames = [frame for frame in world.frames(connection_id) if isinstance(frame, HistoryOutput)]
    return [[line.text for line in frame.lines] for frame in frames if (frame.more is not None) is page]


async def test_a_client_that_comes_new_is_told_the_conversation(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "My name is Alice"))
    other = Person(world, "d", "d-1")
    await process.take(other.delivery(Hello(session="talk", client_id="d", connection=1, history=True)))
    assert [type(frame).__name__ for frame in world.frames("d-1")] == ["Ready", "InputAck", "HistoryOutput"]
    assert lines(world, "d-1", page=True) == [["My name is Alice", "Hello Alice, nice to meet you."]]
    assert world.frames("d-1")[0].features == ("history",)
    answer = world.frames("d-1")[-1].lines[1].record
    await process.take(other.delivery(HistoryRequest(before=answer, last_record=answer)))
    assert lines(world, "d-1", page=True)[1:] == [["My name is Alice"]]
    assert [frame.since for frame in world.frames("d-1") if isinstance(frame, Ready)] == [None, answer]
    assert not lines(world, "c-1", page=True)


async def test_typed_text_reaches_the_clients_that_asked_for_history(world, processes):
    process, person, other = processes(), Person(world), Person(world, "d", "d-1")
    world.addresses["d"] = msgspec.structs.replace(other.address, history=True)
    await process.take(await person.say(process, "My name is Alice"))
    assert lines(world, "d-1", page=False) == [["My name is Alice"]]
    assert lines(world, "c-1", page=False) == []


async def test_a_client_that_asks_too_fast_for_pages_costs_no_acquisition(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "My name is Alice"))
    said = len(world.frames())

    async def ask(times: int, client: Person = person) -> list[str]:
        told = len(world.posted)
        for _ in range(times):
            await process.take(client.delivery(HistoryRequest(before=1)))
        return [frame.code for _, frame in world.posted[told:] if isinstance(frame, Error)]

    assert await ask(PAGES_AT_ONCE) == []
    acquired = len(process.storage.requests)
    assert await ask(5) == ["too_fast"] * 5
    assert len(process.storage.requests) == acquired
    assert await ask(1, Person(world, "d", "d-1")) == [], "another client's pages are its own"
    world.later += 0.2
    assert await ask(3) == ["too_fast"], "ten a second"
    assert len([frame for frame in world.frames()[said:] if isinstance(frame, HistoryOutput)]) == PAGES_AT_ONCE + 2
