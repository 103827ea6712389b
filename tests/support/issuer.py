"""An issuer of valid and invalid tokens for tests, with its keys on a loopback port."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.http_server import LoopbackServer, QuietHandler

ISSUER = "https://issuer.example"
AUDIENCE = "segue"


class Issuer:
    """Keys and tokens. ``rsa`` and ``ec`` are the names of its published keys; ``other`` is another issuer's."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self) -> dict[str, Any]:
        """The key set."""
        keys = {
            "rsa": RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True),
            "ec": ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True),
        }
        return {"keys": [{**key, "kid": name, "use": "sig"} for name, key in keys.items()]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims but for the changes; ``None`` leaves one out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str | None = "rsa", **claims: Any) -> str:
        """A token, signed with the published RSA key unless another one is given."""
        headers = {"kid": kid} if kid is not None else {}
        return jwt.encode(self.claims(**claims), key or self.rsa, algorithm, headers=headers)

    def unsigned(self, **claims: Any) -> str:
        """A token of the algorithm ``none``."""
        return f"{_part({'alg': 'none', 'kid': 'rsa'})}.{_part(self.claims(**claims))}."

    def signed_with_the_public_key(self) -> str:
        """An HS256 token whose secret is the published key, which is public."""
        public = self.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        content = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{_part(self.claims())}"
        return f"{content}.{_text(hmac.digest(public, content.encode(), 'sha256'))}"

    def changed(self, **changes: Any) -> str:
        """A good token whose claims were changed after it was signed."""
        header, _, signature = self.token().split(".")
        return f"{header}.{_part(self.claims(**changes))}.{signature}"


def _part(content: dict[str, Any]) -> str:
    return _text(json.dumps(content).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class KeyServer:
    """Publishes keys; ``answer`` may be replaced, ``requests`` counts."""

    def __init__(self, answer: Callable[[], tuple[int, bytes]]) -> None:
        self.answer = answer
        self.requests = 0
        self.url = ""


@contextmanager
def publishing(issuer: Issuer) -> Iterator[KeyServer]:
    """Serve an issuer's keys on a loopback port."""
    keys = KeyServer(lambda: (200, json.dumps(issuer.published()).encode()))

    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.requests += 1
            status, body = keys.answer()
            with suppress(OSError):  # who asked may have gone
                self.answer(status, body)

    server = LoopbackServer(Handler)
    keys.url = f"{server.url}/.well-known/jwks.json"
    try:
        yield keys
    finally:
        server.stop()
