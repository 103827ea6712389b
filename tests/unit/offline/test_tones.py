from __future__ import annotations

import random
import time
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.testing.offline.tone_scale import play, seal
from segue.testing.offline.tones import BYTES_PER_SECOND, Ear, Heard, speak, words_in_time

TEXTS = ["My name is Alice", "What's my name?", "x", "ąćę 你好 🎉 mañana", "aaaaaaaaaaaaaaaaaaaa", "line\nbreak\ttab"]


def listen(pcm: bytes, rate: int = 16000, chunk_bytes: int = 3200) -> list[Heard]:
    ear = Ear(rate)
    return [heard for at in range(0, len(pcm), chunk_bytes) for heard in ear.feed(pcm[at : at + chunk_bytes])]


def texts(heard: list[Heard]) -> list[str | None]:
    return [one.text for one in heard]


def silence(seconds: float, rate: int = 16000) -> bytes:
    return bytes(2 * int(seconds * rate))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("text", TEXTS)
def test_a_spoken_text_is_recognized_at_its_stop_tone(rate: int, text: str) -> None:
    assert texts(listen(speak(text, rate), rate)) == [text]


@pytest.mark.slow
@pytest.mark.parametrize("chunk_bytes", [1, 3, 333, 3200, 1 << 20])
def test_audio_may_be_cut_anywhere(chunk_bytes: int) -> None:
    pcm = silence(0.1237) + speak("Hello") + silence(0.05) + speak("there") + silence(0.2)
    assert texts(listen(pcm, chunk_bytes=chunk_bytes)) == ["Hello", "there"]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.integers(0, 2000), st.integers(1, 5000))
def test_any_text_is_heard_wherever_it_begins(text: str, before: int, chunk_bytes: int) -> None:
    assert texts(listen(bytes(2 * before) + speak(text, 8000), 8000, chunk_bytes)) == [text]


@pytest.mark.slow
@pytest.mark.parametrize("loudness", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_soft_loud_clipped_and_noisy_speech_is_understood(loudness: float, noise: float) -> None:
    dice = random.Random(7)
    samples = array("h", silence(0.3) + speak("Can you hear me now?") + silence(0.3))
    hiss = noise * loudness * 8000
    pcm = array(
        "h", (max(-32768, min(32767, round(sample * loudness + dice.gauss(0, hiss)))) for sample in samples)
    ).tobytes()
    assert texts(listen(pcm)) == ["Can you hear me now?"]


def test_noise_and_silence_say_nothing() -> None:
    dice = random.Random(3)
    noise = array("h", (round(dice.gauss(0, 2000)) for _ in range(32000))).tobytes()
    ear = Ear()
    assert ear.feed(noise) == [] == ear.feed(silence(1))
    assert not ear.hearing


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["lost", "doubled", "swapped"])
def test_damaged_audio_is_garbled_and_never_understood_wrongly(damage: str) -> None:
    dice = random.Random(damage)
    for _ in range(150):
        said = ["".join(dice.choices("abcdefgh ijklm", k=dice.randrange(3, 20))) for _ in range(3)]
        pause = silence(dice.choice([0, 0.05, 0.4]), 8000)
        pcm = b"".join(speak(text, 8000) + pause for text in said) + silence(0.2, 8000)
        size = 2 * dice.randrange(160, 801)  # 20 to 100 ms
        at = 2 * dice.randrange((len(pcm) - 2 * size) // 2)
        first, second = pcm[at : at + size], pcm[at + size : at + 2 * size]
        piece = {"lost": second, "doubled": first + first + second, "swapped": second + first}[damage]
        heard = listen(pcm[:at] + piece + pcm[at + 2 * size :], 8000)
        understood = iter(said)
        # What is understood was said, in that order; what is missing shows as garbled.
        assert all(one.text in understood for one in heard if not one.garbled), (said, heard)
        assert len(heard) >= len(said) - (damage == "lost")


def test_a_piece_missing_in_the_middle_is_one_garbled_utterance() -> None:
    pcm = speak("The quick brown fox")
    assert texts(listen(pcm[:9600] + pcm[12800:])) == [None]


def test_speech_without_a_start_is_garbled_and_without_a_stop_ends_in_silence() -> None:
    assert texts(listen(speak("no beginning")[3200:])) == [None]
    assert texts(listen(speak("no end")[:-3200] + silence(0.3))) == ["no end"]
    cut = Ear()
    assert cut.feed(speak("cut off in the middle")[:12800]) == []
    assert cut.hearing
    assert texts(cut.finish()) == [None]
    assert not cut.hearing


def test_another_start_ends_what_has_no_stop() -> None:
    pcm = speak("cut off in the middle")[:12800] + speak("Next")
    assert texts(listen(pcm)) == [None, "Next"]


def test_the_ear_reports_speech_before_its_end() -> None:
    pcm, ear = speak("Hello"), Ear()
    ear.feed(pcm[: 2 * 3200])
    assert ear.hearing
    assert texts(ear.feed(pcm[2 * 3200 :])) == ["Hello"]
    assert not ear.hearing


def test_the_ear_reports_where_an_utterance_was() -> None:
    pcm = silence(0.5) + speak("Here") + silence(0.5)
    (heard,) = listen(pcm)
    assert abs(heard.begin - 8000) < 40
    assert heard.end - heard.begin == pytest.approx(len(speak("Here")) // 2, abs=1600)


def test_bytes_that_are_no_utf8_are_garbled() -> None:
    assert texts(listen(play(seal(b"\xff\xfe"), 400).tobytes())) == [None]


def test_words_are_timed_by_their_audio() -> None:
    timed = words_in_time(" My name  is 你好")
    assert "".join(word for word, _ in timed) == " My name  is 你好"
    assert [word for word, _ in timed] == [" My", " name", "  is", " 你好"]
    assert timed[0][1] == pytest.approx(0.1 + 3 / BYTES_PER_SECOND)
    assert timed[-1][1] == pytest.approx(len(speak(" My name  is 你好")) / 32000 - 0.3)
    assert words_in_time("") == []


def test_speech_begins_and_ends_softly_and_has_no_clicks() -> None:
    samples = array("h", speak("What's my name?", 48000))
    steps = [abs(after - before) for before, after in pairwise(samples)]
    assert samples[0] == samples[-1] == 0
    # The steepest step of the highest note that it plays; a click would be several times that.
    assert max(steps) < 8000 * 2 * 3.2 * 3200 / 48000


@pytest.mark.parametrize("rate", [0, 4000, 11025, 44100])
def test_a_rate_that_does_not_fit_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="multiple of 40"):
        speak("x", rate)
    with pytest.raises(ValueError, match="multiple of 40"):
        Ear(rate)


def test_an_empty_text_makes_no_audio() -> None:
    assert speak("") == b""


def test_listening_is_cheap() -> None:
    pcm = speak("The quick brown fox jumps over the lazy dog. " * 5) + silence(2)
    listen(speak("x"))
    begun = time.process_time()
    assert len(listen(pcm)) == 1
    assert time.process_time() - begun < 0.1 * len(pcm) / 32000
