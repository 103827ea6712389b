"""The terminal with a microphone and a loudspeaker, on devices that are none."""

from __future__ import annotations

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from local.errors import LocalError
from local.terminal.sound import Player, sound_card
from local.terminal.talk import SpokenConversation
from segue.wire.fields import to_base64
from segue.wire.frames import AudioFormat, AudioFormats, AudioInput, AudioOutput, BargeIn, OutputAck, Played
from tests.support.waiting import eventually, promptly
from tests.unit.client.test_optional_parts import NewServer

PCM = AudioFormat(rate=16_000, channels=1, format="pcm")
LOUD = b"\x10\x27" * 1600


def sound(seq: int, seconds: float = 0.1) -> AudioOutput:
    return AudioOutput(epoch=1, seq=seq, audio=to_base64(bytes([seq, 1]) * int(seconds * 1000)), rate=1000)


class Card:
    """Devices that a test plays the part of."""

    class PortAudioError(Exception):
        """The error of sounddevice."""

    def __init__(self, *, missing: bool = False) -> None:
        self.streams: list[Any] = []
        self.closed = 0
        self._missing = missing

    def _stream(self, **options: Any) -> Any:
        if self._missing:
            raise self.PortAudioError("Error querying device -1")
        stream = SimpleNamespace(latency=0.02, **options)
        self.streams.append(stream)
        card = self

        class Opened:
            def __enter__(self) -> Any:
                return stream

            def __exit__(self, *_: object) -> None:
                card.closed += 1

        return Opened()

    RawInputStream = RawOutputStream = _stream


def test_a_player_plays_in_order_and_then_silence():
    player = Player()
    player.add(sound(1))
    player.add(sound(2))
    assert player.take(150) == bytes([1, 1]) * 75
    assert player.take(100) == bytes([1, 1]) * 25 + bytes([2, 1]) * 25
    assert player.take(200) == bytes([2, 1]) * 75 + bytes(50)
    assert player.take(4) == bytes(4)


@pytest.mark.parametrize(
    ("unheard", "seq", "ms"),
    [(0.0, 2, 50), (0.02, 2, 30), (0.05, 1, 100), (0.06, 1, 90), (0.15, None, 0), (9, None, 0)],
)
def test_a_stopped_player_knows_how_far_it_came(unheard, seq, ms):
    player = Player()
    player.add(sound(1))
    player.add(sound(2))
    for _ in range(6):
        player.take(50)
    frame, heard = player.stop(unheard)
    assert (frame and frame.seq, heard) == (seq, pytest.approx(ms))
    assert player.take(4) == bytes(4)
    assert player.stop(0.0) == (None, 0.0)


class Voice(NewServer):
    """A server with an agent that hears and speaks."""

    async def post(self, client_id: str, *frames: Any) -> None:
        formats = AudioFormats(input=PCM, output=PCM)
        known = [msgspec.structs.replace(one, audio=formats) if hasattr(one, "window") else one for one in frames]
        await super().post(client_id, *known)

    async def _noise(self, socket: Any) -> None:
        """Nothing but what a test says."""


@pytest.fixture
def typed(monkeypatch):
    """Standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as keyboard:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard


async def test_talk_sends_the_microphone_and_stops_the_loudspeaker_at_a_barge_in(typed):
    server, card = await Voice().start(), Card()
    conversation = asyncio.create_task(SpokenConversation(server.url, "s", lambda: "a.b.c", card).run())
    try:
        await eventually(lambda: len(card.streams) == 2)
        loudspeaker, microphone = card.streams
        assert (microphone.samplerate, microphone.blocksize, loudspeaker.blocksize) == (16_000, 1600, 320)
        microphone.callback(LOUD, 1600, None, None)
        await server.heard_all(lambda one: any(isinstance(frame, AudioInput) for frame in one.heard))
        assert next(frame for frame in server.heard if isinstance(frame, AudioInput)).pcm == LOUD
        who = server.heard[0].client_id
        speech = AudioOutput(audio=to_base64(LOUD), rate=16_000)
        await server.post(who, speech)
        block = bytearray(640)
        while bytes(block) != LOUD[:640]:
            loudspeaker.callback(block, 320, None, None)
            await asyncio.sleep(0.01)
        loudspeaker.callback(block, 320, None, None)
        await server.post(who, BargeIn())
        await server.heard_all(lambda one: any(isinstance(frame, OutputAck) and frame.played for frame in one.heard))
        (ack,) = [frame for frame in server.heard if isinstance(frame, OutputAck) and frame.played]
        assert isinstance(ack.played, Played)
        assert ack.played.ms == 20, "two blocks of 20 ms, of which the device holds one"
        loudspeaker.callback(block, 320, None, None)
        assert bytes(block) == bytes(640)
        typed.close()
        await promptly(conversation, 20)
        assert card.closed == 2
    finally:
        conversation.cancel()
        await asyncio.gather(conversation, return_exceptions=True)
        await server.stop()


@pytest.mark.parametrize(
    ("module", "said"), [(None, "pip install sounddevice"), (OSError("PortAudio library not found"), "libportaudio2")]
)
def test_a_missing_sound_package_is_named(monkeypatch, module, said):
    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise module or ImportError(name)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(LocalError, match=said):
        sound_card()


async def test_a_missing_sound_device_is_named(typed):
    server = await Voice().start()
    try:
        with pytest.raises(LocalError, match="connect one, or type"):
            await promptly(SpokenConversation(server.url, "s", lambda: "a.b.c", Card(missing=True)).run(), 20)
    finally:
        await server.stop()
