"""How many sessions a principal has open at a time: one item of the connections table for each principal.

    pk                      sk          attributes
    principal/<principal>   sessions    revision; open: {connection id: "<until> <session id>"}

A session counts as long as one of its connections is in `open`. Two connections say hello at the same time:

    connection 1  ──read revision 7──────────────────▶ write 8 if 7: refused ──read 8──▶ count again
    connection 2  ──read revision 7──▶ write 8 if 7: accepted

`$disconnect` takes a connection out. API Gateway tells of it on a best effort only, so every entry ends by itself when
the connection must have ended; until then a session whose end was not told still counts.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from gateway.connections import LIFETIME_SECONDS
from gateway.environment import SESSIONS_PER_PRINCIPAL

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECTIONS_PER_SESSION: Final = 4
"""On average, of one principal: keeps the item small. A page that was reloaded may leave one behind."""

ATTEMPTS: Final = 5
"""Connections of one principal that say hello at the very same time."""

FIRST: Final = "attribute_not_exists(pk)"
UNCHANGED: Final = "revision = :seen"
LISTED: Final = "attribute_exists(#open.#connection)"

type Open = Mapping[str, str]


class Admission:
    """Counts sessions."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        most: int = SESSIONS_PER_PRINCIPAL,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the connections table.
            most: sessions that a principal may have open.
            wall_clock: seconds since 1970.
        """
        self._client = client
        self._table = table
        self._most = most
        self._wall_clock = wall_clock

    def enter(self, principal: str, connection_id: str, session_id: str) -> str | None:
        """Count a connection to a session; return the error code if it must not be.

        Returns:
            `too_many_sessions`, `busy` if too many connections of this principal ask at once, or `None`.
        """
        for _ in range(ATTEMPTS):
            answer = self._client.get_item(TableName=self._table, Key=_key(principal), ConsistentRead=True)
            item = answer.get("Item")
            before = {name: value["S"] for name, value in item["open"]["M"].items()} if item else {}
            after = entered(before, connection_id, session_id, int(self._wall_clock()), self._most)
            if after is None:
                return "too_many_sessions"
            if after == before or self._write(principal, int(item["revision"]["N"]) if item else None, after):
                return None
        return "busy"

    def leave(self, principal: str, connection_id: str) -> None:
        """Count a connection no more."""
        self._conditional(
            self._client.update_item,
            Key=_key(principal),
            UpdateExpression="REMOVE #open.#connection ADD revision :one",
            ConditionExpression=LISTED,
            ExpressionAttributeNames={"#open": "open", "#connection": connection_id},
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    def _write(self, principal: str, seen: int | None, entries: Open) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": FIRST}
        if seen is not None:
            condition = {
                "ConditionExpression": UNCHANGED,
                "ExpressionAttributeValues": {":seen": {"N": str(seen)}},
            }
        return self._conditional(
            self._client.put_item,
            Item={
                **_key(principal),
                "revision": {"N": str((seen or 0) + 1)},
                "open": {"M": {name: {"S": value} for name, value in entries.items()}},
                "expires_at": {"N": str(int(self._wall_clock()) + LIFETIME_SECONDS)},
            },
            **condition,
        )

    def _conditional(self, operation: Callable[..., Any], **request: Any) -> bool:
        try:
            operation(TableName=self._table, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def entered(entries: Open, connection_id: str, session_id: str, now: int, most: int) -> Open | None:
    """The entries with one more connection, and without those that must have ended; `None` if that is too much.

    Args:
        entries: connections, each with its end and its session.
        connection_id: the connection.
        session_id: what it is for.
        now: seconds since 1970.
        most: sessions that there may be.
    """
    known = entries.get(connection_id)
    if known is not None and _session(known) == session_id:
        return entries
    living = {name: value for name, value in entries.items() if int(value.split(" ", 1)[0]) > now}
    living[connection_id] = f"{now + LIFETIME_SECONDS} {session_id}"
    sessions = {_session(value) for value in living.values()}
    return living if len(sessions) <= most and len(living) <= most * CONNECTIONS_PER_SESSION else None


def _session(entry: str) -> str:
    return entry.split(" ", 1)[1]


def _key(principal: str) -> dict[str, Any]:
    return {"pk": {"S": f"principal/{principal}"}, "sk": {"S": "sessions"}}
