"""The outcome of a connection is counted, and its log line says the same; errors are counted by kind."""

from __future__ import annotations

from typing import Any

import pytest

from local.fakes.nova_conversation import HISTORY_BYTES
from tests.support.provider_calls import Call
from tests.support.sessions import recorded_connection
from tests.support.waiting import eventually
from worker.providers.connection import reconnect_limits, resumption_handles
from worker.telemetry.metrics import Model

AT_THE_DOOR = {
    400: Model.REQUEST,
    403: Model.ACCESS,
    404: Model.NOT_FOUND,
    429: Model.THROTTLED,
    503: Model.UNAVAILABLE,
}
"""Metric that counts each status of the provider's answer, once the conversation has begun."""


def lines(caplog: Any, message: str) -> list[Any]:
    return [record for record in caplog.records if record.message == message]


async def talk(call: Call, fake: Any) -> None:
    """One turn, until its connection is recorded."""
    await call.ask("My name is Alice", "Hello Alice")
    if hasattr(fake, "sessions"):
        await eventually(lambda: "handle" in recorded_connection(call.manager))
    await call.manager.durable()


async def test_a_handle_that_is_too_old_is_counted_and_the_history_replayed(
    new_fake, new_call, storage, counted, caplog, monkeypatch
):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await talk(call, fake)
    await call.stop()
    counted()
    now = resumption_handles._now()
    monkeypatch.setattr(resumption_handles, "_now", lambda: now + 2 * 3600 * 1000)
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Alice")
    assert [line.reason for line in lines(caplog, "resumption handle not used")] == ["it is too old"]
    assert lines(caplog, "model connected")[-1].how == "history"
    assert counted() == {Model.HANDLE_UNUSABLE: 1, Model.BY_HISTORY: 1}
    assert fake.conversation.setup.handle is None


async def test_a_handle_that_is_refused_is_counted(new_fake, new_call, storage, counted, caplog):
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage)
    await talk(call, fake)
    await call.stop()
    counted()
    fake.sessions.clear()
    successor = await new_call(fake, storage)
    await successor.ask("What's my name?", "Your name is Alice")
    (line,) = lines(caplog, "provider refused how to go on")
    assert (line.how, line.next, line.tools) == ("handle", "history", True)
    assert counted() == {Model.OFFER_REFUSED: 1, Model.BY_HISTORY: 1}


async def test_a_history_that_is_cut_is_counted(new_fake, new_call, storage, counted, caplog):
    fake = await new_fake("nova-sonic")
    call = await new_call(fake, storage)
    await talk(call, fake)
    counted()
    for role in ("user", "assistant"):
        call.agent.messages.append({"role": role, "content": [{"text": "é" * (HISTORY_BYTES // 4 - 10)}]})
    await fake.conversation.reach_limit()
    await eventually(lambda: len(fake.conversations) == 2 and fake.conversation.setup.prompt)
    await call.ask("repeat after me done", "done")
    (line,) = lines(caplog, "history cut")
    assert (line.dropped, line.shortened) == (2, 0)
    assert counted() == {Model.HISTORY_CUT: 1, Model.BY_HISTORY: 1}
    assert sum(len(text.encode()) for _, text in fake.conversation.setup.history) <= HISTORY_BYTES


@pytest.mark.parametrize(("status", "metric"), AT_THE_DOOR.items())
async def test_a_refusal_of_bedrock_at_the_start_is_counted(  # noqa: PLR0917 - fixtures
    status, metric, new_fake, new_call, storage, counted, monkeypatch
):
    monkeypatch.setattr(reconnect_limits, "RECONNECTIONS", 0)
    fake = await new_fake("nova-sonic")
    fake.reject = [status] * 9
    call = await new_call(fake, storage)
    await eventually(lambda: call.failure)
    counts = counted()
    assert counts[metric] >= 1
    assert counts.keys() <= {metric, Model.OFFER_REFUSED, Model.BY_NOTHING}


@pytest.mark.parametrize(
    ("code", "metric"),
    [
        ("rate_limit_exceeded", Model.THROTTLED),
        ("server_error", Model.UNAVAILABLE),
        ("invalid_api_key", Model.CREDENTIALS),
        ("model_not_found", Model.NOT_FOUND),
        ("content_policy_violation", Model.CONTENT),
        ("something_else", Model.REQUEST),
    ],
)
async def test_a_response_that_openai_could_not_make_is_counted(code, metric, new_fake, new_call, storage, counted):
    fake = await new_fake("openai-realtime")
    call = await new_call(fake, storage)
    shown: list[Any] = []
    call.model.on_trouble = shown.append
    fake.failing = [code]
    await call.agent.send("My name is Alice")
    await eventually(lambda: shown)
    assert counted() == {metric: 1, Model.BY_NOTHING: 1}
    assert shown[0].metric == metric


async def test_the_connections_record_says_how_things_stand(new_fake, new_call, storage):
    """The stored record, as another process reads it."""
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage, SEGUE_INPUT_RATE="48000", SEGUE_OUTPUT_RATE="16000")
    before = resumption_handles._now()
    await talk(call, fake)
    await fake.conversation.reach_limit()
    await eventually(lambda: len(fake.conversations) == 2)
    await call.ask("What's my name?", "Your name is Alice")
    await eventually(lambda: list(fake.sessions.values())[-1] == fake.conversation.turns)
    await eventually(
        lambda: recorded_connection(call.manager).get("handle", {}).get("value") == list(fake.sessions)[-1]
    )
    await call.manager.durable()
    await call.kill()
    reader = await new_call(fake, storage, opened=False)
    await reader.manager.open()
    agent = reader.manager.history.agents["default"]
    stored = dict(agent.connection)
    given = stored.pop("handle")
    assert stored == {
        "provider": "gemini-live",
        "model_id": "gemini-3.8-live",
        "restarts": 1,
        "audio": {
            "input": {"sample_rate": 48000, "channels": 1, "format": "pcm"},
            "output": {"sample_rate": 16000, "channels": 1, "format": "pcm"},
        },
        "provider_audio": [16000, 24000],
    }
    assert given["value"] == list(fake.sessions)[-1]
    assert given["after"] == agent.messages[-1]["tracking_id"]
    assert before <= given["at"] <= resumption_handles._now()
    assert given["expires_at"] == given["at"] + 2 * 3600 * 1000
