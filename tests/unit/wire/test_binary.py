"""Audio as binary messages: what a text message says, without base64."""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.wire.binary import (
    AudioInputHeader,
    AudioOutputHeader,
    decode_binary_client,
    decode_binary_server,
    decode_samples,
    encode_binary,
)
from segue.wire.fields import from_base64, to_base64
from segue.wire.frames import MAX_FRAME_BYTES, AudioInput, AudioOutput, FrameError, encode_frame
from segue.wire.memory import kept_bytes

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PCM = bytes(range(256)) * 10
INPUTS = [
    AudioInput(audio=to_base64(PCM), seq=3),
    AudioInput(audio=to_base64(PCM), seq=3, trace=TRACE),
    AudioInput(audio=to_base64(PCM)),
    AudioInput(audio="", seq=4),
    AudioInput(audio="", seq=4, silence=True),
]
OUTPUTS = [
    AudioOutput(audio=to_base64(PCM), rate=24000, epoch=7, seq=3),
    AudioOutput(audio=to_base64(PCM), rate=16000, epoch=7, seq=3, trace=TRACE),
]


def message(header: object, samples: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(2) + raw + samples


@pytest.mark.parametrize("frame", INPUTS)
def test_input_audio_survives_the_binary_form(frame):
    assert decode_binary_client(encode_binary(frame)) == frame


@pytest.mark.parametrize("frame", INPUTS)
def test_samples_are_left_as_they_came_and_passed_on_as_the_same_json(frame):
    samples = decode_samples(encode_binary(frame))
    assert isinstance(samples, AudioInput)
    assert (samples.pcm, samples.pcm_bytes) == (frame.pcm, frame.pcm_bytes)
    assert kept_bytes(samples) <= kept_bytes(frame)
    assert encode_frame(samples) == encode_frame(frame)
    assert encode_binary(samples) == encode_binary(frame)


@pytest.mark.parametrize("frame", OUTPUTS)
def test_output_audio_survives_the_binary_form(frame):
    assert decode_binary_server(encode_binary(frame)) == frame


def test_the_header_is_the_frame_without_its_audio():
    encoded = encode_binary(OUTPUTS[0])
    length = int.from_bytes(encoded[:2])

    assert json.loads(encoded[2 : 2 + length]) == {"type": "audio", "rate": 24000, "epoch": 7, "seq": 3}
    assert encoded[2 + length :] == PCM


@pytest.mark.parametrize(("frame", "header"), [(AudioInput, AudioInputHeader), (AudioOutput, AudioOutputHeader)])
def test_a_header_has_each_field_of_its_frame(frame, header):
    assert set(frame.__struct_fields__) - set(header.__struct_fields__) == {"audio"}


def test_fields_that_a_reader_does_not_know_are_ignored():
    assert decode_binary_client(message({"type": "audio", "seq": 1, "codec": "x"}, b"ab")).pcm == b"ab"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"", "bad_frame"),
        (b"\x00", "bad_frame"),
        (b"\x00\x00ab", "bad_frame"),
        (b"\x00\x09{}", "bad_frame"),
        (message(b"{nonsense", b"ab"), "bad_json"),
        (message(b'{"type":"audio","trace":"\xff"}', b"ab"), "bad_json"),
        (message(b'{"x":' * 5000), "bad_json"),
        (message({"type": "text", "seq": 1}, b"ab"), "bad_frame"),
        (message({"type": "audio", "seq": 0}, b"ab"), "bad_frame"),
        (message({"type": "audio", "seq": 1}, b"abc"), "bad_frame"),
        (message({"type": "audio"}), "bad_frame"),
        (message({"type": "audio", "seq": 1, "silence": True}, b"ab"), "bad_frame"),
        (message({"type": "audio", "seq": 1}, bytes(MAX_FRAME_BYTES)), "oversize"),
    ],
)
def test_a_malformed_binary_frame_is_refused_with_its_code(broken, code):
    with pytest.raises(FrameError) as refused:
        decode_binary_client(broken)
    assert refused.value.code == code
    assert decode_binary_server(broken) is None


@given(st.binary(max_size=200))
def test_nothing_but_the_protocols_error_comes_of_any_bytes(raw):
    with suppress(FrameError):
        decode_binary_client(raw)
    decode_binary_server(raw)


def test_a_frame_that_is_too_large_is_not_sent():
    with pytest.raises(FrameError) as refused:
        encode_binary(AudioOutput(audio=to_base64(bytes(MAX_FRAME_BYTES)), rate=24000))
    assert refused.value.code == "oversize"


@given(st.binary(max_size=64))
def test_base64_is_that_of_the_standard(raw):
    assert to_base64(raw) == base64.b64encode(raw).decode()
    assert to_base64(bytearray(raw)) == to_base64(memoryview(raw)) == to_base64(raw)
    assert from_base64(to_base64(raw), "audio") == raw


@given(st.text("ABCDwxyz0189+/=-_ \né\ud800", max_size=9))
def test_base64_is_read_as_strictly_as_binascii_can(text):
    try:
        expected = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        with pytest.raises(ValueError, match="audio is not base64"):
            from_base64(text, "audio")
    else:
        assert from_base64(text, "audio") == expected
