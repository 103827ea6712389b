"""``$disconnect``: the connection has ended. API Gateway tells on a best effort; the TTL finds what it did not tell."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from gateway.environment import DisconnectEnvironment
from segue.environment import read_environment
from shared.aws import clients
from shared.connections import ConnectionsTable
from shared.ingress.admission import Admission

logger = Logger()


@cache
def dependencies() -> tuple[ConnectionsTable, Admission]:
    """Make the table's clients at the first invocation."""
    table = read_environment(DisconnectEnvironment).connections_table
    return ConnectionsTable(clients.dynamodb(), table), Admission(clients.dynamodb(), table)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Forget the connection. API Gateway does not read the answer."""
    try:
        context = event["requestContext"]
        logger.set_correlation_id(context.get("requestId"))
        connection_id = context["connectionId"]
        connections, admission = dependencies()
        connection = connections.forget(connection_id)
        if connection:  # bound or not: a hello that was refused after it was counted is counted still
            admission.remove_connection(connection.principal, connection_id)
        logger.info("disconnected", connection=connection_id)
    except Exception:  # API Gateway ignores an error of this route, and the item expires without this
        logger.exception("disconnect failed")
    return {"statusCode": 200}
