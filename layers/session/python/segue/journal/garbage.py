"""Deleting what no session needs: orphans of a living session, and everything of a life that ended.

An ended life never goes on, and objects of a life that no item knows are those of one that has ended, or of a copy
that is about to begin.

A segment is an orphan only if its epoch is below the guard item's in a consistent read made *after* the
listing, and the item's tail does not name it: then its writer can commit nothing any more. A read made before
the listing would call segments orphans that were committed in between. Pages are never orphans here: a holder
may be about to commit one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from segue.clock import Clock
from segue.journal.keys import Keys
from segue.lease.item import GuardItem
from segue.lease.item_check import born_at, names_life
from segue.lease.item_reader import look
from segue.storage.interface import GuardStore, ObjectStore


async def collect_orphans(
    objects: ObjectStore, keys: Keys, read_item: Callable[[], Awaitable[GuardItem]], *, own: bool = False
) -> list[str]:
    """Delete the orphans of a living session.

    Args:
        objects: Where they are.
        keys: Object keys of this life.
        read_item: Reads the guard item, consistently.
        own: Take the holder's own orphans too, of commits that storage refused. Only its holder may say so, and
            only while none of its commits is under way.

    Returns:
        The keys that were deleted.
    """
    listed = await objects.list(keys.segments)
    item = await read_item()
    orphans = orphans_among(listed, keys, item, own=own)
    if orphans:
        await objects.delete(orphans)
    return orphans


def orphans_among(listed: Iterable[str], keys: Keys, item: GuardItem, *, own: bool = False) -> list[str]:
    """Return which of the listed segments are orphans.

    Args:
        listed: Keys of segments of this life.
        keys: Object keys of this life.
        item: The guard item, read consistently *after* the listing, and in the same life.
        own: Take the holder's own orphans too; see ``collect_orphans``.
    """
    live = {keys.segment(entry) for entry in item.tail}
    return [key for key in listed if key not in live and _epoch(key) < item.epoch + own]


COPY_SECONDS = 3600.0
"""Seconds that making a session may take. Its ``born`` begins with the time, so that a sweep for objects of no
life can tell a copy under way from one that was broken off: it must leave alone what is not twice as old."""


async def finish_deletion(
    store: GuardStore, objects: ObjectStore, prefix: str, session_key: str, clock: Clock
) -> int | None:
    """Delete the objects of a session whose tombstone stands; whoever has ended its life may have died or given up.

    Returns:
        How many there were; None if the session is not deleted.

    Raises:
        StorageRefused: Storage says no, or its objects are under another prefix.
        StorageUnavailable: Storage does not answer.
    """
    seen = await look(store, session_key, clock, prefix)
    if seen.item is None or not seen.item.deleted:
        return None
    return await sweep_ended(objects, prefix, seen.item, seen.at)


async def sweep_ended(objects: ObjectStore, prefix: str, tombstone: GuardItem, at: float) -> int:
    """Delete every object of a session that was deleted, those of its earlier lives included.

    Args:
        objects: Where they are.
        prefix: The bucket's prefix.
        tombstone: The session's guard item.
        at: When that was read, by storage's own clock.

    Returns:
        How many there were.
    """
    lives = f"{prefix}sessions/{tombstone.session_key}/"
    over = [key for key in await objects.list(lives) if _is_over(key.removeprefix(lives), tombstone, at)]
    if over:
        await objects.delete(over)
    return len(over)


def _is_over(name: str, tombstone: GuardItem, at: float) -> bool:
    """Whether an object is of a life that is over; what is not Segue's own is of none."""
    born, _, _ = name.partition("/")
    return born == tombstone.born or (names_life(born) and at - born_at(born) > 2 * COPY_SECONDS)


def _epoch(key: str) -> int:
    return int(key.rsplit("/", 1)[-1].split("-", 2)[1])
