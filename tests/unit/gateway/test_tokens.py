"""Tokens that admit their bearer; nothing else does."""

from __future__ import annotations

import base64
import json
import threading
import time
from types import SimpleNamespace

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.ids import principal_of
from shared import tokens
from shared.tokens import (
    LEEWAY_SECONDS,
    LONGEST_TOKEN,
    IssuerUnavailable,
    TokenRefused,
    Verifier,
    published_keys,
)
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, publishing
from tests.support.steady_clock import steady

SOON = LEEWAY_SECONDS + 5
"""Seconds past what the clocks may be apart."""


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture(scope="module")
def keys(issuer):
    with publishing(issuer) as server:
        yield server


@pytest.fixture(scope="module")
def verifier(keys):
    return Verifier(ISSUER, [AUDIENCE, "another-app"], published_keys(keys.url))


def now():
    return int(time.time())


def at_once(claims):
    """The claims with their times, which are given from now, as a token has them."""
    return {name: value + now() if name in {"exp", "nbf", "iat"} and isinstance(value, int) else value
            for name, value in claims.items()}  # fmt: skip


@pytest.mark.slow
def test_a_good_token_says_who_bears_it_and_until_when(issuer, verifier):
    end = now() + 600
    bearer = verifier.verify(issuer.token(exp=end))
    assert bearer.expires_at == end
    assert bearer.principal == principal_of(ISSUER, "alice")
    assert verifier.verify(issuer.token(key=issuer.ec, algorithm="ES256", kid="ec", exp=end)) == bearer


def test_a_principal_is_a_hash_of_issuer_and_subject():
    alice = principal_of(ISSUER, "alice")
    assert alice == "57946ba88450cba6975a58227a0ec28d"
    assert alice != principal_of(ISSUER, "Alice") != principal_of("https://other.example", "alice")
    assert len({principal_of(ISSUER, subject) for subject in ("a", "a\n", "\na", "", " a")}) == 5


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-app"},
        {"aud": ["elsewhere", AUDIENCE]},
        {"aud": None, "client_id": AUDIENCE, "token_use": "access"},  # as Cognito's access tokens are
        {"exp": -LEEWAY_SECONDS // 2},
        {"nbf": LEEWAY_SECONDS // 2},
        {"iat": None},
        {"sub": "someone\nwith/strange:letters ä"},
    ],
    ids=str,
)
def test_a_token_with_other_valid_claims_is_admitted(issuer, verifier, claims):
    assert verifier.verify(issuer.token(**at_once(claims))).principal == principal_of(
        ISSUER, claims.get("sub", "alice")
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -SOON},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": SOON},
        {"iat": SOON},
        {"iss": "https://issuer.example.evil"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "elsewhere"},
        {"aud": []},
        {"aud": None},
        {"aud": [[AUDIENCE]]},
        {"aud": {AUDIENCE: 1}},
        {"aud": None, "client_id": "elsewhere"},
        {"aud": None, "client_id": [["x"]]},
        {"aud": "elsewhere", "client_id": AUDIENCE},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(issuer, verifier, claims):
    content = json.dumps(issuer.claims(**at_once(claims))).encode()
    with pytest.raises(TokenRefused):
        verifier.verify(jwt.api_jws.encode(content, issuer.rsa, "RS256", {"kid": "rsa"}))


FORGED = {
    "another key under a published name": lambda issuer: issuer.token(key=issuer.other),
    "another key under its own name": lambda issuer: issuer.token(key=issuer.other, kid="other"),
    "no name of a key": lambda issuer: issuer.token(kid=None),
    "an empty name": lambda issuer: issuer.token(kid=""),
    "the name of another published key": lambda issuer: issuer.token(kid="ec"),
    "another key's algorithm": lambda issuer: issuer.token(key=issuer.ec, algorithm="ES256", kid="rsa"),
    "a stronger algorithm that is not allowed": lambda issuer: issuer.token(algorithm="RS512"),
    "no algorithm": lambda issuer: issuer.unsigned(),
    "HS256 with the public key": lambda issuer: issuer.signed_with_the_public_key(),
    "HS256 with a secret": lambda issuer: issuer.token(key="s" * 32, algorithm="HS256"),
    "claims changed afterwards": lambda issuer: issuer.changed(sub="mallory"),
    "no signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "half a token": lambda issuer: issuer.token()[:100],
    "two parts": lambda issuer: issuer.token().rpartition(".")[0],
    "a tail": lambda issuer: issuer.token() + ".x",
    "nothing": lambda issuer: "",
    "too long": lambda issuer: issuer.token(padding="x" * LONGEST_TOKEN),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_forged_tokens_are_refused(issuer, verifier, forged):
    with pytest.raises(TokenRefused):
        verifier.verify(forged(issuer))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=200) | st.lists(st.from_regex(r"[A-Za-z0-9_-]{0,40}", fullmatch=True), max_size=4).map(".".join)
)
def test_a_text_that_is_no_token_is_refused(verifier, text):
    with pytest.raises(TokenRefused):
        verifier.verify(text)


def test_keys_embedded_in_a_tokens_header_are_not_followed(issuer, verifier, keys):
    """``jku`` and ``jwk`` name a key of the bearer's choice."""
    verifier.verify(issuer.token())  # it has the keys now, whichever tests ran before
    before = keys.requests
    public = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.other.public_key(), as_dict=True)
    headers = {"kid": "rsa", "jku": keys.url, "jwk": public, "x5u": keys.url}
    with pytest.raises(TokenRefused):
        verifier.verify(jwt.encode(issuer.claims(), issuer.other, "RS256", headers=headers))
    assert keys.requests == before


def test_an_issuer_cannot_bring_in_another_algorithm(issuer):
    """An algorithm that its own key set names is refused, too: a published secret is none."""
    secret = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    published = issuer.published()["keys"][0]
    keys = [
        {**published, "alg": "RS512", "kid": "strong"},
        {"kty": "oct", "k": secret, "alg": "HS256", "kid": "shared"},
    ]
    found = jwt.PyJWKSet.from_dict({"keys": keys})
    verifier = Verifier(ISSUER, [AUDIENCE], SimpleNamespace(get_signing_key=found.__getitem__))
    for token in (
        issuer.token(algorithm="RS512", kid="strong"),
        issuer.token(key=b"s" * 32, algorithm="HS256", kid="shared"),
    ):
        with pytest.raises(TokenRefused):
            verifier.verify(token)


# --- where the keys come from


@pytest.fixture
def fresh(issuer):
    with publishing(issuer) as server:
        yield server


def test_keys_are_fetched_once_and_kept(issuer, fresh):
    verifier = Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url))
    for _ in range(5):
        verifier.verify(issuer.token())
    assert fresh.requests == 1


def test_unknown_names_do_not_become_a_flood_of_requests(issuer, fresh):
    verifier = Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url))
    verifier.verify(issuer.token())
    for number in range(20):
        with pytest.raises(TokenRefused):
            verifier.verify(issuer.token(kid=f"made-up-{number}"))
    assert fresh.requests == 1


@pytest.mark.slow
def test_a_new_key_is_found_after_the_pause(issuer, fresh, monkeypatch):
    monkeypatch.setattr(tokens, "REFETCH_PAUSE_SECONDS", 0)
    verifier = Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url))
    verifier.verify(issuer.token())
    renewed = Issuer()
    fresh.answer = lambda: (200, json.dumps(renewed.published()).replace('"rsa"', '"rsa2"').encode())
    assert verifier.verify(renewed.token(kid="rsa2"))
    assert fresh.requests == 2
    with pytest.raises(TokenRefused):
        verifier.verify(issuer.token())  # withdrawn


BROKEN = {
    "an error": (500, b"out of order"),
    "not JSON": (200, b"<html>"),
    "no key set": (200, b'{"keys": "none"}'),
    "no keys": (200, b'{"keys": []}'),
    "not text": (200, b"\xff\xfe"),
    "another place": (302, b""),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_issuer_that_gives_no_keys_says_nothing_about_the_token(issuer, fresh, answer):
    fresh.answer = lambda: answer
    verifier = Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url))
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())


def test_an_issuer_that_does_not_answer_is_not_waited_for(issuer, fresh, monkeypatch):
    monkeypatch.setattr(tokens, "FETCH_SECONDS", 0.1)
    over = threading.Event()
    fresh.answer = lambda: (200, b"") if over.wait(10) else (500, b"")
    started = steady().now()
    with pytest.raises(IssuerUnavailable):
        Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url)).verify(issuer.token())
    assert steady().now() - started < 5
    over.set()


def test_an_outage_after_the_first_fetch_is_not_noticed(issuer, fresh):
    verifier = Verifier(ISSUER, [AUDIENCE], published_keys(fresh.url))
    verifier.verify(issuer.token())
    fresh.answer = lambda: (500, b"")
    assert verifier.verify(issuer.token())
