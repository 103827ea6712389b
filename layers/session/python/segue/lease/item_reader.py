"""A look at a guard item: read, checked, and judged by storage's own time.

Whether a life is over is asked of ``GuardItem.ended`` and of nothing else: to acquire, copy, read, check, list or
follow a session begins with such a look. No machine's wall clock takes part where storage tells the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from segue.clock import Clock
from segue.errors import JournalCorrupt, StorageRefused
from segue.lease.item import GuardItem
from segue.storage.interface import GuardStore


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen.

    Attributes:
        item: The guard item, None if there is none.
        at: When storage answered, by its own clock, in seconds since 1970.
    """

    item: GuardItem | None
    at: float

    @property
    def living(self) -> GuardItem | None:
        """The item of a life that goes on; None if there is none, or it is over."""
        return None if self.item is None or self.item.ended(self.at) else self.item


async def look(store: GuardStore, session_key: str, clock: Clock, prefix: str | None = None) -> Look:
    """Look at a session.

    Args:
        store: Where the guard items are.
        session_key: Which session.
        clock: Tells the time of storage that does not tell its own, such as a directory of this machine.
        prefix: Of the caller's object keys; None: any.

    Raises:
        JournalCorrupt: The item cannot be right.
        StorageRefused: Storage says no, or the session's objects are under another prefix.
        StorageUnavailable: Storage does not answer.
    """
    before = clock.wall()  # a life that is read in time does not end because the reader is stopped afterwards
    attributes = await store.read(session_key)
    told = store.wall()
    seen = Look(None if attributes is None else GuardItem.parse(attributes), before if told is None else told)
    if seen.item is not None and seen.item.session_key != session_key:
        raise JournalCorrupt(session_key, f"the lock table's item is that of {seen.item.session_key!r}")
    if seen.item is not None:
        require_prefix(seen.item, prefix)
    return seen


def require_prefix(item: GuardItem, prefix: str | None) -> None:
    """See that a session's objects are where the caller looks for them.

    Raises:
        StorageRefused: They are under another prefix. Two of them would fight over the guard's one item, so it belongs
            to its prefix for as long as it is there, a tombstone's included.
    """
    if prefix is not None and item.prefix not in {None, prefix}:
        reason = f"its records are under the prefix {item.prefix!r}, not under {prefix!r} as was asked"
        raise StorageRefused(item.session_key, reason)


def wall_of(store: GuardStore, clock: Clock) -> float:
    """The time now by storage's own clock, in seconds since 1970; this machine's where storage tells none."""
    told = store.wall()
    return clock.wall() if told is None else told
