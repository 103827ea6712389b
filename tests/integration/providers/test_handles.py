"""Gemini's handle, which no connection can resume while the one that it was given to is open."""

from __future__ import annotations

import contextlib

from websockets.exceptions import ConnectionClosed

from tests.support.provider_calls import Call
from tests.support.sessions import recorded_connection
from tests.support.waiting import eventually
from worker.hosting.standby import StandbySession

TOLD = [("user", "My name is Alice"), ("assistant", "Hello Alice, nice to meet you.")]


async def talk(call: Call) -> None:
    await call.ask("My name is Alice", "Hello Alice")
    await eventually(lambda: "handle" in recorded_connection(call.manager))
    await call.manager.durable()


async def test_a_prepared_successor_leaves_the_handle_to_the_holder(new_fake, new_call, storage):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await talk(call)
    successor = Call(storage, fake.environment())
    ready = await StandbySession.make(successor.manager, successor.new_agent)
    try:
        assert fake.contested == 0
        assert fake.conversation.setup.handle is None
        await eventually(lambda: fake.conversation.setup.history == TOLD)
        await call.ask("What's my name?", "Your name is Alice")
    finally:
        await ready.stop_agent()
    assert fake.contested == 0


async def test_a_handle_whose_connection_is_still_open_leads_to_the_history(new_fake, new_call, storage):
    """This happens when a holder was taken for dead, or has released the session before it closes its model."""
    fake = await new_fake("gemini-live")
    await talk(await new_call(fake, storage))
    successor = await new_call(fake, storage)
    assert fake.contested == 1
    await eventually(lambda: fake.conversation.setup.history == TOLD)
    await successor.ask("What's my name?", "Your name is Alice")


async def test_a_connection_that_goes_on_talking_after_its_notice_is_replaced_soon(new_fake, new_call, storage):
    """The worker no longer reads it, and the connection's client waits until what it has sent is read."""
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await talk(call)
    first = fake.conversation
    await first.reach_limit()
    with contextlib.suppress(ConnectionClosed):
        for _ in range(500):
            await first.say("and so on ", bytes(4800))
    await eventually(lambda: len(fake.conversations) == 2, 5.0)
    await call.ask("What's my name?", "Your name is Alice")
