"""This machine's own issuer of tokens: a key in the home folder, and tokens for users of the command line.

The running stack publishes the public half (``local.stack.control``), and the deployed authorizer fetches it there, as
it fetches Cognito's in AWS. The home folder is readable by its owner alone: reading the key allows any identity.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from functools import cached_property
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from local.settings import Settings
from segue.ids import principal_of

ISSUER: Final = "https://issuer.segue.local"
"""A name and no address: principals are made from it, and must be the same whatever port is used today."""

AUDIENCE: Final = "segue"

SUBJECT: Final = "local"
"""Subject of a token whose user names none."""

TOKEN_SECONDS: Final = 12 * 60 * 60
"""A working day: what is printed at the start can be used until the evening."""


def principal(subject: str = SUBJECT) -> str:
    """The principal of a subject of this machine's issuer."""
    return principal_of(ISSUER, subject)


class Issuer:
    """Signs tokens with the home folder's key; makes the key when there is none."""

    def __init__(self, settings: Settings) -> None:
        self._make_home = settings.make_home
        self._file = settings.home / "issuer.pem"

    def token(self, subject: str = SUBJECT, seconds: int = TOKEN_SECONDS, **more: str) -> str:
        """Return a token.

        Args:
            subject: Who shows it.
            seconds: How long it is good.
            **more: Claims besides, such as the ``nonce`` of a sign-in.
        """
        now = int(time.time())
        claims = {**more, "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + seconds}
        return jwt.encode(claims, self._key, "ES256", headers={"kid": self._name})

    def published(self) -> dict[str, Any]:
        """Return the key set (RFC 7517) that tokens are checked with."""
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self._name, "alg": "ES256", "use": "sig"}]}

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        self._make_home()
        if not self._file.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            # Two commands at once: the first one's key stays, and both read it.
            scratch = self._file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(pem)
            with contextlib.suppress(FileExistsError):
                self._file.hardlink_to(scratch)
            scratch.unlink()
        key = serialization.load_pem_private_key(self._file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._file} is no key of this program's: remove the file, and a new key is made")
        return key

    @cached_property
    def _name(self) -> str:
        """The key's name: a new key gets a new one, so that warm functions notice."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()[:16]
