"""The handlers as Lambda calls them: events in, responses out, nothing from inside in between."""

from __future__ import annotations

import json

import pytest

from gateway import connect, disconnect, message
from segue.wire.frames import AudioInput, Error, Hello, Ping, Pong, TextInput, encode_frame
from shared.connections import LIFETIME_SECONDS, ConnectionsTable

ALICE = "0123456789abcdef0123456789abcdef"
FOR_LONG = "9999999999"


@pytest.fixture
def environment(aws, management, monkeypatch):
    def set_to(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"SEGUE_{name.upper()}", value)

    monkeypatch.setattr("gateway.dispatch.HOLDER_WAIT_SECONDS", 0.0)
    set_to(connections_table="connections", lock_table="locks", claims_queue_url=aws.queue_url)
    set_to(management_endpoint=management.endpoint)
    return set_to


def event(connection_id="c1", body=None, authorizer=None, **more):
    known = {"principal": ALICE, "expires_at": FOR_LONG, "principalId": ALICE} if authorizer is None else authorizer
    context = {"connectionId": connection_id, "requestId": "r", "authorizer": known}
    return {"requestContext": context, "body": body, "isBase64Encoded": False, **more}


def items(aws):
    return aws.dynamodb.scan(TableName="connections")["Items"]


@pytest.mark.slow
def test_connect_stores_who_it_is_and_until_when(aws, environment):
    assert connect.handler(event(), None) == {"statusCode": 200, "headers": {}}
    (item,) = items(aws)
    assert item["pk"] == {"S": "connection/c1"}
    assert item["sk"] == {"S": "connection"}
    assert item["principal"] == {"S": ALICE}
    assert item["token_expires_at"] == {"N": FOR_LONG}
    assert int(item["expires_at"]["N"]) - int(item["connected_at"]["N"]) == LIFETIME_SECONDS >= 2 * 60 * 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["segue.v1, bearer.a.b.c"], {"Sec-WebSocket-Protocol": "segue.v1"}),
        (["bearer.a.b.c", "segue.v1"], {"Sec-WebSocket-Protocol": "segue.v1"}),
        (["bearer.a.b.c"], {}),
        (["segue.v2,bearer.a.b.c"], {}),
    ],
    ids=["in one line", "token first, in two lines", "token alone", "another version"],
)
@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
def test_connect_answers_its_own_subprotocol_and_never_the_token(aws, environment, header, lines, answer):
    response = connect.handler(event(multiValueHeaders={header: lines}), None)
    assert response == {"statusCode": 200, "headers": answer}


@pytest.mark.slow
@pytest.mark.parametrize(
    "authorizer",
    [
        {},
        {"principal": ALICE},
        {"expires_at": FOR_LONG},
        {"principal": "", "expires_at": FOR_LONG},
        {"principal": "..", "expires_at": FOR_LONG},
        {"principal": f"{ALICE}/x", "expires_at": FOR_LONG},
        {"principal": f"{ALICE}\n", "expires_at": FOR_LONG},
        {"principal": ALICE.upper(), "expires_at": FOR_LONG},
        {"principal": ALICE, "expires_at": "never"},
        {"principal": ALICE, "expires_at": "-1"},
    ],
    ids=str,
)
def test_connect_refuses_whom_the_authorizer_does_not_name(aws, environment, authorizer):
    assert connect.handler(event(authorizer=authorizer), None) == {"statusCode": 403}
    assert items(aws) == []


@pytest.mark.slow
def test_disconnect_forgets_the_connection_and_its_client(aws, environment):
    connect.handler(event(), None)
    message.handler(event(body=encode_frame(Hello(session="s", client_id="c", connection=1))), None)
    assert len(items(aws)) == 3
    assert disconnect.handler(event(), None) == {"statusCode": 200}
    (left,) = items(aws)
    assert left["pk"] == {"S": f"principal/{ALICE}"}
    assert left["open"] == {"M": {}}
    assert disconnect.handler(event(), None) == {"statusCode": 200}


@pytest.mark.slow
def test_disconnect_is_done_though_the_answer_to_the_deletion_is_lost(aws, environment, monkeypatch):
    connect.handler(event(), None)
    message.handler(event(body=encode_frame(Hello(session="s", client_id="c", connection=1))), None)
    table, _ = disconnect.dependencies()
    delete = table._client.delete_item

    def lost_once(**request):
        delete(**request)
        return delete(**request)

    monkeypatch.setattr(table, "_client", Overridden(table._client, delete_item=lost_once))
    disconnect.handler(event(), None)
    (left,) = items(aws)
    assert left["open"] == {"M": {}}, "the session of the disconnected client counts no more"


class Overridden:
    """A client with some methods replaced."""

    def __init__(self, client, **methods):
        self._client = client
        self.__dict__.update(methods)

    def __getattr__(self, name):
        return getattr(self._client, name)


@pytest.mark.slow
def test_disconnect_leaves_the_clients_newer_connection(aws, environment):
    for counter, connection_id in enumerate(("c1", "c2"), start=1):
        connect.handler(event(connection_id), None)
        message.handler(event(connection_id, encode_frame(Hello(session="s", client_id="c", connection=counter))), None)
    disconnect.handler(event("c1"), None)
    (address,) = ConnectionsTable(aws.dynamodb, "connections").clients(f"{ALICE}/s")
    assert (address.connection_id, address.counter) == ("c2", 2)


@pytest.mark.slow
def test_a_connection_that_was_superseded_counts_no_more_when_it_ends(aws, environment):
    """Its hello was counted, and then refused because the client has a newer connection."""
    for counter, connection_id in ((2, "c2"), (1, "c1")):
        connect.handler(event(connection_id), None)
        message.handler(event(connection_id, encode_frame(Hello(session="s", client_id="c", connection=counter))), None)
    disconnect.handler(event("c1"), None)
    disconnect.handler(event("c2"), None)
    (left,) = items(aws)
    assert left["open"] == {"M": {}}


def test_a_ping_is_answered_without_any_table(environment, management):
    assert message.handler(event(body=encode_frame(Ping())), None) == {"statusCode": 200}
    assert management.told() == [Pong()]


@pytest.mark.parametrize("body", [None, "", "{", '{"type":"dance"}'])
def test_a_bad_message_is_answered_with_an_error_frame(environment, management, body):
    assert message.handler(event(body=body), None) == {"statusCode": 200}
    (frame,) = management.told()
    assert isinstance(frame, Error)
    assert frame.code in {"bad_json", "unknown_type"}
    assert frame.retryable is False


@pytest.mark.slow
def test_an_accepted_frame_is_answered_with_nothing(gateway, worker, environment, management):
    gateway.open("c1", ALICE)
    gateway.hold(f"{ALICE}/s", worker, expires_at={"N": "9999999999"})
    hello = Hello(session="s", client_id="c", connection=1)
    assert message.handler(event(body=encode_frame(hello)), None) == {"statusCode": 200}
    assert message.handler(event(body=encode_frame(TextInput(text="hi", seq=1))), None) == {"statusCode": 200}
    assert worker.frames == [hello, TextInput(text="hi", seq=1)]
    assert management.requests == []


def test_connections_and_principals_have_limits_of_their_own(environment):
    environment(sessions_per_principal="3", frames_per_second="30", frame_burst="9")
    router = message.dependencies()
    assert (router._rate._rate, router._rate._burst) == (30, 9)
    assert (router._principals._rate, router._principals._burst) == (50, 29)


@pytest.mark.slow
@pytest.mark.parametrize("handler", [connect.handler, disconnect.handler, message.handler])
@pytest.mark.parametrize(
    "broken",
    [{}, {"requestContext": {}}, event(body=encode_frame(TextInput(text="hi")))],
    ids=["empty", "no connection", "unknown connection"],
)
def test_nothing_from_inside_reaches_the_client(environment, management, handler, broken, log):
    environment(connections_table="there-is-no-such-table")
    assert set(handler(broken, None)) == {"statusCode"}
    known = handler is message.handler and broken.get("requestContext")
    internal = Error(code="internal", message="something went wrong inside: try again", retryable=True)
    assert management.told() == ([internal] if known else [])
    assert "failed" in log.getvalue(), "but it is logged"


@pytest.mark.parametrize("handler", [connect.handler, message.handler])
def test_a_missing_variable_is_logged_and_not_told(aws, environment, monkeypatch, handler, log):
    monkeypatch.delenv("SEGUE_CONNECTIONS_TABLE")
    response = handler(event(body=encode_frame(TextInput(text="hi"))), None)
    assert "SEGUE" not in str(response)
    assert "SEGUE_CONNECTIONS_TABLE is missing" in log.getvalue()


@pytest.mark.slow
def test_payloads_and_tokens_are_not_logged(gateway, worker, environment, log):
    gateway.open("c1", ALICE)
    gateway.hold(f"{ALICE}/s", worker, token="wrong-but-secret", expires_at={"N": "9999999999"})
    message.handler(event(body=encode_frame(Hello(session="s", client_id="c", connection=1))), None)
    message.handler(event(body=encode_frame(TextInput(text="my name is Alice", seq=1))), None)
    message.handler(event(body='{"type":"text","text":{"my name":"Alice"}}'), None)
    assert f"{ALICE}/s" in log.getvalue()
    assert "Alice" not in log.getvalue()
    assert "secret" not in log.getvalue()


@pytest.mark.slow
def test_connect_hello_and_disconnect_are_logged_but_no_other_frame(aws, gateway, worker, environment, log):
    """A line for each frame would cost more than the frame."""

    def told():
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        log.seek(0)
        log.truncate()
        return [(line["level"], line["message"]) for line in lines]

    connect.handler(event(), None)
    assert told() == [("INFO", "connected")]
    gateway.hold(f"{ALICE}/s", worker, expires_at={"N": "9999999999"})
    hello = Hello(session="s", client_id="c", connection=1)
    message.handler(event(body=encode_frame(hello)), None)
    assert told() == [("INFO", "connection bound")]
    frames = [TextInput(text="hi", seq=1), AudioInput.from_pcm(b"\0\0" * 1600, seq=2), TextInput(text="on", seq=3)]
    for frame in frames:
        assert message.handler(event(body=encode_frame(frame)), None) == {"statusCode": 200}
    assert worker.frames == [hello, *frames]
    assert told() == []
    disconnect.handler(event(), None)
    assert told() == [("INFO", "disconnected")]


def test_an_answer_that_would_be_too_long_is_no_error_from_inside(environment, management):
    """The frame that is refused is in the text that says why: it must not become too long for a message itself."""
    body = '{"type":"hello","session":"s","client_id":"c","connection":1,"modality":"' + "x" * 32_000 + '"}'
    assert message.handler(event(body=body), None) == {"statusCode": 200}
    (told,) = management.told()
    assert told.code in {"bad_frame", "internal"}
