"""JSON Web Tokens (RFC 7519) of one issuer, checked against the keys that it publishes.

A token is good if one of the issuer's keys signed it with an algorithm of ``ALGORITHMS``, it names this issuer, it was
issued for one of the audiences, and now is between its ``nbf`` and its ``exp``. The audience is ``aud``, or
``client_id`` if there is no ``aud``: Cognito's access tokens are so, and API Gateway's own JWT authorizers have the
same rule (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWTError

from segue.ids import principal_of

ALGORITHMS: Final = ("RS256", "ES256")
"""Signatures by a private key only: an HS256 one could be made with the published key."""

LEEWAY_SECONDS: Final = 10
"""Seconds by which the issuer's clock and this one may differ; a token beyond them is refused."""

LONGEST_TOKEN: Final = 8192
"""Characters of a token at most; a longer one is refused and not even decoded. API Gateway's headers end at 10,240
bytes."""

KEYS_KEPT_SECONDS: Final = 600
"""Seconds for which an issuer's keys are used; after them they are fetched again, so that a withdrawn key is not
trusted for long."""

REFETCH_PAUSE_SECONDS: Final = 30
"""Seconds between two fetches because of an unknown key; until then its token is refused. Tokens with made-up key names
must not become a flood of requests."""

FETCH_SECONDS: Final = 2.0
"""Seconds for each answer of the issuer; after them the fetch has failed. A person waits."""


class TokenRefused(Exception):  # noqa: N818 - says what became of the token
    """Raised when a token is refused. The text says why, for the log and never for the client."""


class IssuerUnavailable(Exception):  # noqa: N818 - says what is wrong, not that it is an error
    """The issuer's keys could not be fetched: nothing is known about the token. Try again later."""


class Keys(Protocol):
    """Source of an issuer's keys."""

    def get_signing_key(self, kid: str) -> jwt.PyJWK:
        """The key of this name."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """The bearer of a good token.

    Attributes:
        principal: see ``principal_of``.
        expires_at: the token's end, in seconds since 1970.
    """

    principal: str
    expires_at: int


class Verifier:
    """Verifier of one issuer's tokens."""

    def __init__(self, issuer: str, audiences: Collection[str], keys: Keys) -> None:
        """Remember what a token has to say.

        Args:
            issuer: as ``iss`` names it, character by character.
            audiences: of which a token must name one.
            keys: finds the issuer's keys.
        """
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._keys = keys

    def verify(self, token: str) -> Bearer:
        """Say who bears the token.

        Raises:
            TokenRefused: it is not good.
            IssuerUnavailable: whether it is good cannot be known now.
        """
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused("too long")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key(header),
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )
        except (PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(type(error).__name__) from error
        self._check_audience(claims)
        if not claims["sub"]:
            raise TokenRefused("empty subject")
        return Bearer(principal_of(self._issuer, claims["sub"]), int(claims["exp"]))

    def _key(self, header: dict[str, Any]) -> jwt.PyJWK:
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused("algorithm")
        name = header.get("kid")
        if not isinstance(name, str) or not name:
            raise TokenRefused("no key name")
        try:
            return self._keys.get_signing_key(name)
        except PyJWKClientConnectionError as error:
            raise IssuerUnavailable(type(error).__name__) from error
        except PyJWKClientError as error:
            raise TokenRefused("unknown key") from error
        except (PyJWTError, OSError, ValueError) as error:  # an answer that is no set of keys, or breaks off
            raise IssuerUnavailable(type(error).__name__) from error

    def _check_audience(self, claims: dict[str, Any]) -> None:
        named = claims["aud"] if "aud" in claims else claims.get("client_id")
        texts = named if isinstance(named, list) else [named]
        if not any(isinstance(text, str) and text in self._audiences for text in texts):
            raise TokenRefused("audience")


def published_keys(url: str) -> Keys:
    """The keys that an issuer publishes (RFC 7517), fetched when they are needed and kept for a while.

    Args:
        url: of the key set, ``https`` (or ``http`` on one machine). Redirects are not followed.
    """
    return jwt.PyJWKClient(
        url, lifespan=KEYS_KEPT_SECONDS, cooldown_duration=REFETCH_PAUSE_SECONDS, timeout=FETCH_SECONDS
    )
