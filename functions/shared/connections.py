"""The connections table, as the gateway functions use it.

    pk                       sk                    attributes
    connection/<id>          connection            principal, token_expires_at, connected_at; after hello: session_key,
                                                   session_id, client_id, counter, modality, approvals, history
    session/<session_key>    client/<client_id>    connection_id, counter, history, direct: the client's newest
                                                   connection
    principal/<principal>    sessions              see ``shared.ingress.admission``
    workers                  <worker id>           see ``gateway.workers``

A socket at a worker has no item of the first kind; ``direct`` is its endpoint, name and secret (RFC 0026), and the
worker renews its items while it is open.

The second kind of item lets a claim name every client of a session, also those that are silent just now. Every item has
``expires_at`` (TTL, seconds since 1970), because ``$disconnect`` comes on a best effort only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from segue.wire.claims import ClientAddress, DirectAddress
from shared.aws.clients import conditionally, query_items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIFETIME_SECONDS: Final = 3 * 60 * 60
"""API Gateway ends a connection after two hours; one more for what is still in flight."""

DIRECT_LIFETIME_SECONDS: Final = 15 * 60
"""Seconds that a direct socket's items live; its worker renews them every four minutes. Items of a killed worker expire
after them."""

MOST_CLIENTS: Final = 32
"""Clients of one session that a claim names; of more, those that said ``hello`` last. Keeps the claim far below what a
queue message may have."""

MOST_READ: Final = 2048
"""Items of one session's clients that are read; any beyond are not seen. Those that have expired are deleted days
late."""

# Two connections of one client say hello; the functions that take them may run in any order.
#
#   connection 1  ──hello(1)───────────────────────▶ put?  refused: 1 < 2, and 1 is not the connection that is stored
#   connection 2  ──────────hello(2)──▶ put: accepted
#
# A repeated hello of the stored connection is accepted again.
FIRST: Final = "attribute_not_exists(#counter)"
NEWER: Final = "#counter < :counter"
SAME_CONNECTION: Final = "connection_id = :connection_id"
NEVER_OLDER: Final = f"{FIRST} OR {NEWER} OR {SAME_CONNECTION}"

# A connection is bound once. What warm functions remember of it therefore stays true.
EXISTS: Final = "attribute_exists(pk)"
UNBOUND: Final = "attribute_not_exists(session_key)"
BOUND_ALIKE: Final = "(session_key = :session_key AND client_id = :client_id)"
BOUND_ONCE: Final = f"{EXISTS} AND ({UNBOUND} OR {BOUND_ALIKE})"


@dataclass(frozen=True, slots=True)
class Binding:
    """The session and client that a connection belongs to since its ``hello``."""

    session_key: str
    session_id: str
    client_id: str
    counter: int
    modality: str = "voice"
    approvals: bool = False
    history: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection. ``binding`` is ``None`` before ``hello``.

    Attributes:
        connection_id: API Gateway's id of it.
        principal: whose it is.
        token_expires_at: when its token ends, and with it the right to send; seconds since 1970.
        binding: since its ``hello``.
    """

    connection_id: str
    principal: str
    token_expires_at: int
    binding: Binding | None = None


class ConnectionsTable:
    """Rows of connections in the connections table."""

    def __init__(self, client: DynamoDBClient, table: str, wall_clock: Callable[[], float] = time.time) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the connections table.
            wall_clock: seconds since 1970, for the TTL.
        """
        self._client = client
        self._table = table
        self._wall_clock = wall_clock

    def store(self, connection_id: str, principal: str, token_expires_at: int) -> None:
        """Store a connection that was just opened."""
        self._client.put_item(
            TableName=self._table,
            Item={
                **_connection_key(connection_id),
                "principal": {"S": principal},
                "token_expires_at": {"N": str(token_expires_at)},
                "connected_at": {"N": str(int(self._wall_clock()))},
                "expires_at": self._expiry(),
            },
        )

    def find(self, connection_id: str) -> Connection | None:
        """The connection as it is now, or ``None`` if it is not known (or from before tokens were asked for)."""
        answer = self._client.get_item(TableName=self._table, Key=_connection_key(connection_id), ConsistentRead=True)
        return _connection(connection_id, answer.get("Item"))

    def claim_client(self, connection_id: str, binding: Binding, direct: DirectAddress | None = None) -> bool:
        """Make this the client's newest connection; false if a newer one is.

        Args:
            connection_id: which.
            binding: what it is to be bound to.
            direct: where its socket is, if it has one at a worker.
        """
        at: dict[str, Any] = {} if direct is None else {"direct": {"M": _direct_item(direct)}}
        return conditionally(
            self._client.put_item,
            TableName=self._table,
            Item={
                **_client_key(binding.session_key, binding.client_id),
                "connection_id": {"S": connection_id},
                "counter": {"N": str(binding.counter)},
                "history": {"BOOL": binding.history},
                "expires_at": self._expiry(direct=direct is not None),
                **at,
            },
            ConditionExpression=NEVER_OLDER,
            ExpressionAttributeNames={"#counter": "counter"},
            ExpressionAttributeValues={
                ":connection_id": {"S": connection_id},
                ":counter": {"N": str(binding.counter)},
            },
        )

    def renew_client(self, connection_id: str, binding: Binding) -> bool:
        """Keep the item of a socket at a worker; false if a newer connection of the client has taken its place."""
        return conditionally(
            self._client.update_item,
            TableName=self._table,
            Key=_client_key(binding.session_key, binding.client_id),
            UpdateExpression="SET expires_at = :expires_at",
            ConditionExpression=SAME_CONNECTION,
            ExpressionAttributeValues={
                ":connection_id": {"S": connection_id},
                ":expires_at": self._expiry(direct=True),
            },
        )

    def leave_client(self, connection_id: str, binding: Binding) -> None:
        """Delete a client's address, if it is this connection's."""
        conditionally(
            self._client.delete_item,
            TableName=self._table,
            Key=_client_key(binding.session_key, binding.client_id),
            ConditionExpression=SAME_CONNECTION,
            ExpressionAttributeValues={":connection_id": {"S": connection_id}},
        )

    def bind(self, connection_id: str, binding: Binding) -> bool:
        """Bind the connection; false if it is gone or bound to something else."""
        return conditionally(
            self._client.update_item,
            TableName=self._table,
            Key=_connection_key(connection_id),
            UpdateExpression=(
                "SET session_key = :session_key, session_id = :session_id, client_id = :client_id, #counter = :counter,"
                " modality = :modality, approvals = :approvals, history = :history"
            ),
            ConditionExpression=BOUND_ONCE,
            ExpressionAttributeNames={"#counter": "counter"},
            ExpressionAttributeValues={
                ":session_key": {"S": binding.session_key},
                ":session_id": {"S": binding.session_id},
                ":client_id": {"S": binding.client_id},
                ":counter": {"N": str(binding.counter)},
                ":modality": {"S": binding.modality},
                ":approvals": {"BOOL": binding.approvals},
                ":history": {"BOOL": binding.history},
            },
        )

    def clients(self, session_key: str) -> tuple[ClientAddress, ...]:
        """The newest connection of each client of a session; of many those that said ``hello`` last."""
        found = query_items(
            self._client,
            MOST_READ,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :client)",
            ExpressionAttributeValues={":pk": {"S": f"session/{session_key}"}, ":client": {"S": "client/"}},
        )
        now = self._wall_clock()
        items = [item for item in found if int(item["expires_at"]["N"]) > now]
        return tuple(
            ClientAddress(
                client_id=item["sk"]["S"].removeprefix("client/"),
                connection_id=item["connection_id"]["S"],
                counter=int(item["counter"]["N"]),
                history=item.get("history", {"BOOL": False})["BOOL"],
                direct=_direct_address(item),
            )
            for item in nlargest(MOST_CLIENTS, items, key=lambda item: int(item["expires_at"]["N"]))
        )

    def forget(self, connection_id: str) -> Connection | None:
        """Delete a connection that has ended, and the client's address if it was this one; return what it was."""
        # The answer to the deletion may be lost, and that to the next attempt has nothing; but it alone knows of a
        # `hello` that came meanwhile.
        before = self.find(connection_id)
        answer = self._client.delete_item(
            TableName=self._table, Key=_connection_key(connection_id), ReturnValues="ALL_OLD"
        )
        connection = _connection(connection_id, answer.get("Attributes")) or before
        if connection and connection.binding:
            self.leave_client(connection_id, connection.binding)
        return connection

    def _expiry(self, *, direct: bool = False) -> Any:
        return {"N": str(int(self._wall_clock()) + (DIRECT_LIFETIME_SECONDS if direct else LIFETIME_SECONDS))}


def _direct_item(direct: DirectAddress) -> dict[str, Any]:
    return {
        "endpoint": {"S": direct.endpoint},
        "socket": {"S": direct.socket},
        "secret": {"S": direct.secret},
        "binary": {"BOOL": direct.binary},
    }


def _direct_address(item: dict[str, Any]) -> DirectAddress | None:
    if "direct" not in item:
        return None
    at = item["direct"]["M"]
    return DirectAddress(
        endpoint=at["endpoint"]["S"], socket=at["socket"]["S"], secret=at["secret"]["S"], binary=at["binary"]["BOOL"]
    )


def _connection_key(connection_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"connection/{connection_id}"}, "sk": {"S": "connection"}}


def _client_key(session_key: str, client_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"session/{session_key}"}, "sk": {"S": f"client/{client_id}"}}


def _connection(connection_id: str, item: dict[str, Any] | None) -> Connection | None:
    if not item or "token_expires_at" not in item:
        return None
    binding = None
    if "session_key" in item:
        binding = Binding(
            session_key=item["session_key"]["S"],
            session_id=item["session_id"]["S"],
            client_id=item["client_id"]["S"],
            counter=int(item["counter"]["N"]),
            modality=item.get("modality", {"S": "voice"})["S"],
            approvals=item.get("approvals", {"BOOL": False})["BOOL"],
            history=item.get("history", {"BOOL": False})["BOOL"],
        )
    return Connection(connection_id, item["principal"]["S"], int(item["token_expires_at"]["N"]), binding)
