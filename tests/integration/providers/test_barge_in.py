"""Barge-in: the recorded part of an answer is the heard part, and a provider that can be told of it is told."""

from __future__ import annotations

from typing import Any

import pytest
from strands.bidi.types.events import BidiAudioDeltaEvent, BidiBargeInEvent

from tests.support.provider_calls import Call, said
from tests.support.waiting import eventually
from worker.providers import AnswerCut
from worker.providers.speech.truncation import NOTHING

ALL = ["nova-sonic", "openai-realtime", "gemini-live"]
WORDS = 100
"""Words of the answer that is cut: twenty seconds, since a busy machine takes long to speak over it."""

GENERATED = 80
"""Words of an answer that is interrupted while it is generated, however long that takes."""

HEARD_AFTER = ["nova-sonic", "openai-realtime"]
"""Gemini does not call a turn complete before its answer has been played, so there is no such time."""


def answers(call: Call) -> list[str]:
    return [text for role, text in said(call.agent.messages) if role == "assistant"]


def questions(call: Call) -> list[str]:
    return [text for role, text in said(call.agent.messages) if role == "user"]


async def interrupt(call: Call) -> AnswerCut:
    """Speak over the answer, and wait for what is made of that."""
    since = len(call.events)
    await call.speak("My name is Bob", over=True)
    await call.until("Hello Bob", since)
    assert call.of(BidiBargeInEvent)
    assert questions(call) == [f"count to {WORDS}", "My name is Bob"], "what cuts in is a sentence of its own"
    return call.of(AnswerCut)[-1]


async def begin(call: Call, fake: Any, words: int) -> None:
    """Ask for a long answer, and wait until so many words of it have sounded, by the provider and by the worker."""
    await call.speak(f"count to {WORDS}")
    await eventually(lambda: call.of(BidiAudioDeltaEvent), 20)
    await eventually(lambda: len(fake.conversation.heard.split()) >= words and call.heard_words >= words, 20)


@pytest.mark.parametrize("name", ALL)
async def test_the_heard_part_of_an_answer_that_is_cut_off_is_recorded(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.words_generated = GENERATED
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    cut = await interrupt(call)
    assert cut.recorded.startswith(cut.heard)
    assert 0 < len(cut.heard.split()) < len(cut.recorded.split()) < WORDS
    assert answers(call) == [cut.heard, "Hello Bob, nice to meet you."]


@pytest.mark.parametrize("name", ALL)
async def test_an_interrupted_conversation_is_handed_over_as_it_was_heard(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.words_generated = GENERATED
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    await interrupt(call)
    before = said(call.agent.messages)
    await call.manager.durable()
    fake.updates = False  # from here on nothing but the history
    await call.kill()
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Bob")
    if fake.conversation.setup.handle is None:
        assert fake.conversation.setup.history == before


@pytest.mark.parametrize("name", HEARD_AFTER)
async def test_the_heard_part_of_a_complete_answer_that_still_plays_is_recorded(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.plays = True
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    await eventually(lambda: any(f"{WORDS}." in text for text in answers(call)))
    cut = await interrupt(call)
    assert cut.recorded.endswith(f"{WORDS}.")
    assert cut.recorded.startswith(cut.heard)
    assert 3 <= len(cut.heard.split()) < WORDS
    assert answers(call) == [cut.heard, "Hello Bob, nice to meet you."]


@pytest.mark.parametrize("name", HEARD_AFTER)
async def test_the_provider_and_a_successor_remember_the_same(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.plays = True
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    cut = await interrupt(call)
    conversation = fake.conversation
    await eventually(lambda: [turn.text.split() for turn in conversation.turns][1] == cut.heard.split())
    await call.manager.durable()
    await call.kill()
    await new_call(fake, storage)
    await eventually(lambda: len(fake.conversations) == 2 and len(fake.conversation.setup.history) == 4)
    assert fake.conversation.setup.history[1] == ("assistant", cut.heard)


async def test_novas_own_word_on_the_heard_text_wins_over_the_clock(new_fake, new_call, storage, monkeypatch):
    fake = await new_fake("nova-sonic")
    fake.plays = True
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    monkeypatch.setattr(type(fake.conversation), "heard", "1,")
    cut = await interrupt(call)
    assert cut.heard == "1,"
    assert answers(call)[0] == "1,"


async def test_openai_is_told_how_much_of_its_speech_was_heard(new_fake, new_call, storage):
    fake = await new_fake("openai-realtime")
    fake.words_generated = GENERATED
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    await interrupt(call)
    assert len(fake.conversation.truncated) == 1, "the fake refuses more milliseconds than it has spoken"


async def test_a_report_of_what_was_played_corrects_once_more(new_fake, new_call, storage):
    fake = await new_fake("openai-realtime")
    fake.words_generated = GENERATED
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    cut = await interrupt(call)
    call.agent.model.shorten(60.0)
    await eventually(lambda: call.of(AnswerCut)[-1] is not cut, 20)
    again = call.of(AnswerCut)[-1]
    assert (again.recorded, again.heard) == (cut.heard, NOTHING)
    await eventually(lambda: len(fake.conversation.truncated) == 2, 20)  # it is told as well


async def test_a_barge_in_on_a_new_connection_cuts_the_answer_of_the_ended_one(new_fake, new_call, storage):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    await begin(call, fake, 3)
    await eventually(lambda: any(f"{WORDS}." in text for text in answers(call)))
    await fake.conversation.drop()
    await eventually(lambda: len(fake.conversations) == 2 and fake.conversation.setup.config)
    cut = await interrupt(call)
    assert 3 <= len(cut.heard.split()) < WORDS
    assert answers(call)[0] == cut.heard
    assert fake.conversation.truncated == [], "the new connection does not know the ended one's speech"


@pytest.mark.parametrize("name", ALL)
async def test_an_answer_that_was_heard_to_its_end_stays_as_it_is(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await call.speak("What's my name?")
    await call.until("Your name is Alice")
    assert answers(call) == ["Hello Alice, nice to meet you.", "Your name is Alice."]
    assert not call.of(BidiBargeInEvent)
    assert not call.of(AnswerCut)
    assert not getattr(fake.conversation, "truncated", [])
