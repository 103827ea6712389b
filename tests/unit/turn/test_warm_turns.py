"""Turns of a warm process, and of one that dies at any step."""

from __future__ import annotations

import pytest

from segue.wire.frames import (
    Tool,
)
from tests.support.emf import metrics_told
from tests.support.waiting import eventually
from tests.unit.turn.conftest import Person, Process, World, journal, messages

# --- warm


async def test_a_warm_process_reads_nothing_when_no_other_process_wrote(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "My name is Alice"))
    await person.settle(process)
    delivery = await person.say(process, "What is my name?")
    process.storage.requests.clear()
    await process.take(delivery)

    asked = [operation for operation, _ in process.storage.requests]
    assert asked.count("get") == asked.count("list") == 0
    assert asked.count("read") == 1
    # acquire; the user's message; the answer; release
    assert (asked.count("put"), asked.count("write")) == (2, 4)
    await person.settle(process)
    assert person.texts[-1] == "Your name is Alice."


async def test_commits_and_restores_of_turns_are_counted(world, processes):
    process, person = processes(), Person(world)
    with metrics_told(service="segue-turn", stage="test") as lines:
        await process.take(await person.say(process, "My name is Alice"))
        await eventually(lambda: "CommitLatency" in lines.values)
    assert {name for _, name, _ in lines.found} == {"Commits", "CommitLatency", "Restores", "RestoreTime"}
    delivery = await person.say(process, "What is my name?")
    with metrics_told(service="segue-turn", stage="test") as lines:
        await process.take(delivery)
        await eventually(lambda: "CommitLatency" in lines.values)
    assert {name for _, name, _ in lines.found} == {"Commits", "CommitLatency"}, "a warm process reads nothing"


async def test_a_warm_process_restores_when_another_process_wrote(world, processes):
    warm, other, person = processes(), processes(), Person(world)
    await warm.take(await person.say(warm, "My name is Alice"))
    await other.take(await person.say(warm, "My name is Bob"))
    delivery = await person.say(other, "What is my name?")
    warm.storage.requests.clear()
    await warm.take(delivery)

    assert "get" in [operation for operation, _ in warm.storage.requests]
    await person.settle(warm)
    assert person.texts[-1] == "Your name is Bob."
    assert len(messages(await journal(world))) == 6


async def test_sessions_kept_by_a_process_are_bounded_in_number(world, processes):
    process = processes()
    process.sessions._kept.most = 2
    for name in "abc":
        await process.sessions.keep_session(await process.sessions.acquire_session(f"alice/{name}"))
    assert list(process.sessions._kept) == ["alice/b", "alice/c"]


# --- crashes


@pytest.mark.slow
@pytest.mark.parametrize("text", ["repeat after me tea", "Remember that I like tea"])
async def test_a_message_is_answered_exactly_once_whenever_a_process_dies(text):
    died = 0
    for step in range(1, 200):
        world = World()
        first = Process(world)
        person = Person(world)
        delivery = await person.say(first, text)
        doomed = Process(world, dies_at=step)
        await doomed.take(delivery)
        if not doomed.died.is_set():
            break
        died += 1
        await eventually(lambda: not any(manager.lease_is_fresh() for manager in doomed.managers))  # noqa: B023
        second = Process(world)
        await second.take(delivery, repeated=True)
        await person.settle(second)

        answer = "tea" if text.startswith("repeat") else person.texts[-1]
        assert person.texts == [answer], f"died at step {step}"
        assert person.conversation.unacknowledged == 0
        recorded = messages(await journal(world))
        assert recorded.count(("user", text)) == 1, f"died at step {step}: {recorded}"
        assert [role for role, what in recorded if what == answer] == ["assistant"], f"died at step {step}"
        assert [frame.status for frame in person.shown if isinstance(frame, Tool)][:1] in ([], ["started"])
        for process in (first, doomed, second):
            process.crash()
    assert died > 15
