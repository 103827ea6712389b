"""Additions: real clients of the providers tell the fakes what was said since a successor's model was connected."""

from __future__ import annotations

import pytest

from tests.integration.providers.test_continuity import CONVERSATION
from tests.support.provider_calls import said
from tests.support.waiting import eventually
from worker.hosting.standby import StandbySession
from worker.telemetry.metrics import Model


async def handed_over_late(call, new_call, fake, storage):
    """The successor gets ready after the first turn, and once more after the last, when nothing more is said."""
    await call.ask("My name is Alice", "Hello Alice")
    await call.manager.durable()
    first, second = [await new_call(fake, storage, opened=False) for _ in range(2)]
    earlier = await StandbySession.make(first.manager, first.new_agent)
    await call.speak("What's my name?")
    await call.until("Your name is Alice")
    await call.ask("use the tool weather with Paris", "sunny in Paris")
    await call.stop()
    ready = await StandbySession.make(second.manager, second.new_agent, earlier)
    await earlier.stop_agent()
    return await second.go_on(ready)


async def test_openai_gets_additions_as_items_in_order(new_fake, new_call, storage, counted):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    counted()
    call = await handed_over_late(call, new_call, fake, storage)
    assert len(fake.conversations) == 2, "the connection that was opened first is the one that goes on"
    (use,) = [item.removeprefix("call ") for item in fake.conversation.items if item.startswith("call ")]
    expected = [f"{role}: {text}" for role, text in CONVERSATION]
    expected[5:5] = [f"call {use}", f"output {use}"]
    await eventually(lambda: fake.conversation.items == expected)
    assert fake.conversation.live == [], "none of it is something to answer"
    await call.ask("Who am I? What's my name?", "Your name is Alice")
    assert fake.conversation.live == ["Who am I? What's my name?"]
    assert said(call.agent.messages)[:6] == CONVERSATION
    records = [text for role, text in said(call.agent.messages) if role == "user"]
    assert records == [*(text for role, text in CONVERSATION if role == "user"), "Who am I? What's my name?"]
    assert counted() == {Model.BY_NOTHING: 1, Model.BY_ADDITIONS: 1}


async def test_openai_is_connected_anew_when_it_refuses_an_addition(new_fake, new_call, storage, counted):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    fake.refused_items = {"Your name is Alice."}
    counted()
    call = await handed_over_late(call, new_call, fake, storage)
    await eventually(lambda: len(fake.conversations) == 3)
    await call.ask("Who am I? What's my name?", "Your name is Alice")
    assert [text for _, text in fake.conversation.setup.history[:2]] == [text for _, text in CONVERSATION[:2]]
    assert len(fake.conversations) == 3, "of a whole history it goes on without the items that it refuses"
    assert counted() == {Model.BY_NOTHING: 1, Model.BY_ADDITIONS: 1, Model.OFFER_REFUSED: 1, Model.BY_HISTORY: 1}


@pytest.mark.parametrize("name", ["nova-sonic", "gemini-live"])
async def test_a_provider_that_takes_none_is_connected_anew(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    call = await new_call(fake, storage)
    call = await handed_over_late(call, new_call, fake, storage)
    await eventually(lambda: len(fake.conversations) == 3 and fake.conversation.setup.history == CONVERSATION)
    await call.ask("Who am I? What's my name?", "Your name is Alice")
