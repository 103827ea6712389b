"""Every output of a model fits into a frame."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.wire.cutting import REMNANT_BYTES, TEXT_BYTES, cut, cut_approval, encode_remnant
from segue.wire.frames import (
    MAX_APPROVALS,
    MAX_FRAME_BYTES,
    MAX_NUMBER,
    Approval,
    ApprovalRequest,
    AudioOutput,
    Error,
    FrameError,
    Received,
    Restart,
    TextOutput,
    Tool,
    Transcript,
    WaitingTool,
    decode_server_frame,
    encode_frame,
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STAMPED = {"epoch": MAX_NUMBER, "seq": MAX_NUMBER, "trace": TRACE}
COSTLY = ['"', "\\", "\n", "\x01", "é", "\N{WAVING HAND SIGN}"]


@pytest.mark.parametrize("character", COSTLY)
def test_a_text_is_cut_by_what_it_takes_up_in_a_message(character):
    text = cut(character * 30_000)
    for frame in (
        TextOutput(text=text, record=MAX_NUMBER, **STAMPED),
        Transcript(role="assistant", text=text, final=True, record=MAX_NUMBER, replaces=MAX_NUMBER, **STAMPED),
    ):
        assert decode_server_frame(encode_frame(frame)) == frame
    cost = len(msgspec.json.encode(character)) - 2
    assert text == character * (TEXT_BYTES // cost) + "…", "no more is cut than necessary"


@pytest.mark.slow
@given(st.text(), st.integers(1, 40))
def test_a_text_that_fits_is_left_alone_and_any_other_is_as_long_as_possible(text, limit):
    def size(words):
        return len(msgspec.json.encode(words)) - 2

    kept = cut(text, limit)
    if size(text) <= limit:
        assert kept == text
    else:
        assert kept.endswith("…")
        assert text.startswith(kept[:-1])
        assert size(kept[:-1]) <= limit < size(text[: len(kept)])


@pytest.mark.parametrize(
    "frame",
    [
        TextOutput(text="\x01" * 40_000, record=7, **STAMPED),
        Transcript(role="user", text='"' * 40_000, final=True, record=7, **STAMPED),
        Tool(name="n" * 40_000, tool_use_id="\n" * 40_000, status="started", record=7, **STAMPED),
        Restart(reason="r" * 40_000, **STAMPED),
        Error(code="c" * 40_000, message="m" * 40_000, retryable=False, **STAMPED),
        AudioOutput(audio="AAAA" * 10_000, rate=24_000, **STAMPED),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_frame_too_large_to_send_is_replaced_by_a_remnant(frame):
    with pytest.raises(FrameError):
        encode_frame(frame)
    message = encode_remnant(frame)
    remnant = decode_server_frame(message)
    assert len(message.encode()) <= MAX_FRAME_BYTES
    assert type(remnant) is type(frame)
    assert (remnant.epoch, remnant.seq, remnant.trace) == (frame.epoch, frame.seq, frame.trace)
    assert getattr(remnant, "record", None) == getattr(frame, "record", None)
    assert all(len(text) <= REMNANT_BYTES + 1 for text in msgspec.structs.asdict(remnant).values() if type(text) is str)
    if isinstance(remnant, AudioOutput):
        assert remnant.pcm == b""


def test_an_error_takes_the_place_of_what_is_large_for_another_reason():
    remnant = decode_server_frame(encode_remnant(Received(upto=1, beyond=tuple(range(3, 20_000)), epoch=3, seq=4)))
    assert isinstance(remnant, Error)
    assert (remnant.epoch, remnant.seq, remnant.code) == (3, 4, "internal")


def approval(requests, value, tools=None):
    uses = [f"tooluse_{number:022}" for number in range(tools or requests)]
    return Approval(
        status="asked",
        requests=tuple(
            ApprovalRequest(id=f"v1:tool_call:{use}:{'0' * 36}", name="n" * 300, reason=value, tool_use_id=use)
            for use in uses[:requests]
        ),
        tools=tuple(WaitingTool(tool_use_id=use, name="n" * 64, input={"x": value}) for use in uses),
        seconds=300.0,
        record=MAX_NUMBER,
        **STAMPED,
    )


@pytest.mark.parametrize("requests", [1, 2, MAX_APPROVALS])
@pytest.mark.parametrize("value", ["x" * 40_000, {"a": ["\x01" * 20_000]}, "short"], ids=["text", "object", "short"])
def test_an_approval_keeps_its_ids_and_as_much_of_its_reasons_as_a_message_holds(requests, value):
    frame = approval(requests, value)
    fitting = cut_approval(frame)
    assert decode_server_frame(encode_frame(fitting)) == fitting
    assert [one.id for one in fitting.requests] == [one.id for one in frame.requests]
    assert [one.tool_use_id for one in fitting.tools] == [one.tool_use_id for one in frame.tools]
    if value == "short":
        assert [one.reason for one in fitting.requests] == [value] * requests
        assert [one.input for one in fitting.tools] == [{"x": value}] * requests
    else:
        assert all(one.reason.endswith("…") for one in fitting.requests)
        assert all(one.input.startswith('{"x":') for one in fitting.tools)


def test_tools_beyond_the_most_that_can_be_asked_about_are_left_out():
    fitting = cut_approval(approval(1, "x" * 40_000, tools=200))
    assert len(fitting.tools) == MAX_APPROVALS
    encode_frame(fitting)
