"""Garbage collection: orphans of a session, and all objects of ended sessions.

An ended session never goes on. Objects of an incarnation that no item names belong to an ended session, or to a fork
that is about to begin.

A segment is an orphan only if its epoch is below the guard item's in a consistent read made *after* the
listing, and the item's tail does not name it: its writer can commit nothing any more. After an earlier read, segments
that were committed before the listing would look like orphans. Pages are never orphans here: a holder may be about to
commit one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from segue.clock import Clock
from segue.journal.keys import ObjectKeys
from segue.lease.item import GuardItem
from segue.lease.item_check import born_at, is_born
from segue.lease.item_reader import read_item
from segue.storage.interface import GuardStore, ObjectStore


async def collect_orphans(
    objects: ObjectStore, keys: ObjectKeys, item_now: Callable[[], Awaitable[GuardItem]], *, own: bool = False
) -> list[str]:
    """Delete the orphans of a session that has not ended.

    Args:
        objects: Store of the objects.
        keys: Object keys of this incarnation.
        item_now: Reads the guard item, consistently.
        own: Delete the holder's own orphans too, of commits that storage refused. Only for the holder, and only while
            none of its commits is in flight.

    Returns:
        The keys that were deleted.
    """
    listed = await objects.list(keys.segments)
    item = await item_now()
    orphans = orphans_among(listed, keys, item, own=own)
    if orphans:
        await objects.delete(orphans)
    return orphans


def orphans_among(listed: Iterable[str], keys: ObjectKeys, item: GuardItem, *, own: bool = False) -> list[str]:
    """Return which of the listed segments are orphans.

    Args:
        listed: Keys of segments of this incarnation.
        keys: Object keys of this incarnation.
        item: The guard item, read consistently *after* the listing, and of the same incarnation.
        own: Return the holder's own orphans too; see ``collect_orphans``.
    """
    live = {keys.segment(entry) for entry in item.tail}
    return [key for key in listed if key not in live and _epoch(key) < item.epoch + own]


COPY_SECONDS = 3600.0
"""Seconds that making a fork may take. Its ``born`` begins with the time, so garbage collection can tell a fork under
way from one that was broken off: objects of no item are deleted when they are twice as old."""


async def finish_deletion(
    store: GuardStore, objects: ObjectStore, prefix: str, session_key: str, clock: Clock
) -> int | None:
    """Delete the objects of a session whose tombstone stands: the deleting process may have died or given up.

    Returns:
        The number of objects; None if the session is not deleted.

    Raises:
        StorageRefused: Storage refuses, or its objects are under another prefix.
        StorageUnavailable: Storage does not answer.
    """
    seen = await read_item(store, session_key, clock, prefix)
    if seen.item is None or not seen.item.deleted:
        return None
    return await collect_ended(objects, prefix, seen.item, seen.at)


async def collect_ended(objects: ObjectStore, prefix: str, tombstone: GuardItem, at: float) -> int:
    """Delete every object of a deleted session, those of its earlier incarnations included.

    Args:
        objects: Store of the objects.
        prefix: The bucket's prefix.
        tombstone: The session's guard item.
        at: Time of the item's reading, by storage's own clock.

    Returns:
        The number of objects.
    """
    lives = f"{prefix}sessions/{tombstone.session_key}/"
    over = [key for key in await objects.list(lives) if _is_over(key.removeprefix(lives), tombstone, at)]
    if over:
        await objects.delete(over)
    return len(over)


def _is_over(name: str, tombstone: GuardItem, at: float) -> bool:
    """Tell whether an object is of an ended incarnation; objects that Segue did not make are of none."""
    born, _, _ = name.partition("/")
    return born == tombstone.born or (is_born(born) and at - born_at(born) > 2 * COPY_SECONDS)


def _epoch(key: str) -> int:
    return int(key.rsplit("/", 1)[-1].split("-", 2)[1])
