"""Posting messages to clients through API Gateway's management API."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import ClientError

from segue.storage.answers import AWS_ERRORS, reason_of, remedy_of
from shared.management import FORBIDDEN

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient

CONFIG: Final = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})
"""botocore tries 429 and 5xx again, with pauses. The same bytes may arrive twice: clients drop a repeated number."""

logger = Logger()


class MessageOutcome(Enum):
    """The result of posting a message."""

    DELIVERED = auto()
    GONE = auto()
    """The connection has ended; its client says hello on the next one."""
    FAILED = auto()
    """Not now: the turn is taken again, and says it again."""


class MessagePost(Protocol):
    """Poster of one message to one connection."""

    def __call__(self, connection_id: str, message: bytes) -> MessageOutcome:
        """Post, and say what came of it. Blocks; raises nothing for what the network does."""
        ...


class ManagementApi:
    """``POST …/@connections/{id}``."""

    def __init__(self, client: ApiGatewayManagementApiClient) -> None:
        """Use a client, made with ``CONFIG``."""
        self._client = client

    def __call__(self, connection_id: str, message: bytes) -> MessageOutcome:
        """Post one message."""
        try:
            self._client.post_to_connection(ConnectionId=connection_id, Data=message)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 410:
                return MessageOutcome.GONE
            refused = error.response
            if refused["ResponseMetadata"]["HTTPStatusCode"] == 403 and not remedy_of(refused["Error"]["Code"]):
                logger.error(FORBIDDEN, connection=connection_id)  # noqa: TRY400 - a trace says no more
            logger.warning("posting was refused", connection=connection_id, reason=reason_of(error))
            return MessageOutcome.FAILED
        except AWS_ERRORS as error:
            logger.warning("posting failed", connection=connection_id, reason=reason_of(error))
            return MessageOutcome.FAILED
        return MessageOutcome.DELIVERED
