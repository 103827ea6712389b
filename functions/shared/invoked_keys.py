"""The issuer's keys by way of a function, for a process that cannot reach the issuer (`gateway.keys`, RFC 0026)."""

import json
from typing import Any, Final, Protocol

import boto3
import jwt
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from jwt.exceptions import PyJWKClientConnectionError

SCHEME: Final = "lambda:"
"""Beginning of an address of keys that names a function instead."""

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 10.0
"""The function's own limit: one that starts anew takes a second before it asks the issuer."""


class Functions(Protocol):
    """Lambda, as far as it is used here."""

    def invoke(self, *, FunctionName: str) -> Any:  # noqa: N803 - the API's name
        """Call a function and wait for its answer."""
        ...


class InvokedKeys(jwt.PyJWKClient):
    """The keys that an issuer publishes, fetched by a function and kept for a while."""

    def __init__(self, function: str, *, client: Functions | None = None, **more: Any) -> None:
        """Remember the function.

        Args:
            function: its name.
            client: calls it; None: one is made, which heeds AWS_ENDPOINT_URL_LAMBDA.
            more: as for `jwt.PyJWKClient`.
        """
        super().__init__("https://invalid.invalid", **more)  # not asked: `fetch_data` is another
        self._function = function
        limits = Config(connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 2})
        self._client: Functions = client or boto3.client("lambda", config=limits)

    def fetch_data(self) -> Any:
        """Invoke the function.

        Raises:
            PyJWKClientConnectionError: it could not be invoked, it failed, or its answer is no JSON.
        """
        try:
            answer = self._client.invoke(FunctionName=self._function)
            said = json.loads(answer["Payload"].read())
        except (ClientError, BotoCoreError, OSError, ValueError) as error:
            raise PyJWKClientConnectionError(f"{self._function}: {type(error).__name__}") from error
        if "FunctionError" in answer:
            raise PyJWKClientConnectionError(f"{self._function} failed")
        return said
