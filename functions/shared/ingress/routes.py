"""Routes to the holders of sessions: read from the guard item, remembered while they work.

The lease is the route: no second registry can disagree with it. A warm function asks the table once and then remembers,
until a holder refuses or does not answer.

Of the item only what makes a route is read, whatever its schema: workers are deployed first, and a function that is
still one version behind routes to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from segue.bounded import BoundedDict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

REMEMBERED: Final = 2048
"""Sessions whose route a warm function keeps; the route of one that is forgotten is read from the guard item again."""


@dataclass(frozen=True, slots=True)
class Route:
    """The address at which a holder takes frames, and the secret that it asks for."""

    endpoint: str
    token: str = field(repr=False)


class Routes:
    """Routes to the holders of sessions."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        """Use a table.

        Args:
            client: DynamoDB client.
            table: name of the lock table.
        """
        self._client = client
        self._table = table
        self._remembered: BoundedDict[str, Route] = BoundedDict(REMEMBERED)

    def find(self, session_key: str) -> Route | None:
        """The remembered route, or the one on the lease; ``None`` if the session has no holder."""
        return self._remembered.use(session_key) or self.read(session_key)

    def read(self, session_key: str) -> Route | None:
        """The route on the lease now; remembered from here on."""
        self.forget_route(session_key)
        route = self.read_route(session_key)
        if route is not None:
            self.remember(session_key, route)
        return route

    def read_route(self, session_key: str) -> Route | None:
        """The route on the lease now. Nothing is remembered, so that any thread may ask."""
        answer = self._client.get_item(
            TableName=self._table, Key={"session_key": {"S": session_key}}, ConsistentRead=True
        )
        attributes = answer.get("Item")
        return self._route(attributes) if attributes else None

    def remembered(self, session_key: str) -> Route | None:
        """The remembered route."""
        return self._remembered.use(session_key)

    def remember(self, session_key: str, route: Route) -> None:
        """Use this route until it is forgotten."""
        self._remembered[session_key] = route

    def _route(self, attributes: Mapping[str, AttributeValueTypeDef]) -> Route | None:
        """Read the route; None if the session has no holder that takes frames.

        No clock ends what is held (``segue.lease.item``): a holder that is dead shows when it is posted to.
        """
        if "deleted" in attributes or not {"acquire_id", "endpoint", "route_token"} <= attributes.keys():
            return None
        return Route(attributes["endpoint"]["S"], attributes["route_token"]["S"])

    def forget_route(self, session_key: str) -> None:
        """Ask the table the next time."""
        self._remembered.pop(session_key, None)
