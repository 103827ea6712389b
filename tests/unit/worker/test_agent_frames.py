"""Events of the agent as frames."""

from __future__ import annotations

import base64

import msgspec
import pytest
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiReasoningDeltaEvent,
    BidiTextBlockEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptBlockEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStopEvent,
    BidiUsageEvent,
)
from strands.types._events import ToolResultMessageEvent

from segue.wire.frames import MAX_NUMBER, AudioOutput, BargeIn, Restart, TextOutput, Tool, Transcript, encode_frame
from shared.conversation.agent_frames import AUDIO_BYTES, AgentFrames, Ordering, Utterance, retell
from shared.conversation.record_positions import Marks


def agent_frames() -> AgentFrames:
    return AgentFrames(Marks(lambda _: None, lambda: 0))


def audio(pcm: bytes, **changes) -> BidiAudioDeltaEvent:
    return BidiAudioDeltaEvent(
        **{
            "audio": base64.b64encode(pcm).decode(),
            "format": "pcm",
            "sample_rate": 24000,
            "channels": 1,
            "content_id": "a",
        }
        | changes
    )


def test_audio_leaves_at_once_as_it_is():
    (said,) = agent_frames().frames_of(audio(b"\1\2" * 100))
    assert said.ordering is Ordering.AT_ONCE
    assert said.frame.pcm == b"\1\2" * 100
    assert said.frame.rate == 24000


def test_long_audio_is_cut_into_whole_samples_that_fit():
    pcm = bytes(range(256)) * 400
    frames = [said.frame for said in agent_frames().frames_of(audio(pcm))]
    assert len(frames) == -(-len(pcm) // AUDIO_BYTES)
    assert b"".join(frame.pcm for frame in frames) == pcm
    assert all(len(frame.pcm) % 2 == 0 for frame in frames)
    for frame in frames:
        encode_frame(frame)


def test_audio_that_the_protocol_has_no_name_for_is_not_sent():
    assert list(agent_frames().frames_of(audio(b"\1\2", format="mp3"))) == []
    assert list(agent_frames().frames_of(audio(b"\1\2", channels=2))) == []


def test_partials_carry_all_the_words_so_far():
    maker = agent_frames()
    first = list(maker.frames_of(BidiTranscriptDeltaEvent("My name", "user", "t1")))
    other = list(maker.frames_of(BidiTranscriptDeltaEvent("Well", "assistant", "t2")))
    second = list(maker.frames_of(BidiTranscriptDeltaEvent(" is Alice", "user", "t1")))
    assert first == [Utterance(Transcript(role="user", text="My name", final=False), Ordering.IN_ORDER)]
    assert other == [Utterance(Transcript(role="assistant", text="Well", final=False), Ordering.IN_ORDER)]
    assert second == [Utterance(Transcript(role="user", text="My name is Alice", final=False), Ordering.IN_ORDER)]
    assert list(maker.frames_of(BidiTranscriptStopEvent("user", "t1"))) == []
    assert maker._partials == {"t2": "Well"}


def test_frames_that_end_something_are_gated():
    maker = agent_frames()
    said = [
        *maker.frames_of(BidiTranscriptBlockEvent("Hi.", "assistant", "t")),
        *maker.frames_of(BidiTextBlockEvent("Written.", "x")),
        *maker.frames_of(BidiToolUseBlocksEvent([{"toolUseId": "u1", "name": "weather", "input": {}}])),
        *maker.frames_of(
            ToolResultMessageEvent(
                {"role": "user", "content": [{"toolResult": {"toolUseId": "u1", "status": "error", "content": []}}]}
            )
        ),
        *maker.frames_of(BidiConnectionRestartEvent("scheduled")),
    ]
    assert {one.ordering for one in said} == {Ordering.GATED}
    assert [one.frame for one in said] == [
        Transcript(role="assistant", text="Hi.", final=True),
        TextOutput(text="Written."),
        Tool(name="weather", tool_use_id="u1", status="started"),
        Tool(name="weather", tool_use_id="u1", status="error"),
        Restart(reason="scheduled"),
    ]


def test_barge_in_leaves_at_once_and_the_rest_says_nothing():
    assert [one.frame for one in agent_frames().frames_of(BidiBargeInEvent())] == [BargeIn()]
    assert list(agent_frames().frames_of(BidiUsageEvent(1, 2, 3))) == []
    assert list(agent_frames().frames_of(BidiReasoningDeltaEvent("secret thought", "r"))) == []


def test_text_that_does_not_fit_is_cut():
    (said,) = agent_frames().frames_of(BidiTextBlockEvent("é" * 40_000, "x"))
    assert len(encode_frame(said.frame)) < 32 * 1024
    assert said.frame.text.endswith("é…")


def test_retell_gives_frames_in_the_order_of_records():
    def message(tracking_id, role, content, **bidi):
        return {"tracking_id": tracking_id, "role": role, "content": content, "metadata": {"custom": {"bidi": bidi}}}

    use = {"toolUse": {"toolUseId": "u1", "name": "weather", "input": {}}}

    def result(text):
        return {"toolResult": {"toolUseId": "u1", "status": "success", "content": [{"text": text}]}}

    messages = [
        message("late", "user", [{"text": "spoken"}], kind="transcript", status="complete"),
        message("typed", "user", [{"text": "typed"}]),
        message("call", "assistant", [use]),
        message("dispatch", "user", [result("started")], kind="tool_dispatch"),
        message("call again", "assistant", [use]),
        message("result", "user", [result("done")], kind="tool_result"),
        message("cut", "assistant", [{"text": "[Transcript unavailable.]"}], kind="transcript", status="incomplete"),
        message("answer", "assistant", [{"text": "Hello."}], kind="transcript", status="complete"),
        message("written", "assistant", [{"text": "Written."}], kind="text", status="complete"),
        message("unrecorded", "assistant", [{"text": "Not yet."}], kind="text", status="complete"),
    ]
    numbers = {"typed": 2, "call": 3, "dispatch": 4, "call again": 5, "result": 6, "late": 7, "cut": 8, "answer": 9}
    numbers["written"] = 10
    everything = [
        Tool(name="weather", tool_use_id="u1", status="started", record=3),
        Tool(name="weather", tool_use_id="u1", status="success", record=6),
        Transcript(role="user", text="spoken", final=True, record=7),
        Transcript(role="assistant", text="Hello.", final=True, record=9),
        TextOutput(text="Written.", record=10),
    ]
    assert retell(messages, numbers.get, -1) == everything
    assert retell(messages, numbers.get, 6) == everything[1:]
    assert not any(isinstance(frame, AudioOutput) for frame in retell(messages, numbers.get, 0))


@pytest.mark.parametrize("character", ['"', "\x01", "\n"])
def test_text_that_only_fits_before_it_is_encoded_is_cut(character):
    words = character * 30_000
    message = {
        "tracking_id": "m",
        "role": "assistant",
        "content": [{"text": words}],
        "metadata": {"custom": {"bidi": {"kind": "text", "status": "complete"}}},
    }
    frames = [
        *(one.frame for one in agent_frames().frames_of(BidiTextBlockEvent(words, "x"))),
        *(one.frame for one in agent_frames().frames_of(BidiTranscriptBlockEvent(words, "assistant", "t"))),
        *(one.frame for one in agent_frames().frames_of(BidiTranscriptDeltaEvent(words, "user", "t"))),
        *retell([message], {"m": 7}.get, 0),
    ]
    assert len(frames) == 4
    for frame in frames:
        encode_frame(msgspec.structs.replace(frame, epoch=MAX_NUMBER, seq=MAX_NUMBER, record=MAX_NUMBER))
