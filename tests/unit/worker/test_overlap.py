"""A handoff in which the conversation goes on while the successor's model is started (RFC 0028)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from strands.bidi import BidiAgent
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.wire.claims import Prepared
from segue.wire.frames import Ready
from tests.support.memory_manager import Latch
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually
from tests.unit.worker.handoffs import Worker, conversation, drain
from tests.unit.worker.stand_ins import AddingModel, audio, claim, delivery, finals, text
from tests.unit.worker.worlds import World, weather
from worker.conversation.input import unanswered_audio
from worker.hosting.handoff import PREPARATIONS
from worker.providers.continuous_model import ContinuousModel
from worker.providers.settings import Settings


@pytest.fixture
def world(world: World) -> World:
    """Models of a provider that takes additions."""

    def build(manager: Any) -> BidiAgent:
        model = AddingModel()
        world.models.append(model)
        settings = Settings.from_environment({"SEGUE_PROVIDER": "offline"})
        return BidiAgent(model=ContinuousModel(model, settings), tools=[weather], session_manager=manager)

    world.build_agent = build  # type: ignore[method-assign]
    return world


@pytest.fixture
async def old(world: World) -> AsyncIterator[Worker]:
    worker = await Worker(world, "old", "1").begin()
    yield worker
    await worker.end()


@pytest.fixture
async def new(world: World) -> AsyncIterator[Worker]:
    worker = await Worker(world, "new", "2").begin()
    yield worker
    await worker.end()


async def say(world: World, old: Worker, words: str, seq: int) -> None:
    """A turn at the old worker."""
    old.session.deliver(delivery(text(words, seq)))
    await eventually(lambda: words in world.models[0].texts)
    stream = [BidiResponseStartEvent("r"), *spoken(f"Yes, {words}", content_id=words), BidiResponseStopEvent("r")]
    world.models[0].emit(stream)
    await eventually(lambda: old.session.turn.at_boundary and f"Yes, {words}" in finals(world.clients))


def started(world: World) -> list[AddingModel]:
    """The successors' models that were connected."""
    return [model for model in world.models[1:] if model.started_with]


def writes(storage):
    """Writes of sessions, in order, without the heartbeats: their time comes when it comes."""
    return [kind for kind in storage.writes if kind != "beat"]


async def test_the_model_of_an_earlier_state_is_told_what_came_since(world, old, new, storage):
    await conversation(world, old, "one")
    first = await new.host.prepare(claim(reason="handoff"))
    assert first.additions
    await say(world, old, "two", 2)
    written = writes(storage)
    again = await new.host.prepare(claim(reason="handoff"))
    assert again == Prepared(head=old.session.position, additions=True)
    assert writes(storage) == written
    (model,) = started(world)
    assert [[message["role"] for message in added] for added in model.added] == [["user", "assistant"]]
    assert model.told == ["one", "Yes, one", "two", "Yes, two"]
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert started(world) == [model], "the model was started again"
    assert model.told == ["one", "Yes, one", "two", "Yes, two"]
    assert (model.sent, model.stops) == ([], 0)
    assert world.clients.of("k1", Ready)[1].history == 4, "no addition is recorded again"
    new.session.deliver(delivery(text("three", 3)))
    await eventually(lambda: model.texts == ["three"])


async def test_a_caller_who_never_pauses_does_not_wait_for_the_models_start(world, old, new):
    """Records come each time that the successor is ready: the last are added in the gap."""
    await conversation(world, old, "one")
    prepare = new.claims.prepare
    number = 1

    async def spoken_meanwhile(one: Any) -> Prepared:
        nonlocal number
        prepared = await prepare(one)
        number += 1
        await say(world, old, f"words {number}", number)
        return prepared

    new.claims.prepare = spoken_meanwhile
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert len(new.posted) == PREPARATIONS
    (model,) = started(world)
    assert len(model.started_with) == 1
    said = [words for turn in ("one", "words 2", "words 3", "words 4") for words in (turn, f"Yes, {turn}")]
    assert model.told == said
    messages = new.session._agent.messages
    assert [block["text"] for message in messages for block in message["content"]] == said
    assert model.sent == []
    assert old.queue.sent == []


async def test_additions_that_are_refused_in_the_gap_lead_to_another_start(world, old, new):
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    (first,) = started(world)
    first.add_failure = ValueError("no additions")
    await say(world, old, "two", 2)
    await old.session.stop()
    await new.host.open_session(claim(reason="handoff"))
    second = started(world)[1]
    assert second.told == ["one", "Yes, one", "two", "Yes, two"]
    assert len(second.started_with) == 1
    await eventually(lambda: first.stops == 1)


async def test_after_a_refused_addition_the_predecessor_waits_for_a_silence_in_which_none_is_needed(world, old, new):
    """Else the next addition, and another start after it, would be in the gap."""
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    started(world)[0].add_failure = ValueError("no additions")
    await say(world, old, "two", 2)
    again = await new.host.prepare(claim(reason="handoff"))
    assert again == Prepared(head=old.session.position, additions=False)
    await say(world, old, "three", 3)
    assert not (await new.host.prepare(claim(reason="handoff"))).additions
    assert [model.added for model in started(world)] == [[], [], []], "additions are not tried over and over"
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert len(started(world)) == 3


async def test_the_last_words_without_an_answer_are_asked_and_not_added(world, old, new):
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    old.session.deliver(delivery(text("two", 2)))
    await eventually(lambda: "two" in world.models[0].texts)
    await old.session.stop()
    await new.host.open_session(claim(reason="handoff"))
    (model,) = started(world)
    assert (model.told, model.added) == (["one", "Yes, one"], [])
    await eventually(lambda: model.texts == ["two"])


async def test_a_preparation_that_is_given_up_closes_the_connection_that_it_went_on_from(world, old, new):
    await conversation(world, old, "one")
    await new.host.prepare(claim(reason="handoff"))
    (first,) = started(world)
    world.storage.before = latch = Latch("get")
    await say(world, old, "two", 2)
    preparing = asyncio.create_task(new.host.prepare(claim(reason="handoff")))
    await latch.reached.wait()
    await new.host.standbys.clear()
    latch.go.set()
    await asyncio.wait({preparing})
    assert first.stops == 1
    assert new.host.standbys.keys == set()


async def test_silence_is_not_recorded_while_a_successor_that_is_ready_waits(world, old, new, monkeypatch):
    """An open microphone would otherwise make it out of date each time."""
    await conversation(world, old, "one")
    monkeypatch.setattr(unanswered_audio, "SILENCE_SECONDS", 0.0)
    prepare = new.claims.prepare
    given = 0

    async def silent_meanwhile(one: Any) -> Prepared:
        nonlocal given
        prepared = await prepare(one)
        given += 1
        old.session.deliver(delivery(audio(1 + given, sample=0)))
        await eventually(lambda: len(world.models[0].audio) == given)
        return prepared

    new.claims.prepare = silent_meanwhile
    await drain(old, new)
    await eventually(lambda: len(world.clients.of("k1", Ready)) == 2)
    assert len(new.posted) == 1
