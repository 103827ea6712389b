"""The fakes are as strict as they claim: an unknown field or a wrong order is a problem, and ends the connection."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from local.fakes import FakeGemini, FakeNova, FakeOpenAI
from local.fakes.fake import Broken
from local.fakes.gemini import KEY as GEMINI_KEY
from local.fakes.nova_conversation import NovaConversation
from local.fakes.openai import KEY as OPENAI_KEY
from local.fakes.schemas_nova import Envelope
from tests.support.waiting import within

PCM = {"type": "audio/pcm", "rate": 24000}
SESSION = {
    "type": "realtime",
    "instructions": "Hello.",
    "output_modalities": ["audio"],
    "audio": {"input": {"format": PCM}, "output": {"format": PCM}},
}
UPDATE = {"type": "session.update", "session": SESSION}
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
SPOKE = {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 9}

SETUP = {"setup": {"model": "models/x", "generationConfig": {"responseModalities": ["AUDIO"]}}}
BLANK = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": " "}]}], "turnComplete": True}}
RESULT = {"toolResponse": {"functionResponses": [{"id": "i", "name": "n", "response": {}}]}}


async def refused(address: str, messages: list[Any], **options: Any) -> None:
    """Send messages, and read until the fake has ended the connection."""
    async with within(10.0), connect(address, **options) as socket:
        with pytest.raises(ConnectionClosed):
            for message in messages:
                await socket.send(json.dumps(message))
            while True:
                await socket.recv()


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{**UPDATE, "speed": 2}], "unknown field `speed`"),
        ([{"type": "session.upgrade"}], "session.upgrade"),
        ([{"type": "session.update", "session": {**SESSION, "voice": "marin"}}], "unknown field `voice`"),
        ([{"type": "conversation.item.create", "item": ITEM}], "an item before the session was configured"),
        ([UPDATE, {"type": "response.create"}], "a response was asked for without anything to answer"),
        ([UPDATE, SPOKE], "i is no speech"),
    ],
)
async def test_fake_openai_refuses_messages_against_its_protocol(messages, problem):
    async with FakeOpenAI() as fake:
        address = fake.environment()["SEGUE_PROVIDER_ENDPOINT"] + "?model=gpt-realtime"
        await refused(address, messages, additional_headers={"Authorization": f"Bearer {OPENAI_KEY}"})
        assert len(fake.problems) == 1
        assert problem in fake.problems[0]


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([BLANK], "the first message is no setup"),
        ([{"setup": {**SETUP["setup"], "voice": "Aoede"}}], "unknown field `voice`"),
        ([SETUP, {"realtimeInput": {"audio": {"data": "", "mimeType": "audio/mp3"}}}], "regex"),
        ([SETUP, SETUP], "a message with ['setup']"),
        ([SETUP, {}], "a message with nothing"),
        ([SETUP, BLANK], "a turn with a blank text"),
        ([SETUP, RESULT], "a response to an unknown call i"),
    ],
)
async def test_fake_gemini_refuses_messages_against_its_protocol(messages, problem):
    async with FakeGemini() as fake:
        context = ssl.create_default_context(cafile=fake.environment()["SSL_CERT_FILE"])
        address = f"wss://localhost:{fake.port}/live?key={GEMINI_KEY}"
        await refused(address, messages, ssl=context)
        assert len(fake.problems) == 1
        assert problem in fake.problems[0]


AUDIO = {
    "mediaType": "audio/lpcm", "sampleRateHertz": 16000, "sampleSizeBits": 16, "channelCount": 1,
    "encoding": "base64", "audioType": "SPEECH",
}  # fmt: skip
PROMPT = {
    "promptStart": {
        "promptName": "p",
        "textOutputConfiguration": {"mediaType": "text/plain"},
        "audioOutputConfiguration": {**AUDIO, "sampleRateHertz": 24000},
    }
}


def content(name: str, role: str, **more: Any) -> Any:
    fields = {"promptName": "p", "contentName": name, "type": "TEXT", "role": role, "interactive": False, **more}
    return {"contentStart": fields}


def text(name: str, words: str, prompt: str = "p") -> Any:
    return {"textInput": {"promptName": prompt, "contentName": name, "content": words}}


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([{"sessionStart": {"voice": "matthew"}}], "unknown field `voice`"),
        ([{"connectionEnd": {}}], "unknown field `connectionEnd`"),
        ([{"sessionStart": {}, "sessionEnd": {}}], "an event with ['session_start', 'session_end']"),
        ([content("s", "SYSTEM")], "of another prompt"),
        ([PROMPT, content("u", "USER")], "content before the prompt, or before the system's"),
        ([PROMPT, content("s", "SYSTEM"), text("s", "x", prompt="q")], "text_input of another prompt"),
        ([PROMPT, content("s", "SYSTEM"), text("s", "x" * 1025)], "a text input of more than 1 KB"),
        ([PROMPT, content("s", "SYSTEM"), content("s", "USER")], "a content's name twice"),
        ([PROMPT, content("s", "SYSTEM"), content("a", "ASSISTANT")], "does not begin with the user"),
        ([PROMPT, content("s", "SYSTEM"), {"promptEnd": {"promptName": "p"}}], "the prompt ends with open contents"),
        ([PROMPT, text("u", "hello")], "input for no open content of the type TEXT"),
    ],
)
async def test_fake_nova_refuses_events_against_its_protocol(events, problem):
    """The test calls the fake below HTTP/2 and signatures, which only AWS's client makes."""
    fake = FakeNova()
    conversation = NovaConversation(fake, None, "m")  # type: ignore[arg-type]  # it does not answer what it refuses
    with pytest.raises(Broken):
        for event in events:
            await conversation._take_event(fake.read(Envelope, json.dumps({"event": event})))
    await conversation.finish()
    fake._folder.cleanup()
    assert len(fake.problems) == 1
    assert problem in fake.problems[0]


async def test_a_request_to_nova_that_is_not_signed_is_a_problem():
    from types import SimpleNamespace

    fake = FakeNova()
    stream: Any = SimpleNamespace(headers={":path": "/model/m/invoke-with-bidirectional-stream"})
    await fake._serve(stream)
    fake._folder.cleanup()
    assert fake.problems == ["a request for /model/m/invoke-with-bidirectional-stream, or one that is not signed"]
