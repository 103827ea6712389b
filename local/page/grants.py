"""Sign-ins of the local stack, in memory: they end with the process.

one-time code      in the link that the terminal prints; good once
authorization code for the page that asked; good once, for a minute, with the verifier of its challenge (RFC 7636)
refresh token      good until the page signs out, or the stack stops
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CODE_SECONDS: Final = 60.0
"""Seconds in which an authorization code has to be exchanged: a browser does so at once."""

MOST: Final = 1000
"""Codes or tokens of a kind that are kept; beyond it the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A person who may sign in.

    Attributes:
        subject: For whom tokens are made.
        seconds: How long each token is good.
    """

    subject: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization request that was granted.

    Attributes:
        sign_in: For whom.
        redirect_uri: Where the code was sent; the exchange has to name the same.
        challenge: SHA-256 of the verifier, as the page sent it.
        nonce: Goes into the id token; None if the page sent none.
        at: When, on the clock.
    """

    sign_in: SignIn
    redirect_uri: str
    challenge: str
    nonce: str | None
    at: float


class Store[Value]:
    """Values under unguessable names, the oldest forgotten when there are too many."""

    def __init__(self, limit: int = MOST) -> None:
        self._values: dict[str, Value] = {}
        self._limit = limit

    def put(self, value: Value) -> str:
        """Keep a value, and return its name."""
        name = secrets.token_urlsafe(32)
        self._values[name] = value
        while len(self._values) > self._limit:
            del self._values[next(iter(self._values))]
        return name

    def take(self, name: str) -> Value | None:
        """Return a value and forget it; None if there is none of this name."""
        return self._values.pop(name, None)

    def find(self, name: str) -> Value | None:
        """Return a value; None if there is none of this name."""
        return self._values.get(name)


class Grants:
    """All grants of the local stack.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: Store[SignIn] = Store()
        self._codes: Store[Authorization] = Store()
        self._refreshes: Store[SignIn] = Store()

    def link(self, sign_in: SignIn) -> str:
        """Make a one-time code."""
        return self._links.put(sign_in)

    def authorize(self, one_time_code: str, redirect_uri: str, challenge: str, nonce: str | None) -> str | None:
        """Exchange a one-time code for an authorization code; None if it was used, or never made."""
        sign_in = self._links.take(one_time_code)
        if sign_in is None:
            return None
        return self._codes.put(Authorization(sign_in, redirect_uri, challenge, nonce, self._clock()))

    def exchange(self, code: str, redirect_uri: str, verifier: str) -> Authorization | None:
        """Redeem an authorization code; None if it was used, is too old, or another page shows it."""
        authorization = self._codes.take(code)
        if (
            authorization is None
            or self._clock() - authorization.at > CODE_SECONDS
            or authorization.redirect_uri != redirect_uri
        ):
            return None
        return authorization if hmac.compare_digest(challenge_of(verifier), authorization.challenge.encode()) else None

    def refresh_token(self, sign_in: SignIn) -> str:
        """Make a refresh token."""
        return self._refreshes.put(sign_in)

    def refreshed(self, refresh_token: str) -> SignIn | None:
        """Find whom a refresh token is for."""
        return self._refreshes.find(refresh_token)

    def revoke(self, refresh_token: str) -> None:
        """Forget a refresh token."""
        self._refreshes.take(refresh_token)


def challenge_of(verifier: str) -> bytes:
    """The challenge that belongs to a verifier (RFC 7636, S256)."""
    digest = hashlib.sha256(verifier.encode(errors="surrogateescape")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
