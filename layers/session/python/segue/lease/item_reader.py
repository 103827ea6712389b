"""Reading a guard item, checked and judged by storage's own time.

Acquiring, forking, reading, verifying, listing and following a session begin with this reading. Only
``GuardItem.ended`` decides that a session has ended, by storage's clock; a machine's wall clock stands in only where
storage tells no time.
"""

from __future__ import annotations

from dataclasses import dataclass

from segue.clock import Clock
from segue.errors import JournalCorrupt, StorageRefused
from segue.lease.item import GuardItem
from segue.storage.interface import GuardStore


@dataclass(frozen=True, slots=True)
class ItemReading:
    """A guard item as storage answered it.

    Attributes:
        item: The guard item, None if there is none.
        at: Time of storage's answer, by its own clock, in seconds since 1970.
    """

    item: GuardItem | None
    at: float

    @property
    def current(self) -> GuardItem | None:
        """The item of a session that has not ended; None if there is none, or the session has ended."""
        return None if self.item is None or self.item.ended(self.at) else self.item


async def read_item(store: GuardStore, session_key: str, clock: Clock, prefix: str | None = None) -> ItemReading:
    """Read a session's guard item, consistently, and check it.

    Args:
        store: Store of guard items.
        session_key: The session's key.
        clock: Clock for storage that tells no time of its own, such as a directory of this machine.
        prefix: Prefix of the caller's object keys; None: any.

    Raises:
        JournalCorrupt: The item cannot be right.
        StorageRefused: Storage refuses the read, or the session's objects are under another prefix.
        StorageUnavailable: Storage does not answer.
    """
    before = clock.wall()  # a session that is read in time does not end because the reader is stopped afterwards
    attributes = await store.read(session_key)
    told = store.wall()
    seen = ItemReading(None if attributes is None else GuardItem.parse(attributes), before if told is None else told)
    if seen.item is not None and seen.item.session_key != session_key:
        raise JournalCorrupt(session_key, f"the lock table's item is that of {seen.item.session_key!r}")
    if seen.item is not None:
        require_prefix(seen.item, prefix)
    return seen


def require_prefix(item: GuardItem, prefix: str | None) -> None:
    """Check that a session's objects are under the caller's prefix.

    Raises:
        StorageRefused: They are under another prefix. Sessions of two prefixes would share one guard item, so the
            item, a tombstone too, belongs to the prefix that it was made with.
    """
    if prefix is not None and item.prefix not in {None, prefix}:
        reason = f"its records are under the prefix {item.prefix!r}, not under {prefix!r} as was asked"
        raise StorageRefused(item.session_key, reason)


def storage_time(store: GuardStore, clock: Clock) -> float:
    """Return the time by storage's own clock, in seconds since 1970; by ``clock`` where storage tells no time."""
    told = store.wall()
    return clock.wall() if told is None else told
