"""Resampling, piece by piece."""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import pytest
import soxr
from strands.bidi.types import AudioDelta
from strands.bidi.types.events import BidiAudioDeltaEvent, BidiAudioStopEvent, BidiBargeInEvent

from worker.providers.speech.resampling import QUALITY, ClientProviderResampler, Resampler

SECONDS = 1.5


def sine(rate: int, hertz: float = 440.0, loudness: float = 0.5) -> bytes:
    time = np.arange(int(rate * SECONDS)) / rate
    return (np.sin(2 * np.pi * hertz * time) * loudness * 32767).astype("<i2").tobytes()


def in_pieces(pcm: bytes, seed: int) -> list[bytes]:
    """Cut anywhere, also within a sample."""
    random_ = random.Random(seed)
    pieces, at = [], 0
    while at < len(pcm):
        size = random_.randint(1, 4000)
        pieces.append(pcm[at : at + size])
        at += size
    return pieces


def loudest(pcm: bytes) -> int:
    return int(np.abs(np.frombuffer(pcm, dtype="<i2").astype(int)).max())


@pytest.mark.parametrize(
    ("source", "target"), [(16000, 24000), (24000, 16000), (8000, 24000), (48000, 16000), (44100, 24000)]
)
@pytest.mark.parametrize("seed", range(3))
def test_pieces_sound_as_the_whole(source: int, target: int, seed: int):
    pcm = sine(source)
    resampler = Resampler(source, target)
    converted = b"".join(map(resampler.convert, in_pieces(pcm, seed))) + resampler.finish()
    whole = soxr.resample(np.frombuffer(pcm, dtype="<i2"), source, target, quality=QUALITY).astype(int)
    got = np.frombuffer(converted, dtype="<i2").astype(int)
    assert abs(len(got) - len(whole)) <= 1
    shared = min(len(got), len(whole))
    assert np.abs(got[:shared] - whole[:shared]).max() <= 2, "a click where two pieces meet"


def test_silence_stays_silent():
    resampler = Resampler(16000, 24000)
    assert loudest(resampler.convert(bytes(3200)) + resampler.finish()) <= 1, "more than the dither"


def test_resampled_samples_beyond_the_range_are_clipped_and_do_not_wrap():
    resampler = Resampler(16000, 24000)
    square = np.repeat(np.array([32767, -32768] * 20, dtype="<i2"), 80)
    got = np.frombuffer(resampler.convert(square.tobytes()) + resampler.finish(), dtype="<i2").astype(int)
    assert got.max() == 32767
    assert got.min() == -32768
    # A wrapped sample would be a jump between the extremes within one sample; the filter needs several.
    assert np.abs(np.diff(got)).max() < 60000


def test_equal_rates_pass_unchanged():
    resampler = Resampler(24000, 24000)
    assert resampler.idle
    assert resampler.convert(b"\x01\x02\x03") == b"\x01\x02\x03"


def test_drop_filter_leaves_no_sound_of_before():
    resampler = Resampler(16000, 24000)
    resampler.convert(sine(16000))
    resampler.drop_filter()
    assert loudest(resampler.convert(bytes(3200))) <= 1


def spoken(pcm: bytes) -> BidiAudioDeltaEvent:
    return BidiAudioDeltaEvent(base64.b64encode(pcm).decode(), "pcm", 16000, 1, "c1")


def sound(events: list[Any]) -> bytes:
    """Return the audio of these events, all of it at the client's rate."""
    deltas = [event for event in events if isinstance(event, BidiAudioDeltaEvent)]
    assert all((event.sample_rate, event.content_id) == (24000, "c1") for event in deltas)
    return b"".join(base64.b64decode(event.audio) for event in deltas)


def test_at_the_end_of_speech_clients_are_sent_what_the_filter_kept():
    resampler = ClientProviderResampler((16000, 24000), (16000, 16000))
    said = list(resampler.to_client(spoken(sine(16000))))
    end = list(resampler.to_client(BidiAudioStopEvent("c1")))
    assert isinstance(end[-1], BidiAudioStopEvent), "and then that it is over"
    assert len(end) == 2
    whole = soxr.resample(np.frombuffer(sine(16000), dtype="<i2"), 16000, 24000, quality=QUALITY)
    assert abs(len(sound(said + end)) // 2 - len(whole)) <= 1
    assert list(resampler.to_client(stop := BidiAudioStopEvent("c1"))) == [stop], "the filter holds no sound back"


def test_after_a_barge_in_clients_are_sent_nothing_of_what_the_filter_kept():
    resampler = ClientProviderResampler((16000, 24000), (16000, 16000))
    list(resampler.to_client(spoken(sine(16000, loudness=0.9))))
    cut = BidiBargeInEvent()
    assert list(resampler.to_client(cut)) == [cut]
    assert list(resampler.to_client(stop := BidiAudioStopEvent("c1"))) == [stop]
    assert loudest(sound(list(resampler.to_client(spoken(bytes(32000)))))) <= 1, "the next answer begins with silence"


def test_audio_too_short_for_the_filter_is_held_until_it_gives_output():
    resampler = ClientProviderResampler((16000, 24000), (24000, 24000))
    few = AudioDelta(format="pcm", source={"bytes": sine(16000)[:20]})
    assert resampler.to_provider(few) is None
    given = resampler.to_provider(AudioDelta(format="pcm", source={"bytes": sine(16000)}))
    assert given is not None
    assert len(given.source["bytes"]) > 2 * 16000


def test_audio_passes_unchanged_at_equal_rates():
    resampler = ClientProviderResampler((16000, 24000), (16000, 24000))
    for event in (spoken(b"ab"), BidiAudioStopEvent("c1"), BidiBargeInEvent()):
        assert list(resampler.to_client(event)) == [event]
