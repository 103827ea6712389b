"""The registry of workers, as the gateway reads it: one item for each, kept up by the worker itself.

pk         sk             attributes
workers    <worker id>    endpoint, version, room, claims_token, …, seen_at, expires_at

An item may outlive its worker by two minutes; a claim that is posted to the worker finds that out. A worker that missed
its last beats is asked last: a dead worker's room stays what it was, and would put it first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shared.registered_worker import RegisteredWorker, with_room

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_WORKERS: Final = 500
"""Workers that are read at once; more are not asked. One query answers with 1 MB, which would be thousands."""


class Workers:
    """Workers of the registry, by their room."""

    def __init__(self, client: DynamoDBClient, table: str, wall_clock: Callable[[], float] = time.time) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the connections table.
            wall_clock: seconds since 1970, for items past their TTL.
        """
        self._client = client
        self._table = table
        self._wall_clock = wall_clock

    def with_room(self) -> list[RegisteredWorker]:
        """Workers that take sessions: those that are known to live, of them the newest version, then the most room."""
        # One that has just come up is worth seeing, and a stale room only costs one more attempt: no consistent read.
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :workers",
            ExpressionAttributeValues={":workers": {"S": "workers"}},
            Limit=MOST_WORKERS,
        )
        return sorted(
            with_room(answer["Items"], self._wall_clock()),
            key=lambda worker: (worker.fresh, worker.version, worker.room),
            reverse=True,
        )
