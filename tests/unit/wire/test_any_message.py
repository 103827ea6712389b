"""Any message, any JSON and any damage is a frame or is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.wire import json_codec
from segue.wire.frames import (
    FrameError,
    decode_client_frame,
    encode_frame,
)
from tests.unit.wire.each_frame import CLIENT_FRAMES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "text", "audio", "seq", "session", "client_id", "connection", "epoch", "x"]),
            children,
            max_size=6,
        )
    ),
    max_leaves=12,
)
TYPED = st.fixed_dictionaries(
    {"type": st.sampled_from([*sorted(json_codec._CLIENT_TYPES), "ready", "", "x"])},
    optional=dict.fromkeys(("text", "audio", "seq", "session", "client_id", "connection", "last_record"), JSON),
)


def only_frame_error(message):
    refusal = frame = None
    try:
        frame = decode_client_frame(message)
    except FrameError as error:
        refusal = error.code
    assert refusal in {None, "oversize", "bad_json", "unknown_type", "bad_frame"}
    # What came in can be said again: the gateway passes it on to the worker.
    assert frame is None or decode_client_frame(encode_frame(frame)) == frame


@pytest.mark.slow
@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_message_decodes_or_is_refused(message):
    only_frame_error(message)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(TYPED | JSON)
def test_any_json_decodes_or_is_refused(value):
    only_frame_error(json.dumps(value))
    only_frame_error(json.dumps(value, ensure_ascii=False))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CLIENT_FRAMES), st.data())
def test_any_damage_decodes_or_is_refused(frame, data):
    message = bytearray(encode_frame(frame).encode()[:300])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(message) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "double"])):
            case "flip":
                message[position] = data.draw(st.integers(0, 255))
            case "cut" if len(message) > 1:
                del message[position]
            case _:
                message[position:position] = message[position : position + 3]
    only_frame_error(bytes(message))
