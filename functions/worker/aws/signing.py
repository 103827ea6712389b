"""Signature version 4 for requests of the event loop.

boto3 would sign by itself, but costs a thread and about a millisecond of interpreter time a request; a worker posts
hundreds of frames a second beside running its agents on one event loop. The project's signer (RFC 0027) takes a
fraction of botocore's time, which finds credentials and renews them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from segue.storage.answers import reason_of
from shared.aws.signing import AwsKeys, SignatureV4
from shared.log import logger

if TYPE_CHECKING:
    from requests import PreparedRequest

REFRESH_SECONDS: Final = 60.0
"""Seconds for which credentials are used before they are read again. botocore renews temporary ones a quarter of an
hour before they end, so a minute is safe; reading them for every request would cost a thread each time."""

RETRY_SECONDS: Final = 5.0
"""Seconds after a failed renewal until the next attempt; until then the earlier credentials are used, which hold for
minutes still."""


class CredentialsMissing(Exception):  # noqa: N818 - it names a situation for the person who deploys
    """Raised when there are no AWS credentials: give the task a role, or set the standard variables."""


class CredentialSource(Protocol):
    """A source of credentials that refreshes them as needed: botocore's ``Credentials`` and its kin."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return credentials that hold for some minutes. May block on the network."""
        ...


class Signer:
    """Signatures of requests for one service in one region."""

    def __init__(
        self, source: CredentialSource | None, service: str, region: str, *, clock: Callable[[], float] | None = None
    ) -> None:
        """Keep what signing needs.

        Args:
            source: Where credentials come from.
            service: The signing name, such as ``execute-api``.
            region: The region of the endpoint.
            clock: A monotonic clock in seconds, the event loop's if None.

        Raises:
            CredentialsMissing: ``source`` is None, which is how botocore says that it found none.
        """
        self._source = _present(source)
        self._signature = SignatureV4(service, region)
        self._clock = clock
        self._keys: AwsKeys | None = None
        self._fresh_until = 0.0
        self._refreshing = asyncio.Lock()

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers that make a request authentic.

        Args:
            method: The HTTP method.
            url: The URL exactly as it will be sent, percent-encoded.
            body: The body exactly as it will be sent.

        Raises:
            BotoCoreError: There are no credentials yet, and now they cannot be had.
            ClientError: The same.
        """
        keys = await self._fresh_keys()
        return self._signature.headers(keys, method, url, body, {"content-type": "application/json"})

    async def _fresh_keys(self) -> AwsKeys:
        now = self._clock or asyncio.get_running_loop().time
        if self._keys is None or now() >= self._fresh_until:
            async with self._refreshing:
                if self._keys is None or now() >= self._fresh_until:
                    self._keys, seconds = await self._renewed(self._keys)
                    self._fresh_until = now() + seconds
        return self._keys

    async def _renewed(self, before: AwsKeys | None) -> tuple[AwsKeys, float]:
        """Return credentials, and how long they are used."""
        try:
            # In a thread: renewing a role's credentials asks the network.
            frozen = await asyncio.to_thread(self._source.get_frozen_credentials)
        except Exception as error:
            if before is None:
                raise
            logger.warning("credentials could not be renewed", reason=reason_of(error))
            return before, RETRY_SECONDS
        return AwsKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token), REFRESH_SECONDS


class RequestsSigner:
    """A signer for the library requests, as its ``auth``, in threads where a request may wait for credentials."""

    def __init__(self, source: CredentialSource | None, service: str, region: str) -> None:
        """Keep what signing needs; parameters and errors as of ``Signer``."""
        self._source = _present(source)
        self._service = service
        self._region = region

    def __call__(self, prepared: PreparedRequest) -> PreparedRequest:
        """Add the headers that make a request authentic."""
        request = AWSRequest(
            method=prepared.method,
            url=prepared.url,
            data=prepared.body,
            headers={"content-type": prepared.headers["content-type"]},
        )
        SigV4Auth(self._source.get_frozen_credentials(), self._service, self._region).add_auth(request)
        prepared.headers.update(request.headers.items())
        return prepared


def _present(source: CredentialSource | None) -> CredentialSource:
    if source is None:
        raise CredentialsMissing("no AWS credentials found: give the task a role, or set AWS_ACCESS_KEY_ID")
    return source
