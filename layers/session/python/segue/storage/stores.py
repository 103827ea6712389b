"""The stores of a session: where its guard item and its objects are."""

from __future__ import annotations

from dataclasses import dataclass

from segue.storage.interface import GuardStore, ObjectStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one session.

    Attributes:
        guard: Store of the guard item.
        objects: Store of the objects.
        prefix: Prefix of all object keys: "" or ending in "/".
        heartbeats: Store of the guard item for heartbeats alone, which wait for nothing else there; None: ``guard``.
    """

    guard: GuardStore
    objects: ObjectStore
    prefix: str = ""
    heartbeats: GuardStore | None = None
