"""docs/protocol.asyncapi.json: it is AsyncAPI, it is what the code says, and the code takes what it allows."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segue.lease.item import Known
from segue.wire import frames
from segue.wire.schema import document, render

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "docs" / "protocol.asyncapi.json"
PUBLISHED = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
CLIENT = typing.get_args(frames.ClientFrame)
SERVER = typing.get_args(frames.ServerFrame)


def test_the_document_is_what_the_code_says():
    assert KEPT.read_text() == render(), "run: python -m segue.wire.schema > docs/protocol.asyncapi.json"


@pytest.mark.slow
def test_the_document_is_asyncapi():
    published = json.loads(PUBLISHED.read_text())
    jsonschema.Draft7Validator(published).validate(document())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(published).validate(document() | {"operations": {"receive": {"action": "shout"}}})


def references(value):
    match value:
        case {"$ref": target}:
            yield target
        case dict():
            for one in value.values():
                yield from references(one)
        case list():
            for one in value:
                yield from references(one)


def test_every_reference_leads_somewhere():
    whole = document()
    targets = set(references(whole))
    assert targets
    for target in targets:
        found = whole
        for step in target.removeprefix("#/").split("/"):
            found = found[step]


def test_error_codes_are_listed():
    assert {code: facts["retryable"] for code, facts in document()["x-error-codes"].items()} == {
        code: code in frames.RETRYABLE_CODES for code in frames.MESSAGES
    }


def validator(names):
    choices = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    # The validator's expressions are Python's, whose $ also stands before a last line end; JSON Schema's does not.
    components = json.loads(json.dumps(document()["components"]).replace('$"', '\\\\Z"'))
    return jsonschema.Draft202012Validator({"oneOf": choices, "components": components})


OF_CLIENT = validator(kind.__name__ for kind in CLIENT)
OF_SERVER = validator([*(kind.__name__ for kind in SERVER), "Batch"])

SAMPLES = [
    frames.Hello(
        session="s",
        client_id="c",
        connection=1,
        last_record=-1,
        modality="text",
        approvals=True,
        history=True,
        binary=True,
    ),
    frames.TextInput(text="hi", seq=1, trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    frames.AudioInput(audio="AAA=", seq=2),
    frames.AudioInput(audio="", seq=3, silence=True),
    frames.ImageInput(image="AAAA", media_type="image/gif", part=2, parts=2, seq=3),
    frames.AnswerInput(approval=3, responses=(frames.Response(id="i", response=True),), seq=4, last_record=-1),
    frames.OutputAck(epoch=1, seq=1, played=frames.Played(seq=1, ms=2)),
    frames.HistoryRequest(before=3, last_record=-1),
    frames.Ping(),
    frames.Bye(),
]
TRACES = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"]
NUMBERS = [-2, -1, 0, 1, 2, 192, 193, 2**53 - 1, 2**53, 1.5]
TEXTS = ["", "a", "a b", "x" * 65, "x" * 129, "voice", "AAAA", *TRACES]
RESPONSES = [[{"id": "i", "response": response}] for response in (None, False, 0, [None], {"a": None})]
VALUES = st.sampled_from([None, True, [], {}, *RESPONSES, [{"id": "", "response": 1}], *NUMBERS, *TEXTS])

NAMES = [*SAMPLES[0].__struct_fields__, "approval", "responses", "seq", "text", "part", "type", "x"]


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@example(SAMPLES[0], [("client_id", "c\n")])
@given(
    st.sampled_from(SAMPLES),
    st.lists(
        st.tuples(
            st.sampled_from(
                [*SAMPLES[0].__struct_fields__, "approval", "responses", "seq", "text", "part", "type", "x"]
            ),
            VALUES,
        )
    ),
)
def test_the_code_takes_from_a_client_exactly_what_the_schema_allows(sample, changes):
    value = json.loads(frames.encode_frame(sample)) | dict(changes)
    try:
        frames.decode_client_frame(json.dumps(value))
        taken = True
    except frames.FrameError:
        taken = False
    allowed = OF_CLIENT.is_valid(value)
    if value["type"] in ("audio", "image"):
        # What base64 holds, and that a part is not past the last, no schema can say.
        assert allowed or not taken
    else:
        assert allowed == taken


NUMBER = st.none() | st.integers(1, 2**53 - 1)
COUNT = st.integers(0, 2**53 - 1)
RECORD = st.none() | COUNT
PLACE = {"epoch": RECORD, "seq": NUMBER, "trace": st.none() | st.just(SAMPLES[1].trace)}
FORMAT = st.builds(frames.AudioFormat, rate=st.integers(1, 48000), channels=st.integers(1, 2))
SINCE = st.none() | st.integers(-1, 2**53 - 1)
FORMATS = st.none() | st.builds(frames.AudioFormats, input=FORMAT, output=FORMAT)
BEYOND = st.lists(st.integers(1, 2**53 - 1)).map(tuple)
ANY = st.sampled_from([None, True, 1, "yes", [], {"a": [1]}])
REQUEST = st.builds(frames.ApprovalRequest, reason=ANY, tool_use_id=st.none() | st.just("t"))
WAITING = st.builds(frames.WaitingTool, input=ANY)
WINDOW = st.none() | st.integers(1, 1000)
LINE = st.builds(
    frames.HistoryLine,
    record=COUNT,
    role=st.sampled_from(["user", "assistant"]),
    kind=st.sampled_from(["transcript", "text", "tool", "image"]),
    text=st.none() | st.just("hi"),
    name=st.none() | st.just("clock"),
    tool_use_id=st.none() | st.just("t"),
    status=st.none() | st.sampled_from(["started", "success", "error"]),
    replaces=RECORD,
    input=NUMBER,
)
FIELDS = {
    frames.Ready: {
        "known": st.builds(Known, COUNT),
        "history": COUNT,
        "head": COUNT,
        "since": SINCE,
        "audio": FORMATS,
        "window": WINDOW,
        "features": st.lists(st.sampled_from(["history", "played", "silence"])).map(tuple),
        "holder": st.none() | st.just("worker-7f3a"),
    },
    frames.InputAck: {"upto": COUNT, "beyond": BEYOND},
    frames.Received: {"upto": COUNT, "beyond": BEYOND},
    frames.AudioOutput: {"audio": st.just("AAAA"), "rate": st.integers(1, 48000)},
    frames.Transcript: {"role": st.sampled_from(["user", "assistant"]), "record": RECORD, "replaces": RECORD},
    frames.TextOutput: {"record": RECORD},
    frames.Tool: {"status": st.sampled_from(["started", "success", "error"]), "record": RECORD},
    frames.Approval: {
        "status": st.sampled_from(["asked", "answered", "denied", "expired", "withdrawn"]),
        "requests": st.lists(REQUEST, max_size=2).map(tuple),
        "tools": st.lists(WAITING, max_size=2).map(tuple),
        "seconds": st.none() | st.floats(0, 1e6),
        "of": RECORD,
        "record": RECORD,
    },
    frames.HistoryOutput: {
        "lines": st.lists(LINE, max_size=3).map(tuple),
        "before": RECORD,
        "more": st.none() | st.booleans(),
    },
    frames.BargeIn: {},
    frames.Restart: {},
    frames.Moved: {},
    frames.Pause: {},
    frames.Resume: {},
    frames.Error: {"input": NUMBER},
    frames.Reconnect: {"after_ms": COUNT},
    frames.Pong: {},
}
SAID = {kind: st.builds(kind, **PLACE, **fields) for kind, fields in FIELDS.items()}


@pytest.mark.parametrize("kind", SERVER)
@pytest.mark.slow
def test_each_kind_that_the_server_says_is_one_that_the_schema_allows(kind):
    assert kind in SAID, "say here how it is made"
    alone = validator([kind.__name__])

    @settings(max_examples=25, deadline=None)
    @given(SAID[kind])
    def said(frame):
        value = json.loads(frames.encode_frame(frame))
        alone.validate(value)
        OF_SERVER.validate(value)
        assert not alone.is_valid(value | {"type": "another"})

    said()


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.one_of(SAID.values()), min_size=1, max_size=4))
def test_encoded_server_frames_are_valid_by_the_schema(said):
    OF_SERVER.validate(json.loads(frames.encode_batch(said)))
