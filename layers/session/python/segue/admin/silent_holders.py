"""Silent holders, found by watching them: no two machines' clocks are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.lease.item import GuardItem
from segue.storage.stores import Stores

READS = 16
"""Guard items that are read at once."""

_POLL_SECONDS = 0.5
"""Seconds between two looks at the holders that have not shown themselves yet."""


@dataclass(frozen=True, slots=True)
class WatchedHolder:
    """A held item and when it was read, on this process's own clock."""

    item: GuardItem
    at: float


async def silent_holders(stores: Stores, clock: Clock, held: Sequence[WatchedHolder]) -> set[str]:
    """Watch holders, each until it shows itself or has been silent for as long as its lease lasts.

    Returns:
        The keys of the sessions whose holders were silent.
    """
    silent: set[str] = set()
    watched = list(held)
    while watched:
        await clock.sleep(_POLL_SECONDS)
        still: list[WatchedHolder] = []
        for start in range(0, len(watched), READS):
            batch = watched[start : start + READS]
            unmoved = await asyncio.gather(*(_is_unchanged(stores, seen) for seen in batch))
            still += [seen for seen, same in zip(batch, unmoved, strict=True) if same]
        over = [seen for seen in still if clock.now() - seen.at >= seen.item.lease_ms / 1000]
        silent |= {seen.item.session_key for seen in over}
        watched = [seen for seen in still if seen not in over]
    return silent


async def _is_unchanged(stores: Stores, seen: WatchedHolder) -> bool:
    """Tell whether a session is still held as the earlier reading had it."""
    attributes = await stores.guard.read(seen.item.session_key)
    try:
        now = None if attributes is None else GuardItem.parse(attributes)
    except JournalCorrupt:
        return False
    then = seen.item
    return now is not None and (now.born, now.acquire_id, now.beat) == (then.born, then.acquire_id, then.beat)
