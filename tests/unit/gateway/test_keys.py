"""The issuer's keys by way of a function, from the issuer to the check of a token."""

from __future__ import annotations

import io
import json
import time
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from gateway import keys
from shared.tokens import FETCH_SECONDS, IssuerUnavailable, TokenRefused, Verifier
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, publishing
from worker.direct.issuer_keys import issuer_keys


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture(scope="module")
def published(issuer):
    with publishing(issuer) as server:
        yield server


class Invoked:
    """Lambda with one function: the handler of ``gateway.keys``, or what stands in for it."""

    def __init__(self, handler):
        self.handler = handler
        self.names = []

    def invoke(self, FunctionName):  # noqa: N803 - as boto3 has it
        self.names.append(FunctionName)
        try:
            said, error = self.handler({}, None), {}
        except keys.KeysUnavailable:
            said, error = {"errorType": "KeysUnavailable"}, {"FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(json.dumps(said).encode()), **error}


@pytest.fixture
def function(monkeypatch, published):
    monkeypatch.setenv("SEGUE_TOKEN_KEYS_URL", published.url)
    keys.dependencies.cache_clear()
    yield Invoked(keys.handler)
    keys.dependencies.cache_clear()


@pytest.fixture
def verifier(monkeypatch, function):
    def client(service, config):
        assert (service, config.connect_timeout) == ("lambda", FETCH_SECONDS)
        return function

    monkeypatch.setattr(boto3, "client", client)
    return Verifier(ISSUER, [AUDIENCE], issuer_keys("lambda:segue-keys"))


def test_a_token_is_checked_against_keys_that_the_function_fetched(issuer, verifier, function):
    token = issuer.token(exp=int(time.time()) + 600)

    assert verifier.verify(token) == verifier.verify(token)
    assert function.names == ["segue-keys"], "the keys are kept"


def test_made_up_names_of_keys_do_not_become_a_flood_of_invocations(issuer, verifier, function):
    for number in range(5):
        with pytest.raises(TokenRefused, match="unknown key"):
            verifier.verify(issuer.token(kid=f"made-up-{number}", exp=int(time.time()) + 600))

    assert len(function.names) <= 2


def refusing(error):
    def invoke(FunctionName):  # noqa: N803 - as boto3 has it
        raise error

    return SimpleNamespace(invoke=invoke)


@pytest.mark.parametrize(
    "client",
    [
        Invoked(lambda _event, _context: (_ for _ in ()).throw(keys.KeysUnavailable)),
        refusing(ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")),
        refusing(EndpointConnectionError(endpoint_url="https://lambda.example")),
        SimpleNamespace(invoke=lambda FunctionName: {"Payload": io.BytesIO(b"<html>")}),  # noqa: N803
        Invoked(lambda _event, _context: ["no", "set"]),
        Invoked(lambda _event, _context: {"keys": []}),
    ],
    ids=["the function fails", "throttled", "no way to it", "no JSON", "no object", "no keys"],
)
def test_a_token_cannot_be_judged_without_keys(issuer, monkeypatch, client):
    monkeypatch.setattr(boto3, "client", lambda *_args, **_more: client)
    verifier = Verifier(ISSUER, [AUDIENCE], issuer_keys("lambda:segue-keys"))

    with pytest.raises((IssuerUnavailable, TokenRefused)) as refused:
        verifier.verify(issuer.token(exp=int(time.time()) + 600))
    assert "segue-keys" not in str(refused.value)


class Answering(QuietHandler, BaseHTTPRequestHandler):
    """Answers as its class says."""

    status, body, sent = 200, b"{}", ()

    def do_GET(self):
        self.send_response(self.status)
        for name, value in self.sent:
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def answering(monkeypatch):
    """Starts an issuer that answers so."""
    servers = []

    def start(**answer):
        server = LoopbackServer(type("Handler", (Answering,), answer))
        servers.append(server)
        monkeypatch.setenv("SEGUE_TOKEN_KEYS_URL", server.url)
        keys.dependencies.cache_clear()

    yield start
    for server in servers:
        server.stop()
    keys.dependencies.cache_clear()


@pytest.mark.parametrize(
    ("status", "body", "sent"),
    [
        pytest.param(500, b'{"keys": []}', (), id="error"),
        pytest.param(302, b"", (("location", "http://127.0.0.1:9/elsewhere"),), id="redirect"),
        pytest.param(200, b"<html>", (), id="no JSON"),
        pytest.param(200, b'["keys"]', (), id="no object"),
        pytest.param(200, b'{"keys": {}}', (), id="no list"),
        pytest.param(200, b'{"keys": [], "x": "' + b"x" * keys.LARGEST_BYTES + b'"}', (), id="too long"),
    ],
)
def test_an_answer_that_is_no_set_of_keys_raises_keys_unavailable(answering, status, body, sent):
    answering(status=status, body=body, sent=sent)

    with pytest.raises(keys.KeysUnavailable):
        keys.handler({"url": "http://127.0.0.1:9/"}, None)
