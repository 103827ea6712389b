"""The stores of a session: where its guard item and its objects are."""

from __future__ import annotations

from dataclasses import dataclass

from segue.storage.interface import GuardStore, ObjectStore


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a session is kept.

    Attributes:
        guard: Guard items.
        objects: Objects.
        prefix: Of all object keys: "" or ending in "/".
        heartbeats: The same guard items, asked by heartbeats only, so that they wait for nothing else; None: ``guard``.
    """

    guard: GuardStore
    objects: ObjectStore
    prefix: str = ""
    heartbeats: GuardStore | None = None
