"""The authorizer as API Gateway calls it: an event in, a policy out, and never a word about why not."""

from __future__ import annotations

import json

import pytest

from gateway import authorizer
from segue.ids import principal_of
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.unit.gateway.authorizing import authorizing

ARN = "arn:aws:execute-api:us-east-1:000000000000:abc/dev/$connect"


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture
def keys(issuer, monkeypatch):
    with authorizing(issuer, monkeypatch, f"{AUDIENCE},another-app") as server:
        yield server


def event(protocols=None, query=None, header="Sec-WebSocket-Protocol"):
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "multiValueHeaders": {"Host": ["abc"], **({header: protocols} if protocols else {})},
        "multiValueQueryStringParameters": query,
        "requestContext": {"connectionId": "c1", "requestId": "r"},
    }


def effect(answer):
    (statement,) = answer["policyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("execute-api:Invoke", ARN)
    return statement["Effect"]


@pytest.mark.slow
@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
@pytest.mark.parametrize("lines", [["segue.v1, bearer.{}"], ["segue.v1", "bearer.{}"], ["bearer.{},segue.v1"]], ids=str)
def test_a_token_in_the_subprotocol_lets_in(issuer, keys, header, lines):
    token = issuer.token(exp=4_000_000_000)
    answer = authorizer.handler(event([line.format(token) for line in lines], header=header), None)
    alice = principal_of(ISSUER, "alice")
    assert effect(answer) == "Allow"
    assert answer["principalId"] == alice
    assert answer["context"] == {"principal": alice, "expires_at": "4000000000"}


def test_a_token_in_the_query_lets_in(issuer, keys):
    token = issuer.token(aud="another-app")
    assert effect(authorizer.handler(event(query={"token": [token]}), None)) == "Allow"
    assert effect(authorizer.handler(event([f"bearer.{token}"], {"token": [token]}), None)) == "Allow"


@pytest.mark.parametrize(
    ("protocols", "query"),
    [
        (None, None),
        (["segue.v1"], {}),
        (["bearer."], None),
        (None, {"token": [""]}),
        (None, {"token": []}),
        (None, {"Token": ["{alice}"]}),
        (["{alice}"], None),
        (["bearer.{alice}", "bearer.{bob}"], None),
        (["bearer.{alice}"], {"token": ["{bob}"]}),
        (None, {"token": ["{alice}", "{bob}"]}),
    ],
    ids=str,
)
def test_no_token_and_several_tokens_are_refused(issuer, keys, protocols, query):
    names = {"alice": issuer.token(), "bob": issuer.token(sub="bob")}
    protocols = protocols and [each.format(**names) for each in protocols]
    query = query and {name: [each.format(**names) for each in values] for name, values in query.items()}
    answer = authorizer.handler(event(protocols, query), None)
    assert effect(answer) == "Deny"
    assert answer["context"] == {}


def test_a_bad_token_is_refused_without_a_word(issuer, keys, log):
    token = issuer.token(key=issuer.other)
    answer = authorizer.handler(event([f"bearer.{token}"]), None)
    assert effect(answer) == "Deny"
    assert (answer["principalId"], answer["context"]) == ("denied", {})
    assert "InvalidSignatureError" in log.getvalue()
    assert token.split(".")[2] not in log.getvalue()
    assert "alice" not in log.getvalue()


@pytest.mark.parametrize("broken", ["keys", "variable", "event"])
def test_authorizer_without_keys_or_settings_raises_an_error_without_text(issuer, keys, log, monkeypatch, broken):
    shown = event([f"bearer.{issuer.token()}"])
    if broken == "keys":
        keys.answer = lambda: (500, b"secret words")
    elif broken == "variable":
        monkeypatch.delenv("SEGUE_TOKEN_ISSUER")
    else:
        del shown["methodArn"]
    with pytest.raises(authorizer.Unavailable) as raised:
        authorizer.handler(shown, None)
    assert str(raised.value) == ""
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert json.loads(log.getvalue().splitlines()[-1])["level"] == "ERROR"
