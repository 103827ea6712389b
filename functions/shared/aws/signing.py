"""Signature version 4 of one request whose body is known.

    canonical request  method, path, headers, digest of the body
    string to sign     time, day/region/service, digest of the canonical request
    signature          an HMAC of that, by a key that holds for a day, a region and a service

See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. A URL with a query is
refused: no request of the project has one.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Credentials of AWS.

    Attributes:
        access_key: The key's id.
        secret_key: The key.
        token: The session's token; None: they do not end.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False, default=None)


class SignatureV4:
    """Signatures of requests for one service in one region."""

    def __init__(self, service: str, region: str, wall_clock: Callable[[], float] = time.time) -> None:
        """Sign nothing yet.

        Args:
            service: The signing name, such as ``execute-api``.
            region: The region of the endpoint.
            wall_clock: Seconds since 1970.
        """
        self._service = service
        self._region = region
        self._wall_clock = wall_clock
        self._derived: tuple[str, AwsKeys, bytes] | None = None

    def headers(self, keys: AwsKeys, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request, those that make it authentic among them.

        Args:
            keys: Whose request it is.
            method: The HTTP method.
            url: The URL exactly as it will be sent, percent-encoded, without a query.
            body: The body exactly as it will be sent.
            headers: The request's own headers, lower-case, which are signed as well.

        Raises:
            ValueError: The URL has a query.
        """
        host, path = _signed_parts(url)
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall_clock()))
        sent, signed = {**headers, "X-Amz-Date": now}, {**headers, "host": host, "x-amz-date": now}
        if keys.token:
            sent["X-Amz-Security-Token"] = signed["x-amz-security-token"] = keys.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in names)
        canonical = f"{method}\n{path}\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{now[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(now[:8], keys), text.encode(), "sha256").hex()
        sent["Authorization"] = (
            f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return sent

    def _key(self, day: str, keys: AwsKeys) -> bytes:
        """The key of a day, kept until the day or the credentials change."""
        kept = self._derived
        if kept is not None and kept[0] == day and kept[1] == keys:
            return kept[2]
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._derived = day, keys, key
        return key


@lru_cache(maxsize=1024)
def _signed_parts(url: str) -> tuple[str, str]:
    """Return host and path of a URL as they are signed. A worker signs for each of its connections again and again."""
    parts = urlsplit(url)
    if parts.query:
        raise ValueError("a URL with a query is not signed: send what it says in the body")
    return parts.netloc.removesuffix(_PORTS.get(parts.scheme, "\n")), quote(parts.path or "/", safe="/~")
