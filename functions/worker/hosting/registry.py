"""The workers' items in the connections table: who is there, how new it is, how much room it has, and what it holds.

    pk                  sk             attributes
    workers             <worker id>    endpoint, claims_token, host?, version, release?, room, sessions, beat, seen_at,
                                       expires_at
    holder/<worker id>  <session key>  expires_at

``version`` is the deployment's place (``worker.hosting.deployments``) and sorts newest last; ``release`` is for people.
``host`` is the ARN of the worker's ECS task: when ECS tells that it has stopped, the second kind of item names the
sessions whose clients wait for a successor. A handoff asks the successor itself: only an answer shows that it lives.
``expires_at`` only clears away the items of a killed worker.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from segue.storage.answers import AWS_ERRORS, reason_of
from shared.log import logger
from shared.registered_worker import RegisteredWorker, with_room
from worker.hosting.deployments import announced, number_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BEAT_SECONDS: Final = 3.0
"""Seconds between two writes of a worker's item, as often as a lease's heartbeat: the room that it tells is so old at
most."""

FORGET_SECONDS: Final = 120
"""Seconds after its last write after which a dead worker's item is deleted by DynamoDB's TTL."""

HELD_SECONDS: Final = 24 * 60 * 60
"""The same in seconds for the item of what a worker holds: far longer than any call, since it is written once."""


class Registry:
    """This worker's items in the registry, and a reader of the others'.

    Attributes:
        claims_token: The secret that a POST with a claim carries; those who may read the table know it.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        worker_id: str,
        version: str,
        *,
        host: str | None = None,
        deployment: str | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep what the item says.

        Args:
            dynamodb: Client.
            table: The connections table.
            worker_id: This process.
            version: What it runs.
            host: The ARN of its ECS task, if it runs in one.
            deployment: The name of its deployment, whose place among the others is announced; None: ``version`` is.
            wall_clock: Seconds since 1970: other machines and DynamoDB read what is written by it.
        """
        self.claims_token = secrets.token_urlsafe(24)
        self._dynamodb = dynamodb
        self._table = table
        self._worker_id = worker_id
        self._version = version
        self._host = host
        self._deployment = deployment
        self._wall_clock = wall_clock
        self._announced: dict[str, Any] | None = None
        self._beat = 0

    async def beat(self, endpoint: str, *, room: int, sessions: int) -> None:
        """Write the item once.

        Args:
            endpoint: Where this worker takes frames and claims.
            room: How many more sessions it takes.
            sessions: How many it holds.

        Raises:
            BotoCoreError: The table does not answer.
            ClientError: It does not let us.
        """
        self._beat += 1
        item: dict[str, Any] = {
            **self._key(),
            "endpoint": {"S": endpoint},
            "claims_token": {"S": self.claims_token},
            **(await self._version_attributes()),
            "room": {"N": str(room)},
            "sessions": {"N": str(sessions)},
            "beat": {"N": str(self._beat)},
            "seen_at": {"N": f"{self._wall_clock():.3f}"},
            "expires_at": self._in(FORGET_SECONDS),
        }
        if self._host:
            item["host"] = {"S": self._host}
        await asyncio.to_thread(self._dynamodb.put_item, TableName=self._table, Item=item)

    async def _version_attributes(self) -> dict[str, Any]:
        if self._announced is None:
            version = {"S": self._version}
            if self._deployment is None:
                self._announced = {"version": version}
            else:
                number = await asyncio.to_thread(number_of, self._dynamodb, self._table, self._deployment)
                self._announced = {"version": {"S": announced(number)}, "release": version}
        return self._announced

    async def remove(self) -> None:
        """Take the item away. Failing is harmless: the TTL does it later."""
        await self._forgivingly(self._dynamodb.delete_item, Key=self._key())

    async def others(self) -> list[RegisteredWorker]:
        """Read who else is there and has room. What a killed one left does not count, though the TTL deletes days late.

        Raises:
            BotoCoreError: The table does not answer.
            ClientError: It does not let us.
        """
        answer = await asyncio.to_thread(
            self._dynamodb.query,
            TableName=self._table,
            KeyConditionExpression="pk = :workers",
            ExpressionAttributeValues={":workers": {"S": "workers"}},
            ConsistentRead=True,
        )
        return [peer for peer in with_room(answer["Items"], self._wall_clock()) if peer.worker_id != self._worker_id]

    async def holds(self, session_key: str) -> None:
        """Note that this worker holds a session. Failing is harmless: the session's next frame finds it out as well."""
        item = {**self._held(session_key), "expires_at": self._in(HELD_SECONDS)}
        await self._forgivingly(self._dynamodb.put_item, Item=item)

    async def holds_no_more(self, session_key: str) -> None:
        """Take the note away."""
        await self._forgivingly(self._dynamodb.delete_item, Key=self._held(session_key))

    async def _forgivingly(self, request: Any, **arguments: Any) -> None:
        try:
            await asyncio.to_thread(request, TableName=self._table, **arguments)
        except AWS_ERRORS as error:
            logger.warning("the registry could not be changed", reason=reason_of(error))

    def _key(self) -> dict[str, Any]:
        return {"pk": {"S": "workers"}, "sk": {"S": self._worker_id}}

    def _held(self, session_key: str) -> dict[str, Any]:
        return {"pk": {"S": f"holder/{self._worker_id}"}, "sk": {"S": session_key}}

    def _in(self, seconds: int) -> dict[str, str]:
        """Return a TTL. By the wall clock, because DynamoDB compares it with that."""
        return {"N": str(int(self._wall_clock()) + seconds)}


class Notes:
    """Notes in the registry of what this worker holds, written in the background: no call waits for them."""

    def __init__(self, registry: Registry) -> None:
        """Keep where to write."""
        self._registry = registry
        self._writing: dict[str, asyncio.Task[None]] = {}

    def note_held(self, session_key: str) -> None:
        """Note that a session is held."""
        self._write(session_key, self._registry.holds)

    def note_left(self, session_key: str) -> None:
        """Note that a session is held no more."""
        self._write(session_key, self._registry.holds_no_more)

    async def written(self) -> None:
        """Wait until all is written."""
        if self._writing:
            await asyncio.wait(self._writing.values())

    def _write(self, session_key: str, write: Callable[[str], Awaitable[None]]) -> None:
        before = self._writing.get(session_key)

        async def in_order() -> None:
            if before is not None:
                await asyncio.wait({before})
            await write(session_key)

        task = self._writing[session_key] = asyncio.create_task(in_order(), name=f"note {session_key}")
        task.add_done_callback(lambda done: self._done(session_key, done))

    def _done(self, session_key: str, task: asyncio.Task[None]) -> None:
        if self._writing.get(session_key) is task:
            del self._writing[session_key]
