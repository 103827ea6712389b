"""The account that is asked: clients with short time-outs, and answers that say why there is none.

Every call reads. A refusal names the IAM action that is missing, so that a report can say it instead of guessing.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

DEFAULT_REGION: Final = "us-east-1"
"""The region that the CDK's command line takes when none is set."""
REGION_VARIABLES: Final = ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AMAZON_DEFAULT_REGION")
"""Looked at in this order, as the CDK's command line does; boto3 knows the third only."""

REFUSALS: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Client.UnauthorizedOperation",
        "NotAuthorized",
        "UnauthorizedOperation",
        "403",
    }
)
"""Error codes of services that mean: this caller may not ask that."""
INVALID_CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

_SERVICE_PREFIXES: Final = {"service-quotas": "servicequotas", "elbv2": "elasticloadbalancing"}

_CLIENTS = ClientConfig(
    connect_timeout=3,
    read_timeout=6,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=20,
)


def callers_region(configured: str | None) -> str | None:
    """The region that the CDK's command line would take; None if none is set.

    Args:
        configured: What boto3 finds, the profile's among it.
    """
    return next(filter(None, map(os.environ.get, REGION_VARIABLES)), None) or configured


class NotAnsweredError(Exception):
    """Raised when a question has no answer; the text says why."""


class NotAllowedError(NotAnsweredError):
    """Raised when the caller may not ask.

    Attributes:
        action: The IAM action that is missing.
    """

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__(f"this caller may not ask ({action})")


class RefusedError(NotAnsweredError):
    """Raised when the service answers with an error of another kind.

    Attributes:
        code: The service's name for it.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}" if message else code)


class NoCredentials(NotAnsweredError):  # noqa: N818 - a state of the caller, and a kind of no answer
    """Raised when the caller has no credentials, or they are not valid any more."""


class Account:
    """An account and region, seen with the caller's credentials.

    Attributes:
        region: The region that the deployment goes to.
        region_given: False if it is the CDK's default, because none is set.
        id: The account's number; None until it is known.
        partition: ``aws``, ``aws-cn`` or another.
    """

    def __init__(self, region: str | None = None, session: boto3.Session | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            region: The setting ``region``; None: as the CDK finds it.
            session: The caller's credentials; None: as boto3 finds them.
        """
        session = session or boto3.Session()
        found = region or callers_region(session.region_name)
        self.region, self.region_given = found or DEFAULT_REGION, found is not None
        self.id: str | None = None
        self.partition = botocore.session.get_session().get_partition_for_region(self.region)
        self._session = session
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation that reads.

        Args:
            service: boto3's name of the service.
            operation: The API's name of the operation, such as ``GetAccountSettings``.
            parameters: As the API names them.

        Raises:
            NotAllowedError: The caller may not.
            RefusedError: The service answers with an error.
            NotAnsweredError: No answer came.
        """
        try:
            client = self._client(service)
            method = getattr(client, _method(client, operation))
            answer: dict[str, Any] = method(**parameters)
        except ClientError as error:
            raise _explained(error, service, operation) from None
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise NoCredentials(str(error)) from None
        except BotoCoreError as error:
            raise NotAnsweredError(f"{service} does not answer: {error}") from None
        return answer

    def ask_all(self, service: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        """Call an operation that lists, page by page, and return the items under a key."""
        items: list[dict[str, Any]] = []
        while True:
            answer = self.ask(service, operation, **parameters)
            items += answer.get(key, [])
            token = answer.get("NextToken") or answer.get("nextToken")
            if not token:
                return items
            parameters["NextToken" if "NextToken" in answer else "nextToken"] = token

    def _client(self, service: str) -> Any:
        with self._lock:  # making a client is not thread-safe
            if service not in self._clients:
                self._clients[service] = self._session.client(service, region_name=self.region, config=_CLIENTS)  # type: ignore[call-overload]  # any service
            return self._clients[service]


def iam_action(service: str, operation: str) -> str:
    """The IAM action that an operation needs."""
    if operation == "HeadBucket":
        return "s3:ListBucket"
    return f"{_SERVICE_PREFIXES.get(service, service)}:{operation}"


def _method(client: Any, operation: str) -> str:
    methods: dict[str, str] = client.meta.method_to_api_mapping
    return next(method for method, name in methods.items() if name == operation)


def _explained(error: ClientError, service: str, operation: str) -> NotAnsweredError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in INVALID_CREDENTIALS:
        return NoCredentials(f"{code}: {message}")
    if code in REFUSALS:
        return NotAllowedError(iam_action(service, operation))
    return RefusedError(code, message)
