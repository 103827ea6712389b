"""This worker's item in the connections table: who is there, how new it is, and how much room it has.

    pk "workers"   sk <worker id>   endpoint, version, room, sessions, beat, expires_at

A reader times ``beat`` on its own clock, as with a lease; ``expires_at`` only clears away what a killed worker left.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from worker.log import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BEAT_SECONDS = 3.0
"""As often as a lease's heartbeat: a reader that misses a few knows that the worker is gone."""

FORGET_SECONDS = 120
"""A dead worker's item goes after this, by DynamoDB's TTL."""


class Registry:
    """Keeps the item."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, worker_id: str, version: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._worker_id = worker_id
        self._version = version
        self._beat = 0

    async def beat(self, endpoint: str, *, room: int, sessions: int) -> None:
        """Write the item once.

        Args:
            endpoint: Where this worker takes frames.
            room: How many more sessions it takes.
            sessions: How many it holds.
        """
        self._beat += 1
        await asyncio.to_thread(
            self._dynamodb.put_item,
            TableName=self._table,
            Item={
                "pk": {"S": "workers"},
                "sk": {"S": self._worker_id},
                "endpoint": {"S": endpoint},
                "version": {"S": self._version},
                "room": {"N": str(room)},
                "sessions": {"N": str(sessions)},
                "beat": {"N": str(self._beat)},
                # The wall clock, because DynamoDB's TTL is compared with it.
                "expires_at": {"N": str(int(time.time()) + FORGET_SECONDS)},
            },
        )

    async def remove(self) -> None:
        """Take the item away. Failing is harmless: the TTL does it later."""
        key = {"pk": {"S": "workers"}, "sk": {"S": self._worker_id}}
        try:
            await asyncio.to_thread(self._dynamodb.delete_item, TableName=self._table, Key=key)
        except (BotoCoreError, ClientError) as error:
            logger.warning("worker could not leave the registry", reason=type(error).__name__)
