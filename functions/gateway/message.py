"""``$default``: every message of a client.

What this returns reaches no client: the route has no response. What the function says itself goes out by
``gateway.answers``.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from gateway.answers import Answers, RoleSigner
from gateway.claims import Claims, DirectClaims
from gateway.dispatch import Dispatch
from gateway.environment import MessageEnvironment
from gateway.post import HttpPost
from gateway.router import Router
from gateway.turns import TurnsQueue
from gateway.workers import Workers
from segue.environment import read_environment
from segue.wire.frames import Error, Pong, error_frame
from segue.wire.rate import FrameRate
from shared import metrics
from shared.aws import clients
from shared.connections import ConnectionsTable
from shared.ingress.admission import Admission
from shared.ingress.routes import Routes
from shared.management import management_url
from shared.metrics import FunctionCount

logger = Logger()


@cache
def dependencies() -> Router:
    """Make the router and its clients at the first invocation."""
    environment = read_environment(MessageEnvironment)
    dynamodb, table = clients.dynamodb(), environment.connections_table
    connections = ConnectionsTable(dynamodb, table)
    direct = DirectClaims(Workers(dynamodb, table), clock=time.monotonic)
    dispatch = Dispatch(
        routes=Routes(dynamodb, environment.lock_table),
        post=HttpPost(),
        claims=Claims(clients.sqs(), environment.claims_queue_url, direct, connections, clock=time.monotonic),
        clock=time.monotonic,
        sleep=time.sleep,
        turns=TurnsQueue(clients.sqs(), environment.turns_queue_url) if environment.turns_queue_url else None,
    )
    admission = Admission(dynamodb, table, environment.sessions_per_principal)
    rate = FrameRate(time.monotonic, environment.frames_per_second, environment.frame_burst)
    principals = FrameRate(time.monotonic, environment.principal_frames_per_second, environment.principal_frame_burst)
    return Router(connections, dispatch, admission, rate, principals)


@cache
def answers() -> Answers:
    """Make the poster of refusals, at the first one."""
    management = management_url(read_environment(MessageEnvironment).management_endpoint)
    return Answers(management, RoleSigner(), time.monotonic)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take one message. Whatever goes wrong inside, the client learns no more than that."""
    connection_id = None
    try:
        context = event["requestContext"]
        logger.set_correlation_id(context.get("requestId"))
        connection_id = context["connectionId"]
        answer = dependencies().receive(connection_id, event.get("body") or "")
        logger.debug("message taken", connection=connection_id)
    except Exception:  # the text of an error that leaves the function would reach the client
        logger.exception("message failed")
        metrics.count(FunctionCount.FAILURES)
        answer = error_frame("internal")
    if answer is not None and isinstance(connection_id, str):
        tell(connection_id, answer)
    return {"statusCode": 200}


def tell(connection_id: str, frame: Error | Pong) -> None:
    """Tell a client, if that can be done: the frame has had its effect either way."""
    try:
        answers().post_frame(connection_id, frame)
    except Exception:
        logger.exception("answer lost", connection=connection_id)
        metrics.count(FunctionCount.ANSWERS_LOST)
