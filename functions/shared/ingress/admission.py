"""The sessions that a principal has open, counted: one item of the connections table for each principal.

    pk                      sk          attributes
    principal/<principal>   sessions    revision; open: {connection id: "<until> <counter> <client id> <session id>"}

A session counts as long as one of its connections is in ``open``; a client's newer connection takes the place of an
older. Two connections say hello at the same time:

    connection 1  ──read revision 7──────────────────▶ write 8 if 7: refused ──read 8──▶ count again
    connection 2  ──read revision 7──▶ write 8 if 7: accepted

``$disconnect`` takes a connection out. API Gateway tells of it on a best effort only, so every entry ends by itself
when the connection must have ended; until then a session whose end was not told still counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.aws.clients import conditionally
from shared.connections import LIFETIME_SECONDS, Binding
from shared.ingress.default_limits import SESSIONS_PER_PRINCIPAL

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECTIONS_PER_SESSION: Final = 4
"""Connections of one principal for each session that it may have, on average; more are refused with
``too_many_sessions``. Keeps the item small; pages that were reloaded may leave some behind."""

ATTEMPTS: Final = 5
"""Attempts to enter a connection while others of its principal say ``hello`` at the very same time; after them
``busy``."""

FIRST: Final = "attribute_not_exists(pk)"
UNCHANGED: Final = "revision = :seen"
LISTED: Final = "attribute_exists(#open.#connection)"

type Open = Mapping[str, str]


class Admission:
    """Count of the sessions that each principal has open."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        most: int = SESSIONS_PER_PRINCIPAL,
        wall_clock: Callable[[], float] = time.time,
        lifetime_seconds: int = LIFETIME_SECONDS,
    ) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the connections table.
            most: sessions that a principal may have open.
            wall_clock: seconds since 1970.
            lifetime_seconds: after which an entry counts no more, unless it is renewed.
        """
        self._lifetime_seconds = lifetime_seconds
        self._client = client
        self._table = table
        self._most = most
        self._wall_clock = wall_clock

    def add_connection(self, principal: str, connection_id: str, binding: Binding) -> str | None:
        """Count a connection that is to be bound; return the error code if it must not be.

        Returns:
            ``too_many_sessions``, ``busy`` if too many connections of this principal ask at once, or ``None``.
        """
        for _ in range(ATTEMPTS):
            answer = self._client.get_item(TableName=self._table, Key=_key(principal), ConsistentRead=True)
            item = answer.get("Item")
            before = {name: value["S"] for name, value in item["open"]["M"].items()} if item else {}
            after = entered(before, connection_id, binding, int(self._wall_clock()), self._most, self._lifetime_seconds)
            if after is None:
                return "too_many_sessions"
            if after == before or self._write(principal, int(item["revision"]["N"]) if item else None, after):
                return None
        return "busy"

    def renew(self, principal: str, connection_id: str, binding: Binding) -> bool:
        """Count a connection further, which lives longer than its entry; false if it is not counted any more."""
        now = int(self._wall_clock())
        return conditionally(
            self._client.update_item,
            TableName=self._table,
            Key=_key(principal),
            UpdateExpression="SET #open.#connection = :entry, expires_at = :expires_at ADD revision :one",
            ConditionExpression=LISTED,
            ExpressionAttributeNames={"#open": "open", "#connection": connection_id},
            ExpressionAttributeValues={
                ":entry": {"S": f"{now + self._lifetime_seconds} {_entry(binding)}"},
                ":expires_at": {"N": str(now + LIFETIME_SECONDS)},
                ":one": {"N": "1"},
            },
        )

    def remove_connection(self, principal: str, connection_id: str) -> None:
        """Count a connection no more."""
        conditionally(
            self._client.update_item,
            TableName=self._table,
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
        return conditionally(
            self._client.put_item,
            TableName=self._table,
            Item={
                **_key(principal),
                "revision": {"N": str((seen or 0) + 1)},
                "open": {"M": {name: {"S": value} for name, value in entries.items()}},
                "expires_at": {"N": str(int(self._wall_clock()) + LIFETIME_SECONDS)},
            },
            **condition,
        )


def entered(
    entries: Open,
    connection_id: str,
    binding: Binding,
    now: int,
    most: int,
    lifetime_seconds: int = LIFETIME_SECONDS,
) -> Open | None:
    """The entries with one more connection, without those that have ended or that it replaces; ``None`` if too many.

    Args:
        entries: connections, each with its end and what it is bound to.
        connection_id: the connection.
        binding: what it is to be bound to.
        now: seconds since 1970.
        most: sessions that there may be.
        lifetime_seconds: after which the new entry counts no more.
    """
    mine = _entry(binding)
    if entries.get(connection_id, "").partition(" ")[2] == mine:
        return entries
    after = {name: entry for name, entry in entries.items() if not _is_over(entry, binding, now)}
    after[connection_id] = f"{now + lifetime_seconds} {mine}"
    sessions = {entry.rpartition(" ")[2] for entry in after.values()}
    return after if len(sessions) <= most and len(after) <= most * CONNECTIONS_PER_SESSION else None


def _is_over(entry: str, newer: Binding, now: int) -> bool:
    until, counter, client_id, session_id = entry.split(" ")
    replaced = (client_id, session_id) == (newer.client_id, newer.session_id) and int(counter) < newer.counter
    return replaced or int(until) <= now


def _entry(binding: Binding) -> str:
    return f"{binding.counter} {binding.client_id} {binding.session_id}"


def _key(principal: str) -> dict[str, Any]:
    return {"pk": {"S": f"principal/{principal}"}, "sk": {"S": "sessions"}}
