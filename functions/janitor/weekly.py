"""The weekly sweep: objects of incarnations that no guard item names, and orphaned segments, whatever was missed.

    schedule ──{}──▶ queue ──▶ handler ──▶ … until the bucket was seen
                       ▲          │
                       └─{after}──┘  out of time

The queue carries the first run and each continuation alike, so both have attempts and a dead-letter queue. A run that
is delivered twice only looks twice.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from janitor.counting import failed, swept
from janitor.second_sweep import SweepsQueue, WaitingSweep
from janitor.sweeper import Incarnation, JanitorEnvironment, Sweeper
from segue.environment import read_environment
from segue.errors import SegueError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger()

YOUNG_SECONDS = 86_400
"""Lives younger than this are left alone: a fork writes its objects first and its item last."""

RESERVE_MS = 60_000
"""Time left at which a run ends and leaves the rest to the next, in milliseconds."""


class WeeklyEnvironment(JanitorEnvironment, frozen=True, kw_only=True):
    """Variables of the weekly sweep alone.

    Attributes:
        weekly_queue_url: Where a run begins, and where it is said how to go on.
    """

    weekly_queue_url: str


class Run(msgspec.Struct, frozen=True):
    """One run of the weekly sweep.

    Attributes:
        after: Where the run before ended, ``<session_key>/<born>``; "" at the beginning.
    """

    after: str = ""


class Runs:
    """The queue of the weekly runs' remaining parts."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        """Use a queue."""
        self._sqs = sqs
        self._url = url

    def put(self, run: Run) -> None:
        """Let a run begin."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=msgspec.json.encode(run).decode())


@cache
def dependencies() -> tuple[Sweeper, SweepsQueue, Runs]:
    """Make the function's parts at the first invocation."""
    environment = read_environment(WeeklyEnvironment)
    sqs = boto3.client("sqs")
    sweeper = Sweeper.from_environment(environment)
    return sweeper, SweepsQueue(sqs, environment.sweeps_queue_url), Runs(sqs, environment.weekly_queue_url)


def handler(event: dict[str, Any], context: Any) -> None:
    """Sweep incarnations that no item names; the message comes again if that fails as a whole.

    Args:
        event: Messages of the queue, each a ``Run``.
        context: The Lambda context, for the time that is left.

    Raises:
        BotoCoreError: Storage or the queue could not be reached.
        ClientError: It refused.
    """
    for message in event["Records"]:
        sweep_all(msgspec.json.decode(message["body"], type=Run), context)


def sweep_all(run: Run, context: Any) -> None:
    """Sweep what is behind a place, until everything was seen or time is short."""
    sweeper, queue, runs = dependencies()
    objects = 0
    for incarnation in sweeper.all_incarnations(run.after):
        if not _young(incarnation):
            objects += _swept(sweeper, queue, incarnation)
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            runs.put(Run(f"{incarnation.session_key}/{incarnation.born}"))
            logger.info("weekly sweep goes on in another run", objects=objects)
            break
    else:
        logger.info("weekly sweep finished", objects=objects)
    swept(objects)


def _swept(sweeper: Sweeper, queue: SweepsQueue, incarnation: Incarnation) -> int:
    """Sweep an ended incarnation, or the orphans of one that goes on; a failure waits and holds up no other."""
    try:
        return sweeper.sweep(incarnation) or sweeper.collect(incarnation)
    except (BotoCoreError, ClientError, OSError, SegueError):
        logger.exception("sweep failed, tried again later", session=incarnation.session_key)
        failed()
        queue.put(WaitingSweep(incarnation, rounds_left=1))
        return 0


def _young(incarnation: Incarnation) -> bool:
    """Return true if the write of the guard item may still be in flight; ``born`` begins with the time."""
    stamp = incarnation.born.partition("-")[0]
    return stamp > time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - YOUNG_SECONDS))
