"""The order of deployments: one item of the connections table that says which began last.

    pk            sk       attributes
    deployments   latest   deployment, number

A worker whose deployment is not the latest begins a new one, also if that deployment was there before: going back is
newer. Two workers start at the same time:

    worker of 13  ──read: 12 is number 7──────────────▶ write 13, number 8, if still 7: 8
    worker of 13  ──read: 12 is number 7──▶ write 13, number 8, if still 7: refused ──read──▶ 13 is number 8: 8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.aws.clients import conditionally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTEMPTS: Final = 100
"""Attempts to count a deployment; after them the worker does not start. Each that is refused means that another
worker's was not: more than start at the same moment."""

KEY: Final[dict[str, Any]] = {"pk": {"S": "deployments"}, "sk": {"S": "latest"}}
FIRST: Final = "attribute_not_exists(pk)"
UNCHANGED: Final = "#number = :seen"


def number_of(dynamodb: DynamoDBClient, table: str, deployment: str) -> int:
    """Return the number of a deployment one of whose workers starts. Blocks.

    Args:
        dynamodb: Client.
        table: The connections table.
        deployment: Its name; the same for all of its workers.

    Raises:
        BotoCoreError: The table does not answer.
        ClientError: It does not let us.
        RuntimeError: Too many workers of different deployments start at once.
    """
    for _ in range(ATTEMPTS):
        item = dynamodb.get_item(TableName=table, Key=KEY, ConsistentRead=True).get("Item")
        seen = int(item["number"]["N"]) if item else 0
        if item and item["deployment"]["S"] == deployment:
            return seen
        condition: dict[str, Any] = {"ConditionExpression": FIRST}
        if item:
            condition = {
                "ConditionExpression": UNCHANGED,
                "ExpressionAttributeNames": {"#number": "number"},
                "ExpressionAttributeValues": {":seen": {"N": str(seen)}},
            }
        begun = {**KEY, "deployment": {"S": deployment}, "number": {"N": str(seen + 1)}}
        if conditionally(dynamodb.put_item, TableName=table, Item=begun, **condition):
            return seen + 1
    raise RuntimeError(
        f"{ATTEMPTS} deployments began at once, and {deployment} was not counted: start this worker again"
    )


def announced(number: int) -> str:
    """Return what a registry item says as its version: it sorts as the number does.

    Workers of earlier releases sort versions as texts, and announce the time of a synthesis or what a setting says
    (letters, digits, '.', '_' and '-'): all that begins with '~' sorts after those.
    """
    return f"~{number:012}"
