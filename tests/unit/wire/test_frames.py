"""Frames: what may come in, and that nothing but FrameError comes out."""

import base64
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.lease.item import Known
from segue.wire import encoding, fields
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    MESSAGES,
    RETRYABLE_CODES,
    AnswerInput,
    Approval,
    ApprovalRequest,
    AudioFormat,
    AudioFormats,
    AudioInput,
    AudioOutput,
    BargeIn,
    Bye,
    Error,
    FrameError,
    Hello,
    HistoryLine,
    HistoryOutput,
    HistoryRequest,
    ImageInput,
    InputAck,
    Moved,
    OutputAck,
    Pause,
    Ping,
    Played,
    Pong,
    Ready,
    Response,
    Restart,
    Resume,
    TextInput,
    TextOutput,
    Tool,
    Transcript,
    WaitingTool,
    decode_client_frame,
    decode_server_frame,
    decode_server_message,
    encode_batch,
    encode_frame,
    error_frame,
    fitting,
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PCM = AudioFormat(rate=16000, channels=1, format="pcm")
CLIENT_FRAMES = [
    Hello(session="s", client_id="c-1", connection=1),
    Hello(session="s", client_id="c-1", connection=7, last_record=-1, modality="text"),
    TextInput(text="grüß Gott"),
    TextInput(text="hi", seq=1),
    AudioInput.from_pcm(b"\x01\x02" * 800, seq=2),
    AudioInput(audio="", seq=3),
    ImageInput(image="AAAA", media_type="image/webp", part=2, parts=3, seq=5),
    Hello(session="s", client_id="c-1", connection=1, approvals=True),
    AnswerInput(approval=7, responses=(Response(id="i", response={"approved": True}),), seq=6, last_record=7),
    OutputAck(epoch=3, seq=4),
    OutputAck(epoch=3, seq=4, played=Played(seq=3, ms=60)),
    OutputAck(epoch=3, seq=4, played=Played(seq=0, ms=0)),
    AudioInput(audio="", seq=7, silence=True),
    Hello(session="s", client_id="c-1", connection=1, history=True),
    HistoryRequest(),
    HistoryRequest(before=0, last_record=-1),
    Ping(trace=TRACE),
    Ping(),
    Bye(),
]
SERVER_FRAMES = [
    Ready(
        epoch=2,
        seq=1,
        session="s",
        known=Known(3, (5, 9)),
        history=4,
        head=11,
        since=-1,
        audio=AudioFormats(input=PCM, output=PCM),
        features=("history", "silence"),
    ),
    InputAck(epoch=2, seq=2, upto=3, beyond=(5,)),
    AudioOutput(epoch=2, seq=3, audio="AAAA", rate=24000),
    Transcript(epoch=2, seq=4, role="user", text="hi", final=True, record=0),
    TextOutput(epoch=2, seq=5, text="hello", record=1),
    Tool(epoch=2, seq=6, name="clock", tool_use_id="t1", status="started", record=2),
    Approval(
        epoch=2,
        seq=7,
        status="asked",
        requests=(
            ApprovalRequest(id="i1", name="approve", reason={"why": ["deletes"]}, tool_use_id="t1"),
            ApprovalRequest(id="i2", name="all"),
        ),
        tools=(WaitingTool(tool_use_id="t1", name="delete", input={"key": "a"}),),
        seconds=300.0,
        record=7,
    ),
    Approval(epoch=2, seq=8, status="expired", of=7, reason="no answer", record=8),
    HistoryOutput(
        epoch=2,
        seq=9,
        lines=(
            HistoryLine(record=3, role="user", kind="text", text="hi", input=4),
            HistoryLine(record=5, role="assistant", kind="transcript", text="…", replaces=4),
            HistoryLine(record=6, role="assistant", kind="tool", name="clock", tool_use_id="t1", status="started"),
        ),
        before=7,
        more=False,
    ),
    HistoryOutput(epoch=2, seq=10, lines=(HistoryLine(record=8, role="user", kind="image"),)),
    Error(code="approval_open", message="wait", retryable=False, input=4),
    BargeIn(epoch=2, seq=7),
    Restart(epoch=2, seq=8, reason="timeout"),
    Moved(epoch=2, seq=9),
    Moved(),
    Pause(epoch=2, active=True, reason="storage"),
    Pause(epoch=2, active=False, reason="storage"),
    Resume(epoch=2, seq=10, trace=TRACE),
    error_frame("busy"),
    Pong(),
]


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
def test_refused(message, code):
    assert refused(message) == code


def test_the_limit_is_exact():
    overhead = len(encode_frame(TextInput(text="x"))) - 1
    largest = TextInput(text="x" * (MAX_FRAME_BYTES - overhead))
    assert decode_client_frame(encode_frame(largest)) == largest
    with pytest.raises(FrameError, match="bytes"):
        encode_frame(TextInput(text=largest.text + "x"))


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
def test_what_is_not_protocol_is_no_server_frame(message):
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
def test_what_is_no_frame_is_left_out_of_a_message(message, tags):
    assert [frame.__struct_config__.tag for frame in decode_server_message(message)] == tags


SIZES = st.lists(st.integers(0, 40_000), min_size=1, max_size=6)


@pytest.mark.slow
@settings(deadline=None)
@given(SIZES | st.lists(st.integers(0, 6000), max_size=20), st.integers(1, 2**53 - 20))
def test_what_is_said_to_fit_fits_with_any_number_and_no_more_would(sizes, number):
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


# --- errors


def test_codes_are_open():
    assert error_frame("quota", "none left", retryable=True) == Error(code="quota", message="none left", retryable=True)
    assert not error_frame("quota").retryable
    assert FrameError("quota").message
    assert error_frame("busy", retryable=False) == Error(code="busy", message=MESSAGES["busy"], retryable=False)


def test_error_frames_say_whether_to_try_again():
    for code, text in MESSAGES.items():
        frame = error_frame(code)
        assert frame == Error(code=code, message=text, retryable=code in RETRYABLE_CODES)


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
    {"type": st.sampled_from([*sorted(encoding._CLIENT_TYPES), "ready", "", "x"])},
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


def test_a_marker_of_silence_has_a_number_and_no_audio():
    assert refused('{"type":"audio","audio":"AAA=","silence":true,"seq":1}') == "bad_frame"
    assert refused('{"type":"audio","audio":"","silence":true}') == "bad_frame"


def test_a_line_has_its_place_where_it_was_first_shown():
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
