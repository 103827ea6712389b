"""AWS clients, made once a process."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

# A frame that comes late is worth little: give up early, the client sends it again.
CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def dynamodb() -> "DynamoDBClient":
    """The DynamoDB client."""
    return boto3.client("dynamodb", config=CONFIG)


@cache
def sqs() -> "SQSClient":
    """The SQS client."""
    return boto3.client("sqs", config=CONFIG)
