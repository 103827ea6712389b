"""Tokens that the gateway and workers must refuse."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from local.deployment.issuer import AUDIENCE, ISSUER, Issuer
from local.settings import Settings


def signed(issuer: Issuer, headers: dict[str, str] | None = None, key: Any = None, **changes: Any) -> str:
    """A token of this issuer's key that is good but for the changes; ``None`` leaves a claim out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
    return jwt.encode(claims, key or issuer._key, "ES256", headers={"kid": issuer._name, **(headers or {})})


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(issuer: Issuer) -> str:
    return f"{part({'alg': 'none', 'kid': issuer._name})}.{signed(issuer).split('.')[1]}."


def signed_with_the_public_key(issuer: Issuer) -> str:
    public = issuer._key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    content = f"{part({'alg': 'HS256', 'kid': issuer._name})}.{signed(issuer).split('.')[1]}"
    signature = base64.urlsafe_b64encode(hmac.digest(public, content.encode(), "sha256")).rstrip(b"=").decode()
    return f"{content}.{signature}"


def another_issuers_key(issuer: Issuer) -> Any:
    return Issuer(replace(Settings(), home=issuer._file.parent / "another"))._key


REFUSED: dict[str, Callable[[Issuer], str | None]] = {
    "no token": lambda _: None,
    "no token of any kind": lambda _: "not.a.token",
    "another key": lambda issuer: signed(issuer, key=another_issuers_key(issuer)),
    "an unknown key": lambda issuer: signed(issuer, {"kid": "other"}, key=another_issuers_key(issuer)),
    "algorithm none": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "expired": lambda issuer: issuer.token("alice", -60),
    "not yet valid": lambda issuer: signed(issuer, nbf=int(time.time()) + 60),
    "another issuer": lambda issuer: signed(issuer, iss="https://issuer.example"),
    "another audience": lambda issuer: signed(issuer, aud="another-app"),
    "no audience": lambda issuer: signed(issuer, aud=None),
    "no subject": lambda issuer: signed(issuer, sub=None),
}
