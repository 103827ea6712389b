"""Deleting what no session needs: orphans of a living session, and everything of a life that ended.

A segment is an orphan only if its epoch is below the guard item's in a consistent read made *after* the
listing, and the item's tail does not name it: then its writer can commit nothing any more. A read made before
the listing would call segments orphans that were committed in between. Pages are never orphans here: a holder
may be about to commit one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from segue.item import GuardItem
from segue.keys import Keys
from segue.storage.interface import ObjectStore


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


async def sweep_life(objects: ObjectStore, keys: Keys) -> int:
    """Delete every object of a life that ended; returns how many there were."""
    listed = await objects.list(keys.root)
    if listed:
        await objects.delete(listed)
    return len(listed)


def _epoch(key: str) -> int:
    return int(key.rsplit("/", 1)[-1].split("-", 2)[1])
