"""`$default`: every message of a client.

What this returns goes to the client as a *route response*: the route needs one, and the route response selection
expression `$default`. So the function needs no way out to the management API.
"""

import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from gateway.admission import Admission
from gateway.claims import Claims, DirectClaims
from gateway.dispatch import Dispatch
from gateway.environment import MessageEnvironment
from gateway.post import HttpPost
from gateway.router import Router
from gateway.routes import Routes
from gateway.turns import Turns
from gateway.workers import Workers
from segue.environment import read_environment
from segue.wire.frames import Error, Pong, encode_frame, error_frame
from segue.wire.rate import FrameRate
from shared import clients, metrics
from shared.connections import Connections
from shared.metrics import Count

logger = Logger()


@cache
def dependencies() -> Router:
    """What the function needs, made at its first invocation."""
    environment = read_environment(MessageEnvironment)
    dynamodb, table = clients.dynamodb(), environment.connections_table
    connections = Connections(dynamodb, table)
    direct = DirectClaims(Workers(dynamodb, table), clock=time.monotonic)
    dispatch = Dispatch(
        routes=Routes(dynamodb, environment.lock_table),
        post=HttpPost(),
        claims=Claims(clients.sqs(), environment.claims_queue_url, direct, connections, clock=time.monotonic),
        clock=time.monotonic,
        sleep=time.sleep,
        turns=Turns(clients.sqs(), environment.turns_queue_url) if environment.turns_queue_url else None,
    )
    admission = Admission(dynamodb, table, environment.sessions_per_principal)
    rate = FrameRate(time.monotonic, environment.frames_per_second, environment.frame_burst)
    principals = FrameRate(time.monotonic, environment.principal_frames_per_second, environment.principal_frame_burst)
    return Router(connections, dispatch, admission, rate, principals)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take one message; return the route response. Whatever goes wrong inside, the client learns no more than that."""
    try:
        context = event["requestContext"]
        logger.set_correlation_id(context.get("requestId"))
        answer = dependencies().receive(context["connectionId"], event.get("body") or "")
        logger.debug("message taken", connection=context["connectionId"])
        return respond(answer)
    except Exception:  # the text of an error that leaves the function would reach the client
        logger.exception("message failed")
        metrics.count(Count.FAILURES)
        return respond(error_frame("internal"))


def respond(frame: Error | Pong | None) -> dict[str, Any]:
    """The route response that carries a frame, or none."""
    return {"statusCode": 200, "body": encode_frame(frame)} if frame else {"statusCode": 200}
