"""Second sweep of an incarnation: requests that were in flight when it ended have arrived by now.

SQS delays a message by 15 minutes at most, so a message goes round until an hour has passed. An incarnation that the
weekly sweep could not delete comes here too, for its last round: what fails here has attempts and a dead-letter queue.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from aws_lambda_powertools import Logger

from janitor.counting import failed, swept
from janitor.sweeper import Incarnation, JanitorEnvironment, Sweeper
from segue.environment import read_environment

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger()

DELAY_SECONDS = 900
"""Seconds, the longest delay of SQS."""

ROUNDS = 4
"""Rounds of DELAY_SECONDS before the second sweep: an hour, longer than any client keeps a request alive."""


class WaitingSweep(msgspec.Struct, frozen=True):
    """An incarnation that waits for its second sweep."""

    incarnation: Incarnation = msgspec.field(name="life")  # as messages of earlier releases call it
    rounds_left: int = ROUNDS


class SweepsQueue:
    """The queue of ended sessions that wait for their second sweep."""

    def __init__(self, sqs: SQSClient, url: str, delay_seconds: int = DELAY_SECONDS) -> None:
        """Use a queue, whose messages wait for so many seconds. ``ROUNDS`` of another delay are not an hour."""
        self._delay_seconds = delay_seconds
        self._sqs = sqs
        self._url = url

    def put(self, waiting: WaitingSweep) -> None:
        """Let an incarnation wait for one more round."""
        self._sqs.send_message(
            QueueUrl=self._url, MessageBody=msgspec.json.encode(waiting).decode(), DelaySeconds=self._delay_seconds
        )


@cache
def dependencies() -> tuple[Sweeper, SweepsQueue]:
    """Make the functions' parts at the first invocation."""
    environment = read_environment(JanitorEnvironment)
    return Sweeper.from_environment(environment), SweepsQueue(boto3.client("sqs"), environment.sweeps_queue_url)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take messages of the queue; those that fail come again, and end in the dead-letter queue."""
    sweeper, queue = dependencies()
    failures = []
    for message in event["Records"]:
        try:
            waiting = msgspec.json.decode(message["body"], type=WaitingSweep)
            if waiting.rounds_left > 1:
                queue.put(WaitingSweep(waiting.incarnation, waiting.rounds_left - 1))
            else:
                count = sweeper.sweep(waiting.incarnation)
                logger.info("swept again", session=waiting.incarnation.session_key, objects=count)
                swept(count)
        except Exception:  # this message comes again, the others of the batch are done
            logger.exception("second sweep failed")
            failed()
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}
