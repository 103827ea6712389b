"""Interface of storage: conditional writes on one item, and whole objects.

Segue's invariants rest on these few operations being atomic. DynamoDB and S3 give them; so do a local directory
and, for simulations, a dictionary. The conditions are data, so that each implementation decides the very same race,
and a simulation can leave one out and see which invariant breaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from segue.storage.attributes import Attributes, Value

GZIP = b"\x1f\x8b"
"""First bytes of compressed objects. JSON never begins with them."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on one attribute. A write is accepted only if all its clauses hold.

    ``=`` equal, ``<`` present and less, ``absent`` not there.
    """

    attribute: str
    operator: Literal["=", "<", "absent"]
    value: Value = ""

    def holds(self, item: Mapping[str, Value] | None) -> bool:
        """Decide the clause on an item (None: no such item)."""
        value = (item or {}).get(self.attribute)
        match self.operator:
            case "absent":
                return value is None
            case "=":
                return value == self.value
            case "<":
                return isinstance(value, int) and isinstance(self.value, int) and value < self.value


@dataclass(frozen=True, slots=True)
class ConditionalWrite:
    """One atomic change of one item."""

    session_key: str
    condition: tuple[Clause, ...]
    assign: Attributes
    remove: tuple[str, ...] = ()
    add: Mapping[str, int] = field(default_factory=dict)

    def applied(self, item: Mapping[str, Value] | None) -> Attributes:
        """Return the item as it is after the change."""
        changed: Attributes = {**(item or {}), "session_key": self.session_key, **self.assign}
        for name, amount in self.add.items():
            before = (item or {}).get(name, 0)
            changed[name] = (before if isinstance(before, int) else 0) + amount
        for name in self.remove:
            changed.pop(name, None)
        return changed


class ConditionFailed(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when a condition did not hold. Carries the item that decided it: the loser learns who won."""

    def __init__(self, item: Attributes | None) -> None:
        """Keep the winner's item, None if there is none."""
        super().__init__("condition failed")
        self.item = item


class ObjectMissing(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when there is no such object."""


class PreconditionFailed(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when an object exists (``if_absent``) or is not the expected version (``if_match``)."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's content and the tag of this version of it."""

    body: bytes
    etag: str


class GuardStore(Protocol):
    """Store of guard items. Any method may raise StorageUnavailable (outcome unknown) or StorageRefused (not done)."""

    async def read(self, session_key: str) -> Attributes | None:
        """Read an item, seeing every write that was answered before."""
        ...

    async def write(self, write: ConditionalWrite) -> Attributes:
        """Apply a change if its condition holds; return the new item.

        Raises:
            ConditionFailed: It does not hold.
        """
        ...

    def wall(self) -> float | None:
        """Return the time by storage's own clock, in seconds since 1970.

        Directly after an answer, it is the time of that answer. None: storage has no clock but this machine's, or has
        not answered yet.
        """
        ...

    async def keys(self, prefix: str) -> list[str]:
        """List the session keys that begin with ``prefix`` (a scan: for people and tools, not for the path)."""
        ...


class ObjectStore(Protocol):
    """Store of objects. Any method may raise StorageUnavailable (outcome unknown) or StorageRefused (not done)."""

    async def get(self, key: str) -> StoredObject:
        """Read an object.

        Raises:
            ObjectMissing: There is none.
        """
        ...

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        """Write an object, durable when this returns.

        Raises:
            PreconditionFailed: ``if_absent`` and it exists, or ``if_match`` and it is another version.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        ...

    async def list(self, prefix: str) -> list[str]:
        """List the keys that begin with ``prefix``, in order."""
        ...
