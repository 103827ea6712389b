"""The registry of workers, as the gateway reads it: one item for each, kept up by the worker itself.

pk         sk             attributes
workers    <worker id>    endpoint, version, room, claims_token, …, seen_at, expires_at

An item may outlive its worker by two minutes; a claim that is posted to the worker finds that out. A worker that missed
its last beats is asked last: a dead worker's room stays what it was, and would put it first.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FRESH_SECONDS: Final = 10.0
"""Three beats of a worker. By two machines' wall clocks: if they disagree, only the order is worse."""

MOST_WORKERS: Final = 500
"""Read at once; more than one query answers with (1 MB) would be thousands."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that may take sessions.

    Attributes:
        worker_id: what it calls itself.
        endpoint: where it takes frames and claims.
        version: of its deployment; a later one sorts after an earlier one.
        room: how many more sessions it takes.
        seen_at: when it wrote that; seconds since 1970.
        claims_token: the secret that a claim shows.
    """

    worker_id: str
    endpoint: str
    version: str
    room: int
    seen_at: float
    claims_token: str = field(repr=False)


class Workers:
    """Reads the registry."""

    def __init__(self, client: "DynamoDBClient", table: str, wall_clock: Callable[[], float] = time.time) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the connections table.
            wall_clock: seconds since 1970, for items past their TTL.
        """
        self._client = client
        self._table = table
        self._wall_clock = wall_clock

    def with_room(self) -> list[Worker]:
        """Workers that take sessions: those that are known to live, of them the newest version, then the most room."""
        # One that has just come up is worth seeing, and a stale room only costs one more attempt: no consistent read.
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :workers",
            ExpressionAttributeValues={":workers": {"S": "workers"}},
            Limit=MOST_WORKERS,
        )
        now = self._wall_clock()
        found = (_worker(item) for item in answer["Items"] if int(item["expires_at"]["N"]) > now)
        return sorted(
            (worker for worker in found if worker and worker.room > 0),
            key=lambda worker: (now - worker.seen_at < FRESH_SECONDS, worker.version, worker.room),
            reverse=True,
        )


def _worker(item: dict[str, Any]) -> Worker | None:
    if "claims_token" not in item:
        return None  # of a deployment whose workers listen to the queue only
    return Worker(
        worker_id=item["sk"]["S"],
        endpoint=item["endpoint"]["S"],
        version=item["version"]["S"],
        room=int(item["room"]["N"]),
        seen_at=float(item["seen_at"]["N"]) if "seen_at" in item else 0.0,
        claims_token=item["claims_token"]["S"],
    )
