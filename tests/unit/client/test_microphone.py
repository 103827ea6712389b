"""An open microphone: its silence is marked, and a second of it after the last sound is sent."""

from __future__ import annotations

import json
from array import array

import pytest

from infra.constants import ROOT
from segue.client.microphone import MARKER, Microphone
from segue.wire.audio import is_loud

RATE = 16_000
QUIET = b"\3\0" * (RATE // 10)
LOUD = b"\x10\x27" * (RATE // 10)


def sent(pieces: list[bytes], *, marks: bool = True, microphone: Microphone | None = None) -> str:
    microphone = microphone or Microphone()
    names = {MARKER: "m", QUIET: "q", LOUD: "L"}
    return " ".join("".join(names[one] for one in microphone.cut_pieces(piece, RATE, marks=marks)) for piece in pieces)


def test_a_second_of_silence_is_sent_and_then_a_marker_every_two():
    assert sent([LOUD, *[QUIET] * 52]).replace(" ", "") == "L" + "q" * 10 + "mmm"
    assert sent([LOUD, *[QUIET] * 52]).split(" ").index("m") == 11
    assert [at for at, one in enumerate(sent([LOUD, *[QUIET] * 52]).split(" ")) if one == "m"] == [11, 31, 51]


def test_the_last_300_ms_of_silence_are_sent_before_a_sound():
    assert sent([LOUD, *[QUIET] * 20, LOUD, QUIET]).split(" ")[-2:] == ["qqqL", "q"]
    assert sent([LOUD, *[QUIET] * 12, LOUD]).split(" ")[-1] == "qqL", "no more silence than the microphone kept back"
    assert sent([LOUD, *[QUIET] * 10, LOUD]).split(" ")[-1] == "L"


def test_a_microphone_silent_from_the_start_sends_a_second_and_then_markers():
    assert sent([QUIET] * 12).replace(" ", "") == "q" * 10 + "m"


@pytest.mark.parametrize("pieces", [3, 25])
def test_silence_is_sent_whole_to_a_holder_without_silence_markers(pieces):
    microphone = Microphone()
    assert sent([LOUD, *[QUIET] * pieces], marks=False, microphone=microphone).replace(" ", "") == "L" + "q" * pieces


def test_silence_is_sent_as_audio_after_a_ready_without_markers():
    microphone = Microphone()
    sent([LOUD, *[QUIET] * 30], microphone=microphone)
    assert sent([QUIET, QUIET], marks=False, microphone=microphone) == "qqqq q"
    assert sent([QUIET] * 12, microphone=microphone).replace(" ", "") == "q" * 10 + "m"


def test_pieces_of_another_length_make_a_whole_second_of_silence_too():
    piece = b"\3\0" * (RATE * 15 // 100)
    microphone = Microphone()
    microphone.cut_pieces(LOUD, RATE, marks=True)
    taken = [microphone.cut_pieces(piece, RATE, marks=True) for _ in range(8)]
    assert taken == [[piece]] * 7 + [[MARKER]], "1.05 s"


PIECES = json.loads((ROOT / "tests" / "conformance" / "loudness.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece["about"])
def test_loudness_is_the_same_in_both_languages(piece):
    assert is_loud(array("h", piece["samples"]).tobytes()) is piece["loud"]
