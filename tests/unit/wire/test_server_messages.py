"""Messages of a server: frames, batches of them, and what fits into one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.wire.frames import (
    MAX_FRAME_BYTES,
    AudioOutput,
    FrameError,
    decode_server_frame,
    decode_server_message,
    encode_batch,
    encode_frame,
    fitting,
)
from tests.unit.wire.each_frame import SERVER_FRAMES


@pytest.mark.parametrize(
    "message",
    [
        '{"message": "Internal server error", "connectionId":"abc=", "requestId":"xyz="}',
        '{"message": "Forbidden", "connectionId":"abc=", "requestId":"xyz="}',
        '{"type":"dance"}',
        '{"type":"ready"}',
        "not json",
        b"\xff",
        "[" * 30_000,
        "x" * (MAX_FRAME_BYTES + 1),
    ],
    ids=lambda message: repr(message)[:40],
)
def test_a_malformed_message_is_no_server_frame(message):
    assert decode_server_frame(message) is None


# --- several frames in one message


def test_a_batch_is_an_array_and_one_frame_is_itself():
    assert encode_batch(SERVER_FRAMES[:1]) == encode_frame(SERVER_FRAMES[0])
    batch = SERVER_FRAMES[:4]
    assert encode_batch(batch) == "[" + ",".join(map(encode_frame, batch)) + "]"
    assert decode_server_message(encode_batch(batch)) == batch
    assert decode_server_message(encode_batch(batch[:1])) == batch[:1]
    with pytest.raises(FrameError, match="bytes"):
        encode_batch([AudioOutput(audio="A" * 20_000, rate=8000)] * 2)


@pytest.mark.parametrize(
    ("message", "tags"),
    [
        ('[{"type":"pong"},{"type":"dance"},{"type":"moved"}]', ["pong", "moved"]),
        ('[{"type":"pong"},3,null,[{"type":"pong"}],{"message":"Forbidden"}]', ["pong"]),
        (' \n[{"type":"pong"}]', ["pong"]),
        ("[]", []),
        ('[{"type":"pong"}', []),
        ("[" * 20_000, []),
        ("[" * 16_000 + "]" * 16_000, []),
        ('[{"type":"pong"},' + " " * MAX_FRAME_BYTES + "]", []),
        (b"[\xff]", []),
        ('{"message": "Internal server error", "connectionId":"abc="}', []),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_malformed_frames_are_left_out_of_a_batch(message, tags):
    assert [frame.__struct_config__.tag for frame in decode_server_message(message)] == tags


SIZES = st.lists(st.integers(0, 40_000), min_size=1, max_size=6)


@pytest.mark.slow
@settings(deadline=None)
@given(SIZES | st.lists(st.integers(0, 6000), max_size=20), st.integers(1, 2**53 - 20))
def test_fitting_counts_the_frames_that_one_message_takes(sizes, number):
    waiting = [AudioOutput(audio="A" * size, rate=8000) for size in sizes]
    count = fitting(waiting)
    assert bool(waiting) <= count <= len(waiting)
    stamped = [msgspec.structs.replace(frame, epoch=number, seq=number + at) for at, frame in enumerate(waiting)]
    if count > 1:
        assert decode_server_message(encode_batch(stamped[:count])) == stamped[:count]
    if count < len(waiting) and number > 2**52:
        with pytest.raises(FrameError):
            encode_batch(stamped[: count + 1])


def test_frames_that_have_their_numbers_are_measured_as_they_are():
    frame = AudioOutput(audio="A" * 3000, rate=8000, epoch=1, seq=1)
    exactly = len(encode_batch([frame] * 4))
    assert fitting([frame] * 9, limit=exactly) == 4
    assert fitting([frame] * 9, limit=exactly - 1) == 3
    assert fitting(iter([]), limit=9) == 0


@pytest.mark.slow
@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200) | st.lists(st.sampled_from(SERVER_FRAMES)).map(encode_batch))
def test_any_server_message_is_frames_or_nothing(message):
    assert all(isinstance(frame, tuple(map(type, SERVER_FRAMES))) for frame in decode_server_message(message))
