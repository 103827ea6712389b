"""Random events for the authorizer and the function for stopped tasks: an answer, or an error that is announced."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import ValidationError

from gateway import authorizer, stopped
from tests.support.issuer import Issuer
from tests.unit.gateway.authorizing import authorizing
from tests.unit.gateway.test_fuzz import FUZZ, JSON, LEAVES, SECRETS

ARN = "arn:aws:execute-api:us-east-1:000000000000:abc/dev/$connect"
TASK = "arn:aws:ecs:us-east-1:111122223333:task/segue/0123456789abcdef"
GOOD = "{good}"
"""Stands in an event for a good token, which is made when the test runs."""


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


HEADS = st.fixed_dictionaries(
    {}, optional={"alg": st.sampled_from(["RS256", "ES256", "HS256", "none", ""]) | JSON, "typ": JSON, "crit": JSON}
).flatmap(lambda head: (st.sampled_from(["rsa", "ec", "other", ""]) | JSON).map(lambda kid: {**head, "kid": kid}))
CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "client_id"]), JSON)
TOKENS = (
    st.just(GOOD)
    | st.tuples(HEADS | JSON, CLAIMS | JSON, st.binary(max_size=300).map(lambda raw: raw.hex())).map(
        lambda parts: f"{part(parts[0])}.{part(parts[1])}.{parts[2]}"
    )
    | st.text(max_size=60)
    | st.sampled_from(["..", "a.b.c", "x" * 9000, "é", "[" * 8000, GOOD + "x", GOOD[:-1], "\ud800"])
)
LINES = TOKENS.map(lambda token: f"bearer.{token}") | st.sampled_from(["segue.v1", "bearer.", ","]) | LEAVES
PROTOCOLS = st.dictionaries(
    st.sampled_from(["Sec-WebSocket-Protocol", "sec-websocket-protocol", "Host"]), st.lists(LINES, max_size=3) | JSON
)
CONNECTS = (
    st.fixed_dictionaries(
        {"methodArn": st.just(ARN)},
        optional={
            "multiValueHeaders": PROTOCOLS | JSON,
            "multiValueQueryStringParameters": st.fixed_dictionaries({"token": st.lists(TOKENS, max_size=2)}) | JSON,
            "requestContext": st.fixed_dictionaries({}, optional={"connectionId": LEAVES}) | JSON,
        },
    )
    | JSON
)


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture
def good(issuer, monkeypatch):
    """A token that lets in."""
    with authorizing(issuer, monkeypatch):
        yield issuer.token()


def with_token(value, good):
    """The event with the good token in its place."""
    match value:
        case str():
            return value.replace(GOOD, good)
        case list():
            return [with_token(one, good) for one in value]
        case dict():
            return {name: with_token(one, good) for name, one in value.items()}
    return value


def shows_only(event, good):
    """Return true if the event shows the good token, and no other one."""
    headers, query = event.get("multiValueHeaders") or {}, event.get("multiValueQueryStringParameters") or {}
    shown = {*(query.get("token") or ())}
    for name, lines in headers.items():
        if name.lower() == "sec-websocket-protocol":
            parts = [one.strip() for line in lines for one in line.split(",")]
            shown |= {one.removeprefix("bearer.") for one in parts if one.startswith("bearer.")}
    return shown == {good}


def connecting(lines, query=None):
    return {
        "methodArn": ARN,
        "multiValueHeaders": {"Sec-WebSocket-Protocol": lines},
        **({} if query is None else query),
    }


@pytest.mark.slow
@FUZZ
@given(event=CONNECTS)
@example(event=connecting([f"segue.v1, bearer.{GOOD}"]))
@example(event=connecting([f"bearer.{GOOD}", f"bearer.{GOOD}"], {"multiValueQueryStringParameters": {"token": [GOOD]}}))
@example(event=connecting([f"bearer.{GOOD}", "bearer.another"]))
@example(event=connecting(f"bearer.{GOOD}"))
def test_any_connect_event_is_answered_with_a_policy_or_the_one_error_that_says_nothing(good, event):
    shown = with_token(event, good)
    answer = unavailable = None
    try:
        answer = authorizer.handler(shown, None)
    except authorizer.Unavailable as error:
        unavailable = error
    if answer is None:
        assert str(unavailable) == ""
        assert unavailable.__suppress_context__
        return
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == ARN
    if statement["Effect"] == "Allow":
        assert shows_only(shown, good)
    else:
        assert statement["Effect"] == "Deny"
        assert (answer["principalId"], answer["context"]) == ("denied", {})
    assert not any(secret in json.dumps(answer) for secret in SECRETS if secret not in ARN)


STOPS = (
    st.fixed_dictionaries(
        {"detail": st.fixed_dictionaries({}, optional={"taskArn": st.just(TASK) | JSON, "lastStatus": LEAVES}) | JSON}
    )
    | st.fixed_dictionaries(
        {"detail": st.fixed_dictionaries({"taskArn": st.just(TASK) | JSON, "lastStatus": st.just("STOPPED")})}
    )
    | JSON
)


@pytest.mark.slow
@FUZZ
@given(event=STOPS)
def test_any_event_of_a_task_is_taken_or_refused_as_none(aws, monkeypatch, event):
    monkeypatch.setenv("SEGUE_CONNECTIONS_TABLE", "connections")
    monkeypatch.setenv("SEGUE_CLAIMS_QUEUE_URL", aws.queue_url)
    stopped.dependencies.cache_clear()
    try:
        assert stopped.handler(event, None) == {"claims": 0}
    except ValidationError:
        detail = event.get("detail") if isinstance(event, dict) else None
        told = isinstance(detail, dict) and isinstance(detail.get("taskArn"), str)
        assert not (told and isinstance(detail.get("lastStatus"), str)), "that was one"
    finally:
        stopped.dependencies.cache_clear()
