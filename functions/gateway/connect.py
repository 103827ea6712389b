"""``$connect``: the authorizer has said who it is; everything that the connection may reach follows from that."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Logger

from gateway.environment import ConnectEnvironment
from segue.environment import read_environment
from shared import subprotocol
from shared.aws import clients
from shared.connections import ConnectionsTable

PRINCIPAL: Final = re.compile(r"[0-9a-f]{32}")

logger = Logger()


@cache
def dependencies() -> ConnectionsTable:
    """Make the connections table's client at the first invocation."""
    return ConnectionsTable(clients.dynamodb(), read_environment(ConnectEnvironment).connections_table)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Accept or refuse a connection."""
    try:
        logger.set_correlation_id(event["requestContext"].get("requestId"))
        return connect(event, dependencies())
    except Exception:  # the text of an error that leaves the function would reach the client
        logger.exception("connect failed")
        return {"statusCode": 500}


def connect(event: dict[str, Any], connections: ConnectionsTable) -> dict[str, Any]:
    """Store the connection with its principal and the end of its token."""
    context = event["requestContext"]
    known = context.get("authorizer") or {}
    principal, expires_at = str(known.get("principal", "")), str(known.get("expires_at", ""))
    # Never so behind the authorizer; without it no client may connect.
    if not PRINCIPAL.fullmatch(principal) or not expires_at.isdecimal():
        logger.warning("connection refused: the authorizer names no principal", connection=context["connectionId"])
        return {"statusCode": 403}
    connections.store(context["connectionId"], principal, int(expires_at))
    logger.info("connected", connection=context["connectionId"], principal=principal)
    return {"statusCode": 200, "headers": subprotocol.chosen(event)}
