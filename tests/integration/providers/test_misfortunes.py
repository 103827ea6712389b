"""Failures of a provider, and their effect on the conversation."""

from __future__ import annotations

from typing import Any

import pytest
from strands.bidi.types.events import BidiConnectionRestartEvent

from local.fakes.nova_conversation import HISTORY_BYTES
from segue.journal.records import Record
from shared.provider_errors import ERRORS, Kind
from tests.support.memory_manager import MemoryStorage
from tests.support.provider_calls import said
from tests.support.sessions import recorded_connection
from tests.support.waiting import eventually
from worker.providers import classify
from worker.providers.connection import reconnect_limits, renewal
from worker.telemetry.metrics import Model

ALL = ["nova-sonic", "openai-realtime", "gemini-live"]


@pytest.mark.parametrize("name", ["nova-sonic", "gemini-live"])
async def test_a_refused_history_leads_to_a_shorter_one(name, new_fake, new_call, storage, caplog):
    fake = await new_fake(name)
    fake.updates = False
    call = await new_call(fake, storage)
    for number in range(3):
        await call.ask(f"repeat after me {number}{number}{number}", f"{number}{number}{number}")
    await call.stop()
    fake.refuse = lambda conversation: "the history is too long" if len(conversation.setup.history) > 4 else None
    successor = await new_call(fake, storage)
    await eventually(lambda: len(fake.conversations) >= 3)
    await successor.ask("repeat after me done", "done")
    told = fake.conversation.setup
    assert 0 < len(told.history) <= 4
    assert told.history[0][0] == "user"
    assert told.history[-1] == ("assistant", "222")
    assert list(told.tools) == ["weather"]
    assert len(said(successor.agent.messages)) == 8, "the agent has forgotten nothing"
    assert "provider refused how to go on" in caplog.text


async def test_a_refused_handle_leads_to_the_history(new_fake, new_call, storage, caplog):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await eventually(lambda: "handle" in recorded_connection(call.manager))
    await call.stop()
    fake.sessions.clear()  # the provider knows it no more
    fake.updates = False
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Alice")
    assert [conversation.setup.handle for conversation in fake.conversations[1:]] == ["handle-1", None]
    assert fake.conversation.setup.history == [
        ("user", "My name is Alice"),
        ("assistant", "Hello Alice, nice to meet you."),
    ]


async def test_an_old_handle_or_one_from_before_the_last_words_is_not_used(new_fake, new_call, storage, monkeypatch):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await eventually(lambda: "handle" in recorded_connection(call.manager))
    record = dict(recorded_connection(call.manager))
    fake.updates = False
    await call.ask("My name is Bob", "Hello Bob")
    await eventually(lambda: "handle" not in recorded_connection(call.manager) or call.model._activity.changed)
    await call.manager.durable()
    # As if it had been killed before anything later was recorded of the connection.
    call.manager._slot.require().append(Record(kind="connection", data=record, agent="default", at=0))
    await call.kill()
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Bob")
    assert fake.conversation.setup.handle is None


async def test_redaction_forgets_the_handle(new_fake, new_call, storage):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await eventually(lambda: "handle" in recorded_connection(call.manager))
    await call.manager.redact(call.agent.messages[0]["tracking_id"])
    assert "handle" not in recorded_connection(call.manager)
    await call.stop()
    await new_call(fake, storage)
    assert fake.conversation.setup.handle is None
    await eventually(lambda: fake.conversation.setup.history)
    assert fake.conversation.setup.history[0] == ("user", "[redacted]")


REFUSED_TOOLS = {
    "nova-sonic": "The toolConfiguration is not valid.",
    "openai-realtime": "session.tools[0].parameters",
    "gemini-live": "Invalid function declaration.",
}
"""Wording of each provider: an exception's text, an error's parameter, the reason of a close."""


@pytest.mark.parametrize("name", REFUSED_TOOLS)
async def test_refused_tools_lead_to_a_call_without_them(name, new_fake, new_call, storage, counted):
    fake = await new_fake(name)
    fake.updates = False
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await call.stop()
    fake.refuse = lambda conversation: REFUSED_TOOLS[name] if conversation.setup.tools else None
    counted()
    successor = await new_call(fake, storage)
    await eventually(lambda: len(fake.conversations) == 3)
    await successor.ask("What's my name?", "Your name is Alice")
    assert fake.conversation.setup.tools == {}
    assert fake.conversation.setup.history == [
        ("user", "My name is Alice"),
        ("assistant", "Hello Alice, nice to meet you."),
    ]
    assert counted()[Model.OFFER_REFUSED] == 1


async def test_openai_goes_on_without_the_items_that_it_refuses(new_fake, new_call, storage, counted):
    """OpenAI refuses no history as a whole, but single items of it."""
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await call.ask("repeat after me one", "one")
    await call.stop()
    fake.refused_items = {"repeat after me one"}
    counted()
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Alice")
    assert [text for _, text in fake.conversation.setup.history] == [
        "My name is Alice",
        "Hello Alice, nice to meet you.",
        "one",
    ]
    assert len(fake.conversations) == 2
    assert counted() == {Model.BY_HISTORY: 1}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, Kind.ACCESS), (404, Kind.REGION), (429, Kind.THROTTLED), (503, Kind.UNAVAILABLE), (401, Kind.CREDENTIALS)],
)
@pytest.mark.parametrize("name", ["openai-realtime", "gemini-live"])
async def test_a_providers_refusal_at_the_start_is_classified(name, status, kind, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.reject = [status]
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each client has its own
        await new_call(fake, storage)
    assert classify(raised.value) is ERRORS[kind]


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Kind.ACCESS), (404, Kind.REGION), (429, Kind.THROTTLED), (503, Kind.UNAVAILABLE)]
)
async def test_bedrocks_refusal_at_the_start_is_classified(status, kind, new_fake, new_call, storage, monkeypatch):
    monkeypatch.setattr(reconnect_limits, "RECONNECTIONS", 0)
    fake = await new_fake("nova-sonic")
    fake.reject = [status]
    # Its client opens the stream first and reads the answer afterwards.
    call = await new_call(fake, storage)
    await eventually(lambda: call.failure)
    assert call.failure is not None
    assert classify(call.failure) is ERRORS[kind]


async def test_a_failed_response_is_shown_and_the_call_goes_on(new_fake, new_call, storage):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    shown: list[Any] = []
    call.model.on_trouble = shown.append
    fake.failing = ["rate_limit_exceeded"]
    await call.agent.send("My name is Alice")
    await eventually(lambda: shown)
    assert shown == [ERRORS[Kind.THROTTLED]]
    await call.ask("My name is Bob", "Hello Bob")
    assert len(fake.conversations) == 1


@pytest.mark.parametrize("name", ALL)
async def test_text_typed_into_a_dying_connection_is_answered_once_by_the_next(name, new_fake, new_call, storage):
    fake = await new_fake(name)
    fake.updates = False
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    await fake.conversation.drop()
    await call.ask("What's my name?", "Your name is Alice")
    assert len(fake.conversations) == 2
    assert fake.conversation.live == ["What's my name?"]
    assert ("user", "What's my name?") not in fake.conversation.setup.history


@pytest.mark.parametrize("name", ALL)
async def test_an_outage_ends_the_call(name, new_fake, new_call, storage, monkeypatch):
    monkeypatch.setattr(reconnect_limits, "PAUSE_SECONDS", 0.01)
    fake = await new_fake(name)
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    for connection in range(reconnect_limits.RECONNECTIONS + 1):
        await eventually(lambda number=connection: len(fake.conversations) == number + 1)
        await eventually(lambda: fake.conversation.setup.prompt or fake.conversation.setup.handle)
        await fake.conversation.drop()
    await eventually(lambda: call.failure)
    assert call.failure is not None
    assert classify(call.failure).retryable


@pytest.mark.parametrize("name", ALL)
async def test_a_connection_is_renewed_between_turns_before_its_limit(
    name, new_fake, new_call, storage, counted, monkeypatch
):
    monkeypatch.setattr(renewal, "QUIET_SECONDS", 0.1)
    fake = await new_fake(name)
    call = await new_call(fake, storage, SEGUE_PROVIDER_OPTIONS='{"connection": {"restart_after_s": 1}}')
    await call.ask("My name is Alice", "Hello Alice")
    await eventually(lambda: call.of(BidiConnectionRestartEvent))
    assert not call.of(BidiConnectionRestartEvent)[0].turn_interrupted
    await eventually(lambda: len(fake.conversations) > 1)
    await call.ask("What's my name?", "Your name is Alice")
    counts = counted()
    assert counts[Model.RENEWED] >= 1
    assert not counts.keys() & {Model.DISCONNECTED, Model.OFFER_REFUSED}


async def test_history_given_to_nova_is_within_awss_limits(new_fake, new_call, storage):
    fake = await new_fake("nova-sonic")
    call = await new_call(fake, storage)
    await call.ask("My name is Alice", "Hello Alice")
    for number in range(40):
        words = f"{number} " + "é" * 800
        call.agent.messages.append({"role": "user", "content": [{"text": words}]})
        call.agent.messages.append({"role": "assistant", "content": [{"text": words}]})
    await fake.conversation.reach_limit()
    await eventually(lambda: len(fake.conversations) == 2 and len(fake.conversation.setup.history) > 20)
    await call.ask("repeat after me done", "done")
    history = (
        fake.conversation.setup.history
    )  # the fake refuses a text input of more than 1 KB, and more than 40 KB in all
    assert history[-1][1].startswith("39 é")
    assert len(history[-1][1]) == 803
    size = sum(len(text.encode()) for _, text in history)
    assert HISTORY_BYTES - 2 * 1700 < size <= HISTORY_BYTES


async def test_clients_may_use_other_rates_than_the_provider(new_fake, new_call, storage):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage, SEGUE_INPUT_RATE="16000", SEGUE_OUTPUT_RATE="48000")
    await call.speak("My name is Alice")
    await call.until("Hello Alice")
    assert fake.conversation.live == ["My name is Alice"], "what was sent at 16 kHz was understood at 24 kHz"
    assert call.rates == {48000}


async def test_transcripts_of_both_sides_are_asked_for(new_fake, new_call, storage):
    fakes = {name: await new_fake(name) for name in ("openai-realtime",)}
    await new_call(fakes["openai-realtime"], storage)
    await eventually(lambda: fakes["openai-realtime"].conversation.setup.config)
    session = fakes["openai-realtime"].conversation.setup.config["session"]
    assert session.audio.input.transcription.model
    gemini = await new_fake("gemini-live")
    await new_call(gemini, MemoryStorage())
    setup = gemini.conversation.setup.config["setup"]
    assert setup.input_audio_transcription is not None
    assert setup.output_audio_transcription is not None
