"""Random messages over the WebSocket: the gateway's functions answer with a frame or a status, and tell nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import connect, disconnect, message
from segue.wire.frames import (
    MESSAGES,
    AnswerInput,
    AudioInput,
    Bye,
    Hello,
    ImageInput,
    OutputAck,
    Ping,
    Response,
    TextInput,
    encode_frame,
)

CALL_SECONDS = 5.0
"""Time limit of the calls of one example on a busy machine: they take some milliseconds. The limit of the test ends
a call that hangs for good."""

FUZZ = settings(
    max_examples=150,
    deadline=timedelta(seconds=CALL_SECONDS),
    # The tables are made once and shared by all examples: none of them depends on what another left there.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SECRETS = ("Traceback", "connections", "locks", "SEGUE", "boto", "Exception", "Error(", ".py", "arn:", "sqs.", "token")

FRAMES = [
    Hello(session="s", client_id="c", connection=1),
    Hello(session="other", client_id="c", connection=9),
    Hello(session="..", client_id="d", connection=2),
    TextInput(text="hi", seq=1),
    TextInput(text="hi"),
    AudioInput.from_pcm(b"\0\0" * 800, seq=2),
    ImageInput(image="AAAA", media_type="image/png", part=1, parts=1, seq=3),
    AnswerInput(approval=2, responses=(Response(id="i", response=True),), seq=4),
    OutputAck(epoch=1, seq=1),
    Ping(),
    Bye(),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=9), some))
NAMES = (
    "type session client_id connection last_record seq text audio image part epoch approval responses approvals trace"
)
FIELDS = st.sampled_from(NAMES.split())
MESSY = st.tuples(st.sampled_from(FRAMES), st.dictionaries(FIELDS, LEAVES, max_size=3)).map(
    lambda pair: json.dumps(json.loads(encode_frame(pair[0])) | pair[1])
)
BODIES = (
    MESSY
    | st.sampled_from(FRAMES).map(encode_frame)
    | JSON.map(json.dumps)
    | st.text(max_size=100)
    | st.sampled_from(["[" * 20_000, "x" * 40_000, "\ud800", '{"type":"text","text":"\\ud800"}', "1" * 5000])
    | JSON
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "connectionId": st.sampled_from(["c1", "c2", "", "é=", "x" * 300]) | LEAVES,
        "requestId": LEAVES,
        "identity": LEAVES | st.fixed_dictionaries({}, optional={"userArn": LEAVES}),
        "authorizer": JSON,
    },
)
EVENTS = st.fixed_dictionaries(
    {"requestContext": CONTEXTS},
    optional={"body": BODIES, "headers": JSON, "queryStringParameters": JSON, "isBase64Encoded": LEAVES},
)


@pytest.fixture
def deployed(aws, management, monkeypatch):
    monkeypatch.setattr("gateway.dispatch.HOLDER_WAIT_SECONDS", 0.0)
    for name, value in {
        "connections_table": "connections",
        "lock_table": "locks",
        "claims_queue_url": aws.queue_url,
        "management_endpoint": management.endpoint,
    }.items():
        monkeypatch.setenv(f"SEGUE_{name.upper()}", value)
    for connection_id in ("c1", "c2"):
        authorizer = {"principal": "a" * 32, "expires_at": "9999999999"}
        context = {"connectionId": connection_id, "authorizer": authorizer}
        assert connect.connect({"requestContext": context}, connect.dependencies())["statusCode"] == 200


def is_safe(response):
    assert set(response) <= {"statusCode", "headers"}
    assert not any(secret in str(response) for secret in SECRETS)


@pytest.mark.slow
@FUZZ
@given(bodies=st.lists(BODIES, min_size=1, max_size=5), connection_id=st.sampled_from(["c1", "c2", "unknown"]))
def test_any_message_is_answered_with_a_frame_or_nothing(deployed, management, bodies, connection_id):
    for body in bodies:
        context = {"connectionId": connection_id, "requestId": "r"}
        response = message.handler({"requestContext": context, "body": body}, None)
        is_safe(response)
        assert response["statusCode"] == 200
        for frame in management.told(connection_id):
            assert frame.__struct_config__.tag in {"error", "pong"}
            assert getattr(frame, "code", "busy") in MESSAGES
            assert not any(secret in encode_frame(frame) for secret in SECRETS)


@pytest.mark.slow
@FUZZ
@given(event=EVENTS, handler=st.sampled_from([message.handler, connect.handler, disconnect.handler]))
def test_any_event_is_answered_with_a_status(deployed, event, handler):
    response = handler(event, None)
    is_safe(response)
    assert response["statusCode"] in {200, 401, 403, 500}
