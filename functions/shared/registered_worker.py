"""Workers in the connections table, as the gateway and other workers read them.

``worker.hosting.registry`` writes the items.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

FRESH_SECONDS: Final = 10.0
"""Seconds for which a worker's last beat counts as fresh: three beats. Two machines' wall clocks are compared here: if
they disagree, only the order in which workers are asked is worse."""


@dataclass(frozen=True, slots=True)
class RegisteredWorker:
    """A worker, as it describes itself.

    Attributes:
        worker_id: Its name.
        endpoint: The address at which it takes frames and claims.
        claims_token: The secret that a claim carries.
        version: Its deployment's place; the newest sorts last.
        room: Sessions that it still took at its last beat.
        fresh: True if that beat is at most ``FRESH_SECONDS`` old.
    """

    worker_id: str
    endpoint: str
    claims_token: str = field(repr=False)
    version: str
    room: int
    fresh: bool = True


def with_room(items: Iterable[dict[str, Any]], now: float) -> list[RegisteredWorker]:
    """Read the items of workers that take sessions.

    Items past ``expires_at`` are left out, because DynamoDB's TTL deletes them days late. So are items without a
    ``claims_token``: their deployment's workers listen to the queue only.

    Args:
        items: The items of the connections table.
        now: Seconds since 1970.
    """
    alive = (item for item in items if int(item["expires_at"]["N"]) > now and "claims_token" in item)
    return [worker for item in alive if (worker := _read(item, now)).room > 0]


def _read(item: dict[str, Any], now: float) -> RegisteredWorker:
    seen_at = float(item["seen_at"]["N"]) if "seen_at" in item else 0.0
    return RegisteredWorker(
        worker_id=item["sk"]["S"],
        endpoint=item["endpoint"]["S"],
        claims_token=item["claims_token"]["S"],
        version=item["version"]["S"],
        room=int(item["room"]["N"]),
        fresh=now - seen_at < FRESH_SECONDS,
    )
