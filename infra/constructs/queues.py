"""Queues: encrypted, TLS only, and with a place for what could not be done."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

RECEIVES_BEFORE_DEAD_LETTER: Final = 5


def dead_letters(scope: Construct, construct_id: str) -> sqs.Queue:
    """A queue that only a person empties, for as long as SQS keeps messages."""
    return sqs.Queue(
        scope,
        construct_id,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=Duration.days(14),
    )


def queue(
    scope: Construct, construct_id: str, failed: sqs.IQueue, *, visibility: Duration, retention: Duration
) -> sqs.Queue:
    """A queue whose messages are tried five times.

    Args:
        scope: Where it is added.
        construct_id: Under which name.
        failed: Where messages go that failed each time.
        visibility: How long a consumer has before a message comes again.
        retention: How long a message is worth something.
    """
    return sqs.Queue(
        scope,
        construct_id,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        visibility_timeout=visibility,
        retention_period=retention,
        dead_letter_queue=sqs.DeadLetterQueue(queue=failed, max_receive_count=RECEIVES_BEFORE_DEAD_LETTER),
    )
