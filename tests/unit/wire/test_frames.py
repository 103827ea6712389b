"""Frames on the wire: fields, limits, codes."""

from __future__ import annotations

import base64
import json

import pytest

from segue.wire import fields
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    MESSAGES,
    RETRYABLE_CODES,
    AudioInput,
    AudioOutput,
    Error,
    FrameError,
    HistoryLine,
    Ping,
    Pong,
    TextInput,
    Transcript,
    decode_client_frame,
    decode_server_frame,
    encode_frame,
    error_frame,
)
from tests.unit.wire.each_frame import CLIENT_FRAMES, SERVER_FRAMES, TRACE


def refused(message):
    with pytest.raises(FrameError) as caught:
        decode_client_frame(message)
    assert caught.value.code in MESSAGES
    assert caught.value.message
    return caught.value.code


@pytest.mark.parametrize("frame", CLIENT_FRAMES, ids=lambda frame: type(frame).__name__)
def test_client_frames_survive_the_wire(frame):
    message = encode_frame(frame)
    assert decode_client_frame(message) == frame
    assert decode_client_frame(message.encode()) == frame


@pytest.mark.parametrize("frame", SERVER_FRAMES, ids=lambda frame: type(frame).__name__)
def test_server_frames_survive_the_wire(frame):
    assert decode_server_frame(encode_frame(frame)) == frame


def test_absent_fields_are_left_out_and_required_ones_are_not():
    assert json.loads(encode_frame(Pong())) == {"type": "pong"}
    assert json.loads(encode_frame(Transcript(role="assistant", text="", final=False))) == {
        "type": "transcript",
        "role": "assistant",
        "text": "",
        "final": False,
    }


def test_unknown_fields_are_ignored():
    assert decode_client_frame('{"type":"ping","since":"version 2"}') == Ping()


def test_audio_carries_samples():
    frame = AudioInput.from_pcm(b"\x00\x01\xff\x7f")
    assert frame.pcm == b"\x00\x01\xff\x7f"
    assert base64.b64decode(frame.audio) == frame.pcm
    assert AudioOutput(audio=frame.audio, rate=8000).pcm == frame.pcm


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("hello", "bad_json"),
        ('{"type":"ping"} x', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"type":"text","text":"\xff"}', "bad_json"),
        ('{"type":"text","text":"\\ud800"}', "bad_json"),
        ('{"type":"text","text":"\ud800"}', "bad_json"),
        ('{"a":' * 5000, "bad_json"),
        ('{"type":"ping","a":' + "[" * 20_000, "bad_json"),
        ("null", "bad_frame"),
        ("[]", "bad_frame"),
        ("{}", "bad_frame"),
        ('{"type":3}', "bad_frame"),
        ('{"type":"shout"}', "unknown_type"),
        ('{"type":"ready","session":"s"}', "unknown_type"),
        ('{"type":"text"}', "bad_frame"),
        ('{"type":"text","text":""}', "bad_frame"),
        ('{"type":"text","text":null}', "bad_frame"),
        ('{"type":"text","text":"a","seq":0}', "bad_frame"),
        ('{"type":"text","text":"a","seq":-1}', "bad_frame"),
        ('{"type":"text","text":"a","seq":1.5}', "bad_frame"),
        ('{"type":"text","text":"a","seq":"1"}', "bad_frame"),
        ('{"type":"text","text":"a","seq":true}', "bad_frame"),
        ('{"type":"text","text":"a","seq":9007199254740992}', "bad_frame"),
        ('{"type":"audio","audio":""}', "bad_frame"),
        ('{"type":"ping","trace":""}', "bad_frame"),
        (json.dumps({"type": "ping", "trace": TRACE + "\n"}), "bad_frame"),
        (json.dumps({"type": "ping", "trace": TRACE.upper()}), "bad_frame"),
        (json.dumps({"type": "ping", "trace": TRACE.replace("00-4", "ff-4")}), "bad_frame"),
        (json.dumps({"type": "ping", "trace": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"}), "bad_frame"),
        (json.dumps({"type": "ping", "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01"}), "bad_frame"),
        ('{"type":"audio","audio":"AAA"}', "bad_frame"),
        ('{"type":"audio","audio":"A A="}', "bad_frame"),
        ('{"type":"audio","audio":"AA=="}', "bad_frame"),
        ('{"type":"audio","audio":"AAAA"}', "bad_frame"),
        ('{"type":"answer","approval":1,"responses":[]}', "bad_frame"),
        ('{"type":"answer","approval":1,"responses":[{"id":"a"}]}', "bad_frame"),
        ('{"type":"answer","approval":1,"responses":[{"id":"a","response":null}]}', "bad_frame"),
        ('{"type":"answer","approval":1,"responses":[{"id":"","response":1}]}', "bad_frame"),
        ('{"type":"answer","approval":-1,"responses":[{"id":"a","response":1}]}', "bad_frame"),
        (
            json.dumps(
                {"type": "answer", "approval": 1, "responses": [{"id": str(n), "response": 1} for n in range(33)]}
            ),
            "bad_frame",
        ),
        (
            '{"type":"answer","approval":1,"responses":[{"id":"a","response":' + "[" * 40 + "1" + "]" * 40 + "}]}",
            "bad_frame",
        ),
        ('{"type":"ack","epoch":1}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"c"}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"c","connection":0}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"a b","connection":1}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"a\\n","connection":1}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"","connection":1}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"c","connection":1,"last_record":-2}', "bad_frame"),
        ('{"type":"hello","session":"s","client_id":"c","connection":1,"modality":"smell"}', "bad_frame"),
        ("x" * (MAX_FRAME_BYTES + 1), "oversize"),
        (json.dumps({"type": "text", "text": "ü" * (MAX_FRAME_BYTES // 2)}, ensure_ascii=False), "oversize"),
    ],
    ids=repr,
)
def test_a_frame_against_the_protocol_is_refused_with_its_code(message, code):
    assert refused(message) == code


def test_the_limit_is_exact():
    overhead = len(encode_frame(TextInput(text="x"))) - 1
    largest = TextInput(text="x" * (MAX_FRAME_BYTES - overhead))
    assert decode_client_frame(encode_frame(largest)) == largest
    with pytest.raises(FrameError, match="bytes"):
        encode_frame(TextInput(text=largest.text + "x"))


# --- errors


def test_an_unknown_error_code_is_accepted():
    assert error_frame("quota", "none left", retryable=True) == Error(code="quota", message="none left", retryable=True)
    assert not error_frame("quota").retryable
    assert FrameError("quota").message
    assert error_frame("busy", retryable=False) == Error(code="busy", message=MESSAGES["busy"], retryable=False)


def test_error_frames_say_whether_to_try_again():
    for code, text in MESSAGES.items():
        frame = error_frame(code)
        assert frame == Error(code=code, message=text, retryable=code in RETRYABLE_CODES)


def test_a_marker_of_silence_has_a_number_and_no_audio():
    assert refused('{"type":"audio","audio":"AAA=","silence":true,"seq":1}') == "bad_frame"
    assert refused('{"type":"audio","audio":"","silence":true}') == "bad_frame"


def test_a_replacing_history_line_keeps_the_place_of_the_replaced_one():
    assert HistoryLine(record=7, role="assistant", kind="transcript", text="…", replaces=4).place == 4
    assert HistoryLine(record=7, role="user", kind="text", text="hi").place == 7


@pytest.mark.parametrize(
    ("holder", "shown"),
    [
        ("worker-3f2a", True),
        ("segue-worker-7d9f_x", True),
        ("ip-10-0-3-7.ec2.internal", False),
        ("10.0.3.7", False),
        ("fd00::7", False),
        ("http://host/", False),
        ("host:4711", False),
        ("", False),
        ("w" * 65, False),
    ],
)
def test_a_holder_is_told_by_name_and_never_by_address(holder, shown):
    assert fields.shown_holder(holder) == (holder if shown else None)
