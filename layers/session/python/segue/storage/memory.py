"""Storage in dictionaries: for unit tests and simulations. Exact about conditions, durable about nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from segue.storage.attributes import Attributes
from segue.storage.interface import (
    ConditionalWrite,
    ConditionFailed,
    ObjectMissing,
    PreconditionFailed,
    StoredObject,
)


class MemoryGuard:
    """Guard items in a dictionary."""

    def __init__(self) -> None:
        """Start empty."""
        self.items: dict[str, Attributes] = {}

    async def read(self, session_key: str) -> Attributes | None:
        """Read an item."""
        item = self.items.get(session_key)
        return None if item is None else dict(item)

    async def write(self, write: ConditionalWrite) -> Attributes:
        """Apply a change if its condition holds."""
        item = self.items.get(write.session_key)
        if not all(clause.holds(item) for clause in write.condition):
            raise ConditionFailed(None if item is None else dict(item))
        self.items[write.session_key] = write.applied(item)
        return dict(self.items[write.session_key])

    def wall(self) -> None:
        """Tell no time: this machine's clock is the only one."""

    async def keys(self, prefix: str) -> list[str]:
        """List session keys."""
        return sorted(key for key in self.items if key.startswith(prefix))


class MemoryObjects:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, bytes] = {}

    async def get(self, key: str) -> StoredObject:
        """Read an object."""
        if key not in self.objects:
            raise ObjectMissing(key)
        return StoredObject(self.objects[key], _etag(self.objects[key]))

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        """Write an object."""
        existing = self.objects.get(key)
        if if_absent and existing is not None:
            raise PreconditionFailed(key)
        if if_match is not None and (existing is None or _etag(existing) != if_match):
            raise PreconditionFailed(key)
        self.objects[key] = body

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        for key in keys:
            self.objects.pop(key, None)

    async def list(self, prefix: str) -> list[str]:
        """List keys."""
        return sorted(key for key in self.objects if key.startswith(prefix))


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
