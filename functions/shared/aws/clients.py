"""AWS clients, made once a process, and what is asked of them in more than one place.

The clients are the project's own (``shared.aws``, RFC 0027): a cold start imports no SDK. Their methods are boto3's, so
that everything that takes one takes a boto3 client as well, and is told its type.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from shared.aws.service import DynamoDbService, SqsService

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


@cache
def dynamodb() -> DynamoDBClient:
    """The DynamoDB client."""
    return cast("DynamoDBClient", DynamoDbService("dynamodb", os.environ["AWS_REGION"]))


@cache
def sqs() -> SQSClient:
    """The SQS client."""
    return cast("SQSClient", SqsService("sqs", os.environ["AWS_REGION"]))


def conditionally(operation: Callable[..., Any], **request: Any) -> bool:
    """Make a conditional write; return whether its condition held."""
    try:
        operation(**request)
    except Exception as error:
        if error_code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True


def error_code(error: Exception) -> str | None:
    """The code of a service's refusal, botocore's or ``ServiceRefused``; None: it is another error."""
    response = getattr(error, "response", None)
    return response["Error"].get("Code") if isinstance(response, dict) and "Error" in response else None


def query_items(client: DynamoDBClient, most: int | None = None, **request: Any) -> Iterator[dict[str, Any]]:
    """Yield the items of a query, page by page.

    Args:
        client: DynamoDB client.
        most: Items at most; None: all.
        request: The query, as ``client.query`` takes it.
    """
    found = 0
    while True:
        answer: Any = client.query(**request)
        for item in answer["Items"]:
            if found == most:
                return
            found += 1
            yield item
        if not answer.get("LastEvaluatedKey"):
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
