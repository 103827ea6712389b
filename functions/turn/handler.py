"""The function's entry point: one message of the queue, one turn.

What cannot be done now goes back to the queue and blocks its group, so that nothing of the session overtakes it:

    out of time                     again at once, and goes on from what is durable
    storage, model or client fail   again after a pause
    five times                      its client is told, and it is in the dead-letter queue
    not a frame of a client         again at once, and so a dead letter soon

An event without records is the test invocation of a deployment: see ``turn.trial``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config

from segue import GuardedS3SessionManager, LeaseSettings, SessionFenced
from segue.environment import read_environment
from segue.wire.fields import trace_id
from segue.wire.frames import FrameError
from shared import metrics
from shared.agent_code import AgentFailed
from shared.connections import ConnectionsTable
from shared.metrics import FunctionCount, FunctionTime
from turn.environment import TurnEnvironment
from turn.post import CONFIG, ManagementApi
from turn.queue_message import QueueMessage
from turn.sessions import TurnSessions
from turn.turn import Attempt, OutOfTime, TurnSettings
from turn.turn_runner import TurnRunner
from worker.agent import build_text_agent

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MOST_TRIES: Final = 5
"""Times that the queue delivers a message before it goes to the dead-letter queue (``infra.constructs.queues``)."""

LONGEST_PAUSE_SECONDS: Final = 30
"""Seconds until a failed message comes again at most; the pause doubles with each of its tries."""

ACQUIRE_MARGIN_SECONDS: Final = 2.0
"""Seconds that a holder is waited for beyond its lease; after them the message comes again. Long enough to take over
from a holder that died without a release."""

logger = Logger()


@cache
def environment() -> TurnEnvironment:
    """The settings, read at the first invocation."""
    return read_environment(TurnEnvironment)


@cache
def queue() -> SQSClient:
    """The client that gives messages back."""
    return boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=2))


@cache
def turn_runner() -> TurnRunner:
    """Make the parts that take turns at the first invocation."""
    settings = environment()
    lease = LeaseSettings(settings.lease_seconds, settings.heartbeat_seconds)
    holder = f"text-{secrets.token_hex(4)}"  # clients are shown it: the default names the host

    def new_manager(principal: str, session_id: str) -> GuardedS3SessionManager:
        return GuardedS3SessionManager(
            session_id,
            bucket=settings.bucket,
            lock_table=settings.lock_table,
            principal=principal,
            lease=lease,
            holder=holder,
            acquire_timeout=lease.duration + ACQUIRE_MARGIN_SECONDS,
            retention_days=settings.retention_days,
        )

    dynamodb = boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=2))
    management = boto3.client("apigatewaymanagementapi", endpoint_url=settings.management_url(), config=CONFIG)
    return TurnRunner(
        TurnSessions(new_manager, build_text_agent),
        ConnectionsTable(dynamodb, settings.connections_table),
        ManagementApi(management),
        TurnSettings(settings.approval_seconds),
    )


@cache
def runner() -> asyncio.Runner:
    """One event loop for all invocations of the process: kept agents may hold on to it."""
    return asyncio.Runner()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take the turns of a batch, which has one; say which are to come again."""
    if "Records" not in event:
        from turn.trial import try_version  # of no use to a turn, and a cold start waits for imports

        environment()  # a variable that is missing fails here, too
        return runner().run(try_version(build_text_agent))
    messages = [QueueMessage(queue(), environment().turns_queue_url, record) for record in event["Records"]]

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    failed = [message.id for message in messages if not runner().run(taken(turn_runner(), message, seconds_left))]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


async def taken(turns: TurnRunner, message: QueueMessage, seconds_left: Callable[[], float]) -> bool:
    """Take the turn of one message; false if it has to come again."""
    logger.set_correlation_id(message.id)
    try:
        delivery, tries = message.delivery(), message.tries
    except FrameError as error:
        logger.append_keys(trace_id=None)
        logger.error("a message of the queue is no frame of a client", code=error.code)  # noqa: TRY400
        metrics.count(FunctionCount.TURN_FAILURES)
        await message.give_back(0)  # to be a dead letter soon: its session's texts wait behind it
        return False
    logger.append_keys(trace_id=trace_id(delivery.frame.trace))
    try:
        begun = time.monotonic()
        async with message.hidden():
            await turns.run_turn(Attempt(delivery, tries > 1, seconds_left))
    except OutOfTime:
        logger.info("out of time, goes on in another invocation", session=delivery.session_key, tries=tries)
        pause = 0
    except AgentFailed:  # the log has it already; another deployment may have a better one
        logger.info("the turn waits for an agent", session=delivery.session_key, tries=tries)
        metrics.count(FunctionCount.TURN_FAILURES)
        turns.apologise(delivery, "agent_failed")
        await message.give_back(_pause_after(tries))
        return False
    except Exception as error:  # whatever it is, the message must come again, and soon
        logger.exception("turn failed", session=delivery.session_key, tries=tries)
        metrics.count(FunctionCount.TURN_FAILURES)
        if isinstance(error, SessionFenced):
            metrics.count(FunctionCount.FENCED)
        pause = _pause_after(tries)
    else:
        metrics.count(FunctionCount.TURNS)
        metrics.time(FunctionTime.TURN, time.monotonic() - begun)
        return True
    if tries >= MOST_TRIES:
        turns.apologise(delivery)
    await message.give_back(pause)
    return False


def _pause_after(tries: int) -> int:
    """Return the seconds until a message that failed so often comes again."""
    return min(1 << tries, LONGEST_PAUSE_SECONDS)
