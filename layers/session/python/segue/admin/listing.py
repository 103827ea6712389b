"""Sessions listed from their guard items, without any lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from segue.admin.key_pages import key_pages
from segue.admin.progress import Progress
from segue.admin.silent_holders import READS, WatchedHolder, silent_holders
from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.ids import shown
from segue.lease.item import GuardItem
from segue.lease.item_reader import ItemReading, read_item
from segue.storage.stores import Stores

State = Literal["held", "free", "deleted", "expired", "unreadable"]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session as its guard item describes it.

    Attributes:
        session: Its principal and its id, as they were given, with a ``/`` between them.
        key: Its key in storage.
        state: ``"held"``, ``"free"``, ``"deleted"``, ``"expired"``, or ``"unreadable"`` if the item is damaged.
        stale: Whether its holder was silent for as long as its lease lasts; None: not watched.
        holder: The name of the process that holds it, or held it last.
        epoch: Its fencing token.
        beat: Counter that heartbeats and commits raise.
        head: Committed records.
        pages: Sealed pages.
        segments: Segments past the last page.
        unswept: Whether a redaction is not finished.
        expires_at: When it expires, in seconds since 1970.
        born: The identity of this incarnation.
        prefix: The prefix of its objects' keys; None if an earlier release wrote the item.
        problem: What is wrong with the item, None if nothing is.
    """

    session: str
    key: str
    state: State
    stale: bool | None = None
    holder: str | None = None
    epoch: int | None = None
    beat: int | None = None
    head: int | None = None
    pages: int | None = None
    segments: int | None = None
    unswept: bool | None = None
    expires_at: int | None = None
    born: str | None = None
    prefix: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All sessions that a prefix of keys selects.

    Attributes:
        found: The facts of each.
        held: The holders that may be watched.
    """

    found: tuple[SessionFacts, ...]
    held: tuple[WatchedHolder, ...]


async def list_sessions(stores: Stores, clock: Clock, prefix: str, progress: Progress) -> Listing:
    """Read the guard item of each session whose key has a prefix.

    Raises:
        StorageUnavailable: Storage does not answer.
        StorageRefused: Storage says no.
    """
    keys = await stores.guard.keys(prefix)
    found: list[SessionFacts] = []
    held: list[WatchedHolder] = []
    for start in range(0, len(keys), READS):
        batch = keys[start : start + READS]
        looked = await _read_items(stores, clock, batch)
        found += looked.found
        held += looked.held
        progress(start + len(batch), len(keys))
    return Listing(tuple(found), tuple(held))


async def stream_sessions(
    stores: Stores, clock: Clock, prefix: str, tell: Callable[[Sequence[SessionFacts]], bool]
) -> None:
    """Tell of sessions while the table is still being scanned, in the order in which they are found.

    Args:
        stores: Where the sessions are kept.
        clock: Where time comes from.
        prefix: Of their keys.
        tell: Takes some sessions; False if it wants no more.

    Raises:
        StorageUnavailable: Storage does not answer.
        StorageRefused: Storage says no.
    """
    async with contextlib.aclosing(key_pages(stores.guard, prefix)) as pages:
        async for keys in pages:
            for start in range(0, len(keys), READS):
                if not tell((await _read_items(stores, clock, keys[start : start + READS])).found):
                    return


async def _read_items(stores: Stores, clock: Clock, keys: Sequence[str]) -> Listing:
    """Read some guard items side by side."""
    found: list[SessionFacts] = []
    held: list[WatchedHolder] = []
    looks = await asyncio.gather(*(_read(stores, clock, key) for key in keys))
    for key, one in zip(keys, looks, strict=True):
        if isinstance(one, JournalCorrupt):
            found.append(SessionFacts(shown(key), key, "unreadable", problem=str(one)))
        elif one.item is not None:  # else gone since the keys were listed
            found.append(facts_of(one.item, one.at, stores.prefix))
            if found[-1].state == "held":
                held.append(WatchedHolder(one.item, clock.now()))
    return Listing(tuple(found), tuple(held))


async def _read(stores: Stores, clock: Clock, key: str) -> ItemReading | JournalCorrupt:
    try:
        return await read_item(stores.guard, key, clock)
    except JournalCorrupt as error:
        return error


async def mark_stale(stores: Stores, clock: Clock, listing: Listing) -> tuple[SessionFacts, ...]:
    """Watch the holders for a lease at most, and say of each whether it was silent.

    Raises:
        StorageUnavailable: Storage does not answer.
    """
    silent = await silent_holders(stores, clock, listing.held)
    watched = {one.item.session_key for one in listing.held}
    return tuple(replace(one, stale=one.key in silent) if one.key in watched else one for one in listing.found)


def facts_of(item: GuardItem, at: float, prefix: str) -> SessionFacts:
    """Return the facts of a guard item.

    Args:
        item: The item.
        at: When it was read, by storage's own clock, in seconds since 1970.
        prefix: Where its objects are looked for.
    """
    state: State = "held" if item.held else "free"
    if item.ended(at):
        state = "deleted" if item.deleted else "expired"
    elsewhere = item.prefix not in {None, prefix}
    return SessionFacts(
        session=shown(item.session_key),
        key=item.session_key,
        state=state,
        holder=item.holder,
        epoch=item.epoch,
        beat=item.beat,
        head=item.head,
        pages=item.pages,
        segments=len(item.tail),
        unswept=item.scrub is not None,
        expires_at=item.expires_at,
        born=item.born,
        prefix=item.prefix,
        problem=f"its records are under the prefix {item.prefix!r}, not under {prefix!r}" if elsewhere else None,
    )
