"""A provider that does not answer what was said: people are told, it is counted, and the call goes on without it."""

from __future__ import annotations

import pytest
from google.genai.types import TurnCompleteReason

from segue.wire.frames import Error, Transcript
from tests.support.provider_calls import said
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import delivery, text
from worker.providers.gemini import NOTHING_WRONG
from worker.telemetry.metrics import Model

BLOCKED = "The generated output has been blocked by our content filters."
SAID_BY = {"nova-sonic": BLOCKED, "openai-realtime": "content_filter", "gemini-live": "PROHIBITED_INPUT_CONTENT"}
"""Wording of each provider. Nova Sonic has no event for it: its stream ends with an exception."""

CASES = [
    *SAID_BY.items(),
    *(("gemini-live", reason) for reason in ("RESPONSE_REJECTED", "GENERATED_AUDIO_SAFETY", "BLOCKLIST")),
]


def refusals(clients):
    return [(frame.code, frame.retryable) for frame in clients.of("k1", Error)]


def answers(clients):
    return [frame.text for frame in clients.of("k1", Transcript) if frame.final and frame.role == "assistant"]


@pytest.mark.parametrize(("name", "reason"), CASES)
async def test_a_refusal_is_a_frame_and_a_metric_and_the_call_goes_on(  # noqa: PLR0917 - fixtures
    name, reason, new_fake, new_call, storage, host, clients, counted
):
    fake = await new_fake(name)
    call = await new_call(fake, storage, connect=False)
    session = await host(call)
    fake.filtering.append(reason)
    session.deliver(delivery(text("something terrible", 1)))
    await eventually(lambda: clients.of("k1", Error))
    assert refusals(clients) == [("content_refused", False)]
    session.deliver(delivery(text("My name is Bob", 2)))
    await eventually(lambda: answers(clients) == ["Hello Bob, nice to meet you."])
    assert refusals(clients) == [("content_refused", False)], "the worker does not ask it again"
    assert counted()[Model.CONTENT] == 1
    assert len(fake.conversations) == (2 if name == "nova-sonic" else 1)
    assert fake.conversation.live[-1] == "My name is Bob"
    assert not session.ended.is_set()


@pytest.mark.parametrize("name", SAID_BY)
@pytest.mark.parametrize("spoken", [False, True])
async def test_a_refused_text_is_not_asked_again_on_the_next_connection(
    name, spoken, new_fake, new_call, storage, counted
):
    fake = await new_fake(name)
    call = await new_call(fake, storage)
    shown = []
    call.model.on_trouble = shown.append
    fake.filtering.append(SAID_BY[name])
    await (call.speak if spoken else call.agent.send)("My name is Alice")
    await eventually(lambda: shown)
    if name != "nova-sonic":
        await eventually(lambda: not spoken or said(call.agent.messages) == [("user", "My name is Alice")])
        await fake.conversation.reach_limit()
    await eventually(lambda: len(fake.conversations) == 2)
    await call.ask("My name is Bob", "Hello Bob")
    assert fake.conversation.live == ["My name is Bob"]
    assert ("user", "My name is Alice") not in fake.conversation.setup.history
    assert [error.code for error in shown] == ["content_refused"]
    assert counted()[Model.CONTENT] == 1


async def test_a_provider_that_refuses_everything_ends_the_call(new_fake, new_call, storage):
    fake = await new_fake("nova-sonic")
    fake.filtering.extend([BLOCKED] * 9)
    call = await new_call(fake, storage)
    for number in range(4):
        await eventually(lambda number=number: len(fake.conversations) == number + 1 and fake.conversation.setup.prompt)
        await call.agent.send("something terrible")
    await eventually(lambda: call.failure)
    assert len(fake.conversations) == 4


async def test_a_tool_call_that_gemini_cannot_read_itself_may_be_tried_again(new_fake, new_call, storage, counted):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    shown = []
    call.model.on_trouble = shown.append
    fake.filtering.append("MALFORMED_FUNCTION_CALL")
    await call.agent.send("use the tool weather with Paris")
    await eventually(lambda: shown)
    assert [(error.code, error.retryable) for error in shown] == [("internal", True)]
    assert counted()[Model.FAILED] == 1


async def test_a_turn_that_only_needs_more_input_is_no_trouble(new_fake, new_call, storage, counted):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    shown = []
    call.model.on_trouble = shown.append
    fake.filtering.append("NEED_MORE_INPUT")
    await call.agent.send("and")
    await eventually(lambda: not fake.filtering)
    await call.ask("My name is Bob", "Hello Bob")
    assert shown == []
    assert not counted().keys() - {Model.BY_NOTHING}


def test_every_reason_of_gemini_is_one_of_these():
    """A new reason is taken for a refusal; a developer has to check whether it is one."""
    known = NOTHING_WRONG | {TurnCompleteReason.MALFORMED_FUNCTION_CALL}
    words = (
        "PROHIBITED",
        "SAFETY",
        "BLOCKLIST",
        "CELEBRITY",
        "REJECTED",
        "IDENTIFIABLE",
        "PROMINENT",
        "MINORS",
        "UNSAFE",
    )
    others = {"INPUT_OTHER", "GENERATED_OTHER", "MAX_REGENERATION_REACHED"}
    for reason in set(TurnCompleteReason) - known:
        assert reason.name in others or any(word in reason.name for word in words), reason
