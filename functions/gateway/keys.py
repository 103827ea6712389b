"""The issuer's keys, for workers that cannot reach the issuer (RFC 0026).

Workers of a private network reach what has an IPv6 address, and this function, which is outside of it. They invoke it
as seldom as the authorizer asks the issuer. It takes no input, so that it can be led to no other address.
"""

from __future__ import annotations

import json
import urllib.request
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger
from msgspec import Struct

from segue.environment import read_environment

FETCH_SECONDS: Final = 4.0
"""Seconds for each answer of the issuer; after them ``KeysUnavailable`` is raised."""

LARGEST_BYTES: Final = 256 * 1024
"""Bytes of a set of keys; a longer answer is none."""

logger = Logger()


class KeysUnavailable(Exception):  # noqa: N818 - says what is wrong, not that it is an error
    """Raised when the issuer gives no set of keys now. Try again later."""


class KeysEnvironment(Struct, frozen=True):
    """Variables of ``keys``.

    Attributes:
        token_keys_url: where the issuer publishes its keys.
    """

    token_keys_url: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Opener that refuses redirects, as the authorizer does."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """Follow nothing: urllib then raises the redirect's own status."""


@cache
def dependencies() -> KeysEnvironment:
    """Read the environment at the first invocation."""
    return read_environment(KeysEnvironment)


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Answer with the issuer's set of keys (RFC 7517), as it is.

    Raises:
        KeysUnavailable: the issuer did not answer with one.
    """
    try:
        return fetch(dependencies().token_keys_url)
    except (OSError, ValueError) as error:
        logger.error("issuer does not answer", reason=type(error).__name__)  # noqa: TRY400 - a trace says no more
        raise KeysUnavailable from None


def fetch(url: str) -> dict[str, Any]:
    """Fetch a set of keys.

    Args:
        url: of the set, from the deployment's settings.

    Raises:
        OSError: no answer came, or one that is no success.
        ValueError: the answer is no set of keys.
    """
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=FETCH_SECONDS) as response:
        text = response.read(LARGEST_BYTES + 1)
    if len(text) > LARGEST_BYTES:
        raise ValueError("the set of keys is too long")
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("the answer is no set of keys")  # noqa: TRY004 - an answer that cannot be used, whatever it is
    return found
