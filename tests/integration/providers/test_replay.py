"""A connection ends in the middle of a spoken sentence: the next one hears the whole of it, once."""

from __future__ import annotations

from typing import Any

import pytest

from segue.testing.offline.tones import speak
from segue.wire.frames import AudioInput, InputAck, Transcript
from tests.integration.providers.conftest import Host
from tests.support.provider_calls import Call
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeConnections, delivery
from worker.conversation.input import unanswered_audio

ALL = ["nova-sonic", "openai-realtime", "gemini-live"]
SENTENCE = "My name is Alice"


@pytest.fixture
def silence_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the silence after a sentence be acknowledged sooner than after three seconds, and looked at more often."""
    monkeypatch.setattr(unanswered_audio, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 0.2)


def pieces(call: Call) -> list[bytes]:
    """A sentence with silence around it, a tenth of a second each."""
    rate = call.model.get_audio_config()["input"]["sample_rate"]
    pcm = bytes(rate // 5 * 2) + speak(SENTENCE, rate) + bytes(rate // 2 * 2)
    size = rate // 10 * 2
    return [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]


def shown(clients: FakeConnections, role: str = "user") -> list[str]:
    return [frame.text for frame in clients.of("k1", Transcript) if frame.final and frame.role == role]


def answers(clients: FakeConnections) -> list[str]:
    return shown(clients, "assistant")


@pytest.mark.usefixtures("silence_settles")
@pytest.mark.parametrize("end", ["limit", "lost connection"])
@pytest.mark.parametrize("name", ALL)
async def test_the_next_connection_hears_the_whole_sentence_once(  # noqa: PLR0917 - fixtures
    name: str, end: str, new_fake: Any, new_call: Any, storage: Any, host: Host, clients: FakeConnections
) -> None:
    fake = await new_fake(name)
    call = await new_call(fake, storage, connect=False)
    session = await host(call)
    said = pieces(call)
    half = len(said) // 2
    for number, pcm in enumerate(said[:half], start=1):
        session.deliver(delivery(AudioInput.from_pcm(pcm, number)))
    given = sum(map(len, said[:half]))
    await eventually(lambda: fake.conversations and fake.conversation.audio_bytes == given)
    first = fake.conversation
    await (first.reach_limit() if end == "limit" else first.drop())
    for number, pcm in enumerate(said[half:], start=half + 1):
        session.deliver(delivery(AudioInput.from_pcm(pcm, number)))
    await eventually(lambda: len(fake.conversations) == 2 and fake.conversation.live == [SENTENCE])
    await eventually(lambda: shown(clients) == [SENTENCE])
    await eventually(lambda: clients.of("k1", InputAck)[-1].upto == len(said))
    assert end == "limit" or first.live == [], "one that is about to end may hear it, too, and is not listened to"
    await eventually(lambda: answers(clients) == ["Hello Alice, nice to meet you."])
    assert shown(clients) == [SENTENCE]
    assert fake.conversation.live == [SENTENCE]


async def left_out(fake: Any, call: Call, session: Any, clients: FakeConnections) -> int:
    """Say a sentence that Gemini answers and never transcribes; returns how many frames it had."""
    fake.transcribes = False
    said = pieces(call)
    for number, pcm in enumerate(said, start=1):
        session.deliver(delivery(AudioInput.from_pcm(pcm, number)))
    await eventually(lambda: answers(clients) == ["Hello Alice, nice to meet you."])
    assert shown(clients) == []
    return len(said)


@pytest.mark.usefixtures("silence_settles")
async def test_audio_that_gemini_never_transcribed_is_replayed_to_the_next_connection(
    new_fake: Any, new_call: Any, storage: Any, host: Host, clients: FakeConnections
) -> None:
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage, connect=False)
    session = await host(call)
    frames = await left_out(fake, call, session, clients)
    fake.transcribes = True
    await fake.conversation.reach_limit()
    await eventually(lambda: len(fake.conversations) == 2 and fake.conversation.live == [SENTENCE])
    await eventually(lambda: shown(clients) == [SENTENCE])
    await eventually(lambda: clients.of("k1", InputAck)[-1].upto == frames)


async def test_audio_that_gemini_never_transcribed_is_acknowledged_by_age(
    new_fake: Any, new_call: Any, storage: Any, host: Host, clients: FakeConnections, monkeypatch: Any
) -> None:
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 0.2)
    fake = await new_fake("gemini-live")
    call = await new_call(fake, storage, connect=False)
    session = await host(call)
    frames = await left_out(fake, call, session, clients)
    assert not [ack for ack in clients.of("k1", InputAck) if ack.upto == frames], "a transcript may still come"
    monkeypatch.setattr(unanswered_audio, "ENDED_SECONDS", 0.0)
    monkeypatch.setattr(unanswered_audio, "SILENCE_SECONDS", 0.0)
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == frames)
    assert shown(clients) == []
    assert len(fake.conversations) == 1
