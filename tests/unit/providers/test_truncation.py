"""The heard part of an answer: words come with the sound that was before them, and time passes while it is played."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
)

from worker.providers.speech.truncation import NOTHING, AnswerCut, AnswerPlayback, Spoken

SECOND = BidiAudioDeltaEvent(base64.b64encode(bytes(2 * 16000)).decode(), "pcm", 16000, 1, "a")
OVER = BidiBargeInEvent()


def sound(milliseconds: int) -> BidiAudioDeltaEvent:
    return BidiAudioDeltaEvent(base64.b64encode(bytes(32 * milliseconds)).decode(), "pcm", 16000, 1, "a")


class Conversation:
    """Words of a second each, generated at once."""

    def __init__(self) -> None:
        self.now = 100.0
        self.heard = AnswerPlayback(lambda: self.now)
        self.cuts: list[tuple[str, str]] = []

    def saw(self, *events: Any) -> None:
        for event in events:
            for one in self.heard.pass_event(event):
                if isinstance(one, AnswerCut):
                    self.cuts.append((one.recorded, one.heard))

    def says(self, *words: str, sounds: bool = True) -> None:
        self.saw(BidiTranscriptStartEvent("assistant", "c"))
        for word in words:
            self.saw(BidiTranscriptDeltaEvent(word, "assistant", "c"), *([SECOND] if sounds else []))


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


@pytest.mark.parametrize(
    ("after", "heard"), [(0.0, NOTHING), (0.5, "one "), (1.0, "one "), (1.1, "one two "), (2.9, "one two three")]
)
def test_words_count_from_when_they_begin_to_sound(talk, after, heard):
    talk.says("one ", "two ", "three")
    talk.now += after
    talk.saw(OVER)
    assert talk.cuts == ([("one two three", heard)] if heard != "one two three" else [])


@pytest.mark.parametrize("after", [0.0, 0.00002, 0.0009, 0.9999, 1.0, 1.00002, 1.0009, 1.0011, 1.5, 2.0004])
def test_a_word_is_heard_if_the_provider_keeps_it(talk, after):
    """A provider is told of whole milliseconds, and keeps the words that begin before: a successor says the same."""
    talk.says("one ", "two ", "three")
    talk.now += after
    milliseconds = int((3 - talk.heard.unplayed) * 1000)
    talk.saw(OVER)
    kept = "".join(word for second, word in enumerate(("one ", "two ", "three")) if second * 1000 < milliseconds)
    assert (talk.cuts[-1][1] if talk.cuts else "one two three") == (kept or NOTHING)


def test_a_word_that_begins_within_a_millisecond_is_heard_if_the_provider_keeps_it(talk):
    """The second word begins after 99.5 ms; the provider is told of 100 ms of this answer."""
    talk.says("before. ")
    talk.now += 1.0003
    talk.saw(BidiTranscriptStartEvent("assistant", "c"), BidiTranscriptDeltaEvent("one ", "assistant", "c"))
    talk.saw(BidiAudioDeltaEvent(base64.b64encode(bytes(2 * 1592)).decode(), "pcm", 16000, 1, "a"))
    talk.saw(BidiTranscriptDeltaEvent("two ", "assistant", "c"), SECOND)
    talk.saw(BidiTranscriptDeltaEvent("three", "assistant", "c"), SECOND)
    talk.now += 0.1002
    talk.saw(OVER)
    assert talk.cuts == [("one two three", "one two ")]


@pytest.mark.parametrize("after", [0.1, 0.1004, 0.1011])
@pytest.mark.parametrize("earlier", range(10, 2000, 30))
def test_a_word_after_an_earlier_answer_is_heard_if_the_provider_keeps_it(talk, earlier, after):
    """The second word begins after 100 ms of its answer, however long the answers before it were."""
    talk.saw(BidiTranscriptStartEvent("assistant", "c"), BidiTranscriptDeltaEvent("before. ", "assistant", "c"))
    talk.saw(sound(earlier))
    talk.now += earlier / 1000
    assert talk.heard.unplayed == pytest.approx(0, abs=1e-6)
    talk.now += 1.0  # a pause: what comes now begins to sound now
    talk.saw(BidiTranscriptStartEvent("assistant", "c"), BidiTranscriptDeltaEvent("one ", "assistant", "c"))
    talk.saw(sound(100))
    talk.saw(BidiTranscriptDeltaEvent("two ", "assistant", "c"), SECOND)
    talk.saw(BidiTranscriptDeltaEvent("three", "assistant", "c"), SECOND)
    talk.now += after
    talk.saw(OVER)
    assert talk.cuts == [("one two three", "one two " if after > 0.101 else "one ")]


def test_an_answer_that_was_played_is_not_cut(talk):
    talk.says("one ", "two")
    talk.now += 2
    assert talk.heard.unplayed == 0
    talk.saw(OVER)
    assert talk.cuts == []


def test_a_pause_between_two_pieces_is_not_played(talk):
    talk.says("one ")
    talk.now += 10
    talk.saw(BidiTranscriptDeltaEvent("two ", "assistant", "c"), SECOND)
    talk.saw(BidiTranscriptDeltaEvent("three", "assistant", "c"), SECOND)
    talk.now += 0.5
    assert talk.heard.unplayed == 1.5
    talk.saw(OVER)
    assert talk.cuts == [("one two three", "one two ")]


def test_words_without_their_sound_were_not_heard(talk):
    talk.says("one ")
    talk.saw(BidiTranscriptDeltaEvent("two", "assistant", "c"))
    talk.now += 5
    talk.saw(OVER)
    assert talk.cuts == [("one two", "one ")]


def test_every_answer_that_still_waits_to_be_played_is_cut(talk):
    talk.says("one moment")
    talk.says("it is ", "noon")
    talk.now += 0.5
    talk.saw(OVER)
    assert talk.cuts == [("it is noon", NOTHING)], "of the first a word sounds"


def test_the_providers_account_counts_more_than_the_clock(talk):
    talk.says("One. ", "Two. ", "Three.")
    talk.now += 2.5
    talk.saw(Spoken("One."), Spoken("Two."), OVER)
    assert talk.cuts == [("One. Two. Three.", "One. Two.")]


def test_a_late_provider_report_of_what_was_spoken_corrects_the_cut_again(talk):
    talk.says("One. ", "Two. ", "Three.")
    talk.now += 0.5
    talk.saw(OVER, Spoken("One.\n"), Spoken("Two."), Spoken("Two."))
    assert talk.cuts == [("One. Two. Three.", "One. "), ("One. ", "One."), ("One.", "One. Two.")]


def test_an_account_of_something_else_is_left_out(talk):
    talk.says("One. ", "Two.")
    talk.now += 0.5
    talk.saw(Spoken('{ "interrupted" : true }'), Spoken(" "), OVER, Spoken("Three."))
    assert talk.cuts == [("One. Two.", "One. ")]


def test_an_answer_is_not_cut_twice_by_two_interruptions(talk):
    talk.says("one ", "two ", "three")
    talk.now += 0.5
    talk.saw(OVER, OVER)
    talk.now += 5
    talk.saw(OVER)
    assert len(talk.cuts) == 1
    assert talk.heard.unplayed == 0


def test_a_barge_in_during_the_next_answer_counts_its_playback_from_zero(talk):
    talk.says("one ", "two ", "three")
    talk.now += 0.5
    talk.saw(OVER)
    talk.says("four ", "five")
    talk.saw(Spoken("one"))
    talk.now += 0.5
    talk.saw(OVER)
    assert talk.cuts[1:] == [("four five", "four ")]


def test_a_typed_answer_is_never_cut(talk):
    talk.saw(SECOND, OVER)
    assert talk.cuts == []


def shorten(talk, unplayed):
    cuts, less = talk.heard.shorten(unplayed)
    talk.cuts += [(cut.recorded, cut.heard) for cut in cuts]
    return less


def test_a_report_of_what_was_played_shortens_once_more(talk):
    talk.says("one ", "two ", "three")
    talk.now += 1.5
    talk.saw(OVER)
    assert shorten(talk, 2.2) == pytest.approx(0.7)
    assert talk.cuts == [("one two three", "one two "), ("one two ", "one ")]


@pytest.mark.parametrize("unplayed", [0.0, 1.0, 1.5])
def test_a_report_never_lengthens(talk, unplayed):
    talk.says("one ", "two ", "three")
    talk.now += 1.5
    talk.saw(OVER)
    assert shorten(talk, unplayed) == 0
    assert len(talk.cuts) == 1


def test_a_played_report_during_the_next_answer_still_shortens_the_cut_one(talk):
    talk.says("one ", "two ", "three")
    talk.now += 2.5
    talk.saw(OVER)
    talk.says("four ", "five")
    shorten(talk, 3.0)
    talk.now += 0.5
    talk.saw(OVER)
    assert talk.cuts == [("one two three", NOTHING), ("four five", "four ")]


def test_an_answer_that_was_taken_to_be_played_is_cut_by_a_report(talk):
    talk.says("one ", "two ")
    talk.says("three")
    talk.now += 2.5
    talk.saw(OVER)
    assert talk.cuts == []
    shorten(talk, 1.5)
    assert talk.cuts == [("three", NOTHING)], "of the first both words sound"
    shorten(talk, 2.5)
    assert talk.cuts[1:] == [("one two ", "one ")]


def test_the_providers_account_counts_more_than_a_report(talk):
    talk.says("One. ", "Two. ", "Three.")
    talk.now += 2.5
    talk.saw(Spoken("One."), Spoken("Two."), OVER)
    shorten(talk, 2.9)
    assert talk.cuts == [("One. Two. Three.", "One. Two.")]


def test_a_barge_in_reported_twice_cuts_once(talk):
    talk.says("one ", "two ", "three")
    talk.now += 1.5
    talk.saw(OVER, OVER)
    shorten(talk, 2.2)
    assert talk.cuts[1:] == [("one two ", "one ")]


def test_a_report_without_a_barge_in_changes_nothing(talk):
    talk.says("one ", "two ")
    assert shorten(talk, 5.0) == 5.0
    assert talk.cuts == []
