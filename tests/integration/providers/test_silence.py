"""Silence that a client marks instead of sending it: with each provider the turn ends, and goes on as with audio."""

from __future__ import annotations

import pytest

from segue.testing.offline.tones import speak
from segue.wire.frames import AudioInput, BargeIn, Bye
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import delivery

ALL = ["nova-sonic", "openai-realtime", "gemini-live"]


class Microphone:
    """A client that marks silence as soon as it has spoken."""

    def __init__(self, call, session) -> None:
        self._rate = call.model.get_audio_config()["input"]["sample_rate"]
        self._session, self._seq = session, 0

    def say(self, words: str) -> None:
        step = self._rate // 10 * 2
        pcm = bytes(step) + speak(words, self._rate)
        for at in range(0, len(pcm), step):
            self._deliver(AudioInput.from_pcm(pcm[at : at + step]).audio)
        self.mark()

    def mark(self) -> None:
        self._deliver("", silence=True)

    def leave(self) -> None:
        self._session.deliver(delivery(Bye()))

    def _deliver(self, audio: str, *, silence: bool = False) -> None:
        self._seq += 1
        self._session.deliver(delivery(AudioInput(audio=audio, seq=self._seq, silence=silence)))


@pytest.mark.parametrize("name", ALL)
async def test_marked_silence_ends_the_turn_and_a_later_barge_in_is_heard(
    name, new_fake, new_call, storage, clients, host
):
    fake = await new_fake(name)
    fake.words_generated = 20  # however long it takes to speak over them
    call = await new_call(fake, storage, connect=False)
    microphone = Microphone(call, await host(call))

    microphone.say("count to 30")
    await eventually(lambda: fake.conversations and fake.conversation.live == ["count to 30"], 20)
    heard = fake.conversation.audio_bytes
    microphone.mark()
    await eventually(lambda: fake.conversation.audio_bytes >= heard + 20_000, 20)  # half a second and more, of silence
    await eventually(lambda: len(fake.conversation.heard.split()) >= 3, 20)
    microphone.say("My name is Bob")
    await eventually(lambda: clients.of("k1", BargeIn), 20)
    microphone.mark()
    await eventually(lambda: fake.conversation.live == ["count to 30", "My name is Bob"], 20)


@pytest.mark.parametrize("name", ALL)
async def test_the_provider_does_not_take_marked_silence_for_a_connection_that_is_idle(
    name, new_fake, new_call, storage, host
):
    fake = await new_fake(name)
    fake.idle_seconds = 0.6
    call = await new_call(fake, storage, connect=False)
    microphone = Microphone(call, await host(call))
    microphone.say("count to 3")
    await eventually(lambda: fake.conversations and fake.conversation.spoken, 20)
    first, heard = fake.conversation, fake.conversation.audio_bytes
    microphone.mark()
    rate = call.model.get_audio_config()["input"]["sample_rate"]
    await eventually(lambda: first.audio_bytes >= heard + 3 * rate, 20)  # one and a half second, of silence alone
    assert not first.idle.is_set()
    assert fake.conversations == [first]
    microphone.leave()
    await eventually(first.idle.is_set, 20)  # which shows that it would have been noticed
