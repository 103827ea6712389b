"""Claims at once of the sessions that the worker of a stopped ECS task still held.

    EventBridge "ECS Task State Change", lastStatus STOPPED
      ─▶ the worker whose registry item names this task          (one that drained has taken its item away)
      ─▶ what it held, page by page ─▶ a claim for each session with clients ─▶ the claims queue
      ─▶ the notes and the registry item are deleted

A client that speaks finds a dead holder by itself, with its next frame. This is for those who wait: the journal has
their question, the answer was cut, and they have nothing to send.

Whatever fails is tried again with the whole event: a claim that comes twice costs a worker one read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger
from msgspec import Struct, convert

from segue.environment import read_environment
from segue.wire.claims import Claim, encode_claim
from shared import metrics
from shared.aws import clients
from shared.connections import ConnectionsTable
from shared.metrics import FunctionCount

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

BATCH: Final = 10
"""Messages that one request puts into the queue; SQS takes no more, so the rest goes in further requests."""

logger = Logger()


class StoppedEnvironment(Struct, frozen=True):
    """Variables of ``stopped``.

    Attributes:
        connections_table: name of the connections table.
        claims_queue_url: where claims go.
    """

    connections_table: str
    claims_queue_url: str


class Task(Struct, frozen=True, rename="camel"):
    """ECS's event about a task.

    Attributes:
        task_arn: which.
        last_status: what has become of it.
    """

    task_arn: str
    last_status: str


class TaskStateChange(Struct, frozen=True):
    """EventBridge's event, as far as it is read."""

    detail: Task


class Stopped:
    """Claims of the sessions that a stopped task held."""

    def __init__(self, dynamodb: DynamoDBClient, sqs: SQSClient, environment: StoppedEnvironment) -> None:
        """Use two clients.

        Args:
            dynamodb: DynamoDB client.
            sqs: SQS client.
            environment: what they work on.
        """
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._environment = environment
        self._connections = ConnectionsTable(dynamodb, environment.connections_table)

    def offer_sessions(self, task_arn: str) -> int:
        """Offer the sessions of a task; return how many claims were sent.

        Raises:
            ServiceRefused: DynamoDB or SQS refused; nothing is forgotten.
            OSError: One of them did not answer, or SQS did not take some claims; the same.
        """
        sent = 0
        for worker in [item for item in self._items("workers") if item.get("host", {}).get("S") == task_arn]:
            worker_id = worker["sk"]["S"]
            notes = list(self._items(f"holder/{worker_id}"))
            claims = [claim for note in notes if (claim := self._claim(note["sk"]["S"])).clients]
            for start in range(0, len(claims), BATCH):
                self._send(claims[start : start + BATCH])
            for item in (*notes, worker):
                self._dynamodb.delete_item(
                    TableName=self._environment.connections_table, Key={"pk": item["pk"], "sk": item["sk"]}
                )
            logger.info("task stopped", worker=worker_id, held=len(notes), claims=len(claims))
            metrics.count(FunctionCount.SESSIONS_OFFERED, len(claims))
            sent += len(claims)
        return sent

    def _items(self, pk: str) -> Iterator[dict[str, Any]]:
        return clients.query_items(
            self._dynamodb,
            TableName=self._environment.connections_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
        )

    def _claim(self, session_key: str) -> Claim:
        principal, _, session_id = session_key.partition("/")
        return Claim(
            session_key=session_key,
            session_id=session_id,
            principal=principal,
            reason="unreachable",
            clients=self._connections.clients(session_key),
        )

    def _send(self, claims: list[Claim]) -> None:
        entries: Any = [{"Id": str(number), "MessageBody": encode_claim(claim)} for number, claim in enumerate(claims)]
        answer = self._sqs.send_message_batch(QueueUrl=self._environment.claims_queue_url, Entries=entries)
        if failed := answer.get("Failed"):
            raise OSError(f"{len(failed)} claims were not sent, the first because of {failed[0].get('Code')}")


@cache
def dependencies() -> Stopped:
    """Make the function's parts at the first invocation."""
    return Stopped(clients.dynamodb(), clients.sqs(), read_environment(StoppedEnvironment))


def handler(event: dict[str, Any], _context: object) -> dict[str, int]:
    """Take one event; what fails is delivered again, and is a dead letter at last.

    Raises:
        ValidationError: it does not tell of a task; nothing was done.
        Exception: see ``Stopped.offer_sessions``.
    """
    task = convert(event, TaskStateChange).detail
    if task.last_status != "STOPPED":
        return {"claims": 0}
    return {"claims": dependencies().offer_sessions(task.task_arn)}
