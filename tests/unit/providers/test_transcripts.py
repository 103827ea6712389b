"""One sentence, one message."""

from __future__ import annotations

from typing import Any

from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)

from worker.providers.speech.transcripts import Sentences

AUDIO = BidiAudioDeltaEvent("AAAA", "pcm", 16000, 1, "a")


def start(content_id: str, role: Any = "user") -> Any:
    return BidiTranscriptStartEvent(role, content_id)


def delta(text: str, content_id: str, role: Any = "user") -> Any:
    return BidiTranscriptDeltaEvent(text, role, content_id)


def stop(content_id: str, role: Any = "user") -> Any:
    return BidiTranscriptStopEvent(role, content_id)


def said(events: list[Any]) -> list[tuple[str, str]]:
    """The sentences that Strands' loop makes of events; every one opened once and closed once."""
    open_: dict[str, list[str]] = {}
    done: list[tuple[str, str]] = []
    sentences = Sentences()
    for event in events:
        for one in sentences.split_event(event):
            if isinstance(one, BidiTranscriptStartEvent):
                assert one.content_id not in open_
                open_[one.content_id] = []
            elif isinstance(one, BidiTranscriptDeltaEvent):
                open_[one.content_id].append(one.delta)
            elif isinstance(one, BidiTranscriptStopEvent):
                done.append((one.role, "".join(open_.pop(one.content_id))))
    assert not open_
    return done


def test_a_merged_sentence_is_taken_apart():
    events = [
        start("u"), delta("count to ten", "u"), start("m", "assistant"), delta("one two", "m", "assistant"), AUDIO,
        BidiBargeInEvent(), delta("stop", "u"), delta("Okay.", "m", "assistant"), stop("u"), stop("m", "assistant"),
    ]  # fmt: skip
    assert said(events) == [
        ("user", "count to ten"),
        ("assistant", "one two"),
        ("user", "stop"),
        ("assistant", "Okay."),
    ]


def test_a_transcript_over_two_barge_ins_becomes_three():
    events = [start("u"), delta("a", "u"), AUDIO]
    for words in ("b", "c"):
        events += [BidiBargeInEvent(), delta(words, "u"), AUDIO]
    assert said([*events, stop("u")]) == [("user", "a"), ("user", "b"), ("user", "c")]


def test_the_words_that_interrupt_are_not_cut_off_by_the_interruption():
    events = [start("u"), delta("sto", "u"), BidiBargeInEvent(), delta("p", "u"), stop("u")]
    assert said(events) == [("user", "stop")]


def test_a_provider_that_ends_its_transcripts_is_left_alone():
    events = [
        start("u1"), delta("a", "u1"), stop("u1"), start("m", "assistant"), delta("b", "m", "assistant"), AUDIO,
        start("u2"), BidiBargeInEvent(), stop("m", "assistant"), delta("c", "u2"), stop("u2"),
    ]  # fmt: skip
    assert said(events) == [("user", "a"), ("assistant", "b"), ("user", "c")]


def test_a_sentence_that_is_never_understood_is_closed_by_the_provider_only():
    assert said([start("u"), BidiBargeInEvent(), stop("u")]) == [("user", "")]
