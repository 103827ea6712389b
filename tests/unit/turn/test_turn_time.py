"""Text turns whose time is short, and models that fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.support.waiting import eventually, within
from tests.unit.turn.conftest import InvocationTime, Person, journal, messages
from tests.unit.turn.items import item
from turn.post import MessageOutcome
from turn.turn import TURN_SETTINGS, OutOfTime
from turn.turn_outbox import Undelivered


def never_ending(time: InvocationTime) -> Callable[[], Awaitable[None]]:
    """Return a step of the model that takes all of the time that an agent has, and goes on."""

    async def think() -> None:
        time.left = TURN_SETTINGS.reserve_seconds - 0.1
        await asyncio.Event().wait()

    return think


# --- time


@pytest.mark.slow
async def test_no_further_call_of_the_model_begins_near_the_end(world, processes):
    process, person, time = processes(), Person(world), InvocationTime()
    delivery = await person.say(process, "Remember that I like tea")
    first = True

    async def think() -> None:  # the first answer, a tool call, comes when the last call is over
        nonlocal first
        if first:
            first = False
            last_call, reserve = TURN_SETTINGS.last_call_seconds, TURN_SETTINGS.reserve_seconds
            time.left = last_call - 1.0
            await eventually(lambda: time.reserves == [last_call, reserve])

    process.think = think
    with pytest.raises(OutOfTime):
        await process.take(delivery, time=time)
    assert not (await item(world)).held
    assert messages(await journal(world)) == [
        ("user", "Remember that I like tea"),
        ("assistant", "toolUse"),
        ("user", "toolResult"),
    ]

    await processes().take(delivery, repeated=True)
    await person.settle(processes())
    assert person.texts == ["noted 1"]
    assert world.noted == ["I like tea"]


@pytest.mark.slow
async def test_a_call_that_takes_too_long_is_cut_off_and_made_again(world, processes):
    process, person, time = processes(), Person(world), InvocationTime()
    delivery = await person.say(process, "repeat after me tea")
    process.think = never_ending(time)
    with pytest.raises(OutOfTime):
        await process.take(delivery, time=time)
    assert not (await item(world)).held
    person.listen()
    assert person.conversation.unacknowledged == 0  # the text is durable, the answer is owed
    assert messages(await journal(world)) == [("user", "repeat after me tea")]

    await processes().take(delivery, repeated=True)
    await person.settle(processes())
    assert person.texts == ["tea"]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]


@pytest.mark.slow
async def test_a_client_that_cannot_be_told_in_time_does_not_keep_the_session_held(world, processes):
    process, person, time = processes(times={"last_call_seconds": 0.0}), Person(world), InvocationTime()
    delivery = await person.say(process, "repeat after me tea")
    answered = threading.Event()

    async def think() -> None:
        time.left = TURN_SETTINGS.release_seconds + 0.1  # for the client

    process.think = think
    world.refuse = lambda _: MessageOutcome.DELIVERED if answered.wait(60) else MessageOutcome.FAILED
    try:
        async with within(20):
            with pytest.raises(Undelivered):
                await process.take(delivery, time=time)
        assert not (await item(world)).held
    finally:
        answered.set()
    process.think = process._step
    await process.take(delivery, repeated=True)
    await person.settle(process)
    assert person.texts == ["tea"]
    assert len(messages(await journal(world))) == 2


@pytest.mark.slow
async def test_an_agent_that_was_cut_off_is_not_kept_whatever_else_fails(world, processes):
    process, person, time = processes(), Person(world), InvocationTime()
    delivery = await person.say(process, "repeat after me tea")
    process.think = never_ending(time)
    world.refuse = lambda _: MessageOutcome.FAILED
    with pytest.raises(OutOfTime):
        await process.take(delivery, time=time)
    assert not process.sessions._kept


async def test_a_model_that_fails_leaves_its_turn_to_the_next_try(world, processes):
    process, person = processes(), Person(world)
    delivery = await person.say(process, "repeat after me tea")

    async def fail() -> None:
        raise RuntimeError("the provider has a bad day")

    process.think = fail
    with pytest.raises(RuntimeError):
        await process.take(delivery)
    assert not (await item(world)).held
    process.think = process._step
    await process.take(delivery, repeated=True)
    await person.settle(process)
    assert person.texts == ["tea"]
    assert [role for role, _ in messages(await journal(world))] == ["user", "assistant"]
