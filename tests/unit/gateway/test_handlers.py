"""The handlers as Lambda calls them: events in, responses out, nothing from inside in between."""

import json
import subprocess
import sys

import pytest

from gateway import connect, disconnect, message
from gateway.connect import iam_principal
from gateway.connections import LIFETIME_SECONDS, Connections
from segue.wire.frames import Hello, Ping, TextInput, encode_frame

ALICE = "arn:aws:sts::111122223333:assumed-role/Voice/alice"
BOB = "arn:aws:sts::111122223333:assumed-role/Voice/bob"


@pytest.fixture
def environment(aws, monkeypatch):
    def set_to(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"SEGUE_{name.upper()}", value)

    monkeypatch.setattr("gateway.dispatch.HOLDER_WAIT_SECONDS", 0.0)
    set_to(connections_table="connections", lock_table="locks", claims_queue_url=aws.queue_url, auth="none")
    return set_to


def event(connection_id="c1", body=None, identity=None):
    context = {"connectionId": connection_id, "requestId": "r", "identity": identity or {"sourceIp": "127.0.0.1"}}
    return {"requestContext": context, "body": body, "isBase64Encoded": False}


def items(aws):
    return aws.dynamodb.scan(TableName="connections")["Items"]


def test_connect_stores_the_local_principal(aws, environment):
    assert connect.handler(event(), None) == {"statusCode": 200}
    (item,) = items(aws)
    assert item["pk"] == {"S": "connection/c1"}
    assert item["sk"] == {"S": "connection"}
    assert item["principal"] == {"S": "local"}
    assert int(item["expires_at"]["N"]) - int(item["connected_at"]["N"]) == LIFETIME_SECONDS >= 2 * 60 * 60


def test_connect_takes_the_principal_from_the_signature(aws, environment):
    environment(auth="iam")
    for connection_id, arn in (("c1", ALICE), ("c2", BOB), ("c3", ALICE)):
        assert connect.handler(event(connection_id, identity={"userArn": arn}), None) == {"statusCode": 200}
    by_id = {item["pk"]["S"]: item["principal"]["S"] for item in items(aws)}
    assert by_id["connection/c1"] == by_id["connection/c3"] != by_id["connection/c2"]
    assert by_id["connection/c1"] == iam_principal({"userArn": ALICE})
    assert "alice" not in by_id["connection/c1"]


@pytest.mark.parametrize("identity", [{"sourceIp": "127.0.0.1"}, {"userArn": None}, {"userArn": ""}])
def test_connect_refuses_who_has_not_signed(aws, environment, identity):
    environment(auth="iam")
    assert connect.handler(event(identity=identity), None) == {"statusCode": 403}
    assert items(aws) == []


def test_disconnect_forgets_the_connection_and_its_client(aws, environment):
    connect.handler(event(), None)
    message.handler(event(body=encode_frame(Hello(session="s", client_id="c", connection=1))), None)
    assert len(items(aws)) == 2
    assert disconnect.handler(event(), None) == {"statusCode": 200}
    assert items(aws) == []
    assert disconnect.handler(event(), None) == {"statusCode": 200}


def test_disconnect_leaves_the_clients_newer_connection(aws, environment):
    for counter, connection_id in enumerate(("c1", "c2"), start=1):
        connect.handler(event(connection_id), None)
        message.handler(event(connection_id, encode_frame(Hello(session="s", client_id="c", connection=counter))), None)
    disconnect.handler(event("c1"), None)
    (address,) = Connections(aws.dynamodb, "connections").clients("local/s")
    assert (address.connection_id, address.counter) == ("c2", 2)


def test_a_ping_is_answered_without_any_table(environment):
    assert message.handler(event(body=encode_frame(Ping())), None) == {"statusCode": 200, "body": '{"type":"pong"}'}


@pytest.mark.parametrize("body", [None, "", "{", '{"type":"dance"}'])
def test_a_bad_message_is_answered_with_an_error_frame(environment, body):
    response = message.handler(event(body=body), None)
    assert response["statusCode"] == 200
    frame = json.loads(response["body"])
    assert frame["type"] == "error"
    assert frame["code"] in {"bad_json", "unknown_type"}
    assert frame["retryable"] is False


def test_an_accepted_frame_is_answered_with_nothing(gateway, worker, environment):
    gateway.connections.store("c1", "local")
    gateway.hold("local/s", worker, expires_at={"N": "9999999999"})
    hello = Hello(session="s", client_id="c", connection=1)
    assert message.handler(event(body=encode_frame(hello)), None) == {"statusCode": 200}
    assert message.handler(event(body=encode_frame(TextInput(text="hi", seq=1))), None) == {"statusCode": 200}
    assert worker.frames == [hello, TextInput(text="hi", seq=1)]


@pytest.mark.parametrize("handler", [connect.handler, disconnect.handler, message.handler])
@pytest.mark.parametrize("broken", [{}, {"requestContext": {}}, event(body=encode_frame(TextInput(text="hi")))])
def test_nothing_from_inside_reaches_the_client(aws, environment, monkeypatch, handler, broken, log):
    monkeypatch.setenv("SEGUE_CONNECTIONS_TABLE", "there-is-no-such-table")
    response = handler(broken, None)
    assert set(response) <= {"statusCode", "body"}
    if "body" in response:
        assert json.loads(response["body"]) == {
            "type": "error",
            "code": "internal",
            "message": "something went wrong inside: try again",
            "retryable": True,
        }
    assert "failed" in log.getvalue(), "but it is logged"


@pytest.mark.parametrize("handler", [connect.handler, message.handler])
def test_a_missing_variable_is_logged_and_not_told(aws, environment, monkeypatch, handler, log):
    monkeypatch.delenv("SEGUE_CONNECTIONS_TABLE")
    response = handler(event(body=encode_frame(TextInput(text="hi"))), None)
    assert "SEGUE" not in str(response)
    assert "SEGUE_CONNECTIONS_TABLE is missing" in log.getvalue()


def test_payloads_and_tokens_are_not_logged(gateway, worker, environment, log):
    gateway.connections.store("c1", "local")
    gateway.hold("local/s", worker, token="wrong-but-secret", expires_at={"N": "9999999999"})
    message.handler(event(body=encode_frame(Hello(session="s", client_id="c", connection=1))), None)
    message.handler(event(body=encode_frame(TextInput(text="my name is Alice", seq=1))), None)
    message.handler(event(body='{"type":"text","text":{"my name":"Alice"}}'), None)
    assert "local/s" in log.getvalue()
    assert "Alice" not in log.getvalue()
    assert "secret" not in log.getvalue()


def test_the_functions_import_neither_strands_nor_the_client_library():
    program = (
        "import sys, gateway.connect, gateway.message, gateway.disconnect\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'strands', 'websockets', 'aiohttp', 'numpy'}])"
    )
    path = ":".join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
