"""`$connect`: who is it? The principal is fixed here, once, and everything the connection may reach follows from it."""

import hashlib
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from gateway import clients
from gateway.connections import Connections
from gateway.environment import ConnectEnvironment
from segue.environment import read_environment

LOCAL_PRINCIPAL: Final = "local"

logger = Logger()


@cache
def dependencies() -> tuple[Connections, ConnectEnvironment]:
    """What the function needs, made at its first invocation."""
    environment = read_environment(ConnectEnvironment)
    return Connections(clients.dynamodb(), environment.connections_table), environment


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Accept or refuse a connection."""
    try:
        logger.set_correlation_id(event["requestContext"].get("requestId"))
        connections, environment = dependencies()
        return connect(event, connections, environment)
    except Exception:  # the text of an error that leaves the function would reach the client
        logger.exception("connect failed")
        return {"statusCode": 500}


def connect(event: dict[str, Any], connections: Connections, environment: ConnectEnvironment) -> dict[str, Any]:
    """Store the connection with its principal."""
    context = event["requestContext"]
    principal = LOCAL_PRINCIPAL if environment.auth == "none" else iam_principal(context.get("identity") or {})
    if principal is None:
        logger.warning("connection refused: no identity", connection=context["connectionId"])
        return {"statusCode": 403}
    connections.store(context["connectionId"], principal)
    logger.info("connected", connection=context["connectionId"], principal=principal)
    return {"statusCode": 200}


def iam_principal(identity: dict[str, Any]) -> str | None:
    """The principal of whoever signed the request: a hash, so that it fits into keys and says nothing in logs.

    An assumed role's ARN names the role session too, so that two people with one role are two principals.
    """
    arn = identity.get("userArn")
    return hashlib.sha256(f"iam\n{arn}".encode()).hexdigest()[:32] if arn else None
