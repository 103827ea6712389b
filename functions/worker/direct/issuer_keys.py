"""The issuer's keys, for workers that can reach the issuer and for those that cannot (RFC 0026)."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol, override

import boto3
import jwt
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from jwt.exceptions import PyJWKClientConnectionError

from shared.tokens import FETCH_SECONDS, KEYS_KEPT_SECONDS, REFETCH_PAUSE_SECONDS, Keys, published_keys

BY_FUNCTION: Final = "lambda:"
"""Beginning of an address of keys that names a function instead (``gateway.keys``)."""

INVOKE_SECONDS: Final = 10.0
"""Seconds for the function's answer, its own limit; after them the fetch has failed. One that starts anew takes a
second before it asks the issuer."""


class LambdaClient(Protocol):
    """The one call of boto3's Lambda client that is used here."""

    def invoke(self, *, FunctionName: str) -> Any:  # noqa: N803 - the API's name
        """Call a function and wait for its answer."""
        ...


def issuer_keys(url: str) -> Keys:
    """Return the keys of an issuer, fetched when they are needed and kept for a while. May make a client of AWS.

    Args:
        url: As ``shared.tokens.published_keys`` takes it; or ``lambda:<name>`` of a function that fetches the keys, for
            a process that cannot reach the issuer.
    """
    if url.startswith(BY_FUNCTION):
        return InvokedKeys(url.removeprefix(BY_FUNCTION))
    return published_keys(url)


class InvokedKeys(jwt.PyJWKClient):
    """The keys that an issuer publishes, fetched by a function."""

    def __init__(self, function: str, *, client: LambdaClient | None = None) -> None:
        """Remember the function.

        Args:
            function: Its name.
            client: Calls it; None: one is made, which heeds AWS_ENDPOINT_URL_LAMBDA.
        """
        super().__init__(
            "https://issuer.invalid",  # not asked: ``fetch_data`` is another
            lifespan=KEYS_KEPT_SECONDS,
            cooldown_duration=REFETCH_PAUSE_SECONDS,
        )
        self._function = function
        self._client = client or _lambda_client()

    @override
    def fetch_data(self) -> Any:
        """Invoke the function.

        Raises:
            PyJWKClientConnectionError: It could not be invoked, it failed, or its answer is no JSON.
        """
        try:
            answer = self._client.invoke(FunctionName=self._function)
            said = json.loads(answer["Payload"].read())
        except (ClientError, BotoCoreError, OSError, ValueError) as error:
            raise PyJWKClientConnectionError(f"{self._function}: {type(error).__name__}") from error
        if "FunctionError" in answer:
            raise PyJWKClientConnectionError(f"{self._function} failed")
        return said


def _lambda_client() -> LambdaClient:
    limits = Config(connect_timeout=FETCH_SECONDS, read_timeout=INVOKE_SECONDS, retries={"total_max_attempts": 2})
    client: LambdaClient = boto3.client("lambda", config=limits)
    return client
