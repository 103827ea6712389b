"""Reading a session: one consistent read of the guard item, then all its objects at once.

    read item ─┬▶ conditional write: the lease ─┬▶ the session, if the item is what it was
               └▶ get all objects ──────────────┘

The objects are asked for while the write that acquires the lease is on its way, since that write is accepted only
on the very state that was read. What was got is used only if the answer names the same records.

With the lease, the item cannot move, so a missing object is damage. Without it (list, show, export, fork),
a writer may fold segments into a page and delete them between the two steps: then the item is read again,
and only an unchanged item that names a missing object is damage.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound
from segue.ids import shown
from segue.item import GuardItem
from segue.keys import Keys
from segue.records import (
    Block,
    Commit,
    Record,
    Segment,
    check_first,
    decode_block,
    decode_records,
    segments_of,
)
from segue.storage.interface import GuardStore, ObjectMissing, ObjectStore

logger = logging.getLogger(__name__)

_ATTEMPTS = 20
"""Times that an unlocked reader follows a session that is being folded under it. A fold comes once in
dozens of commits, so a second attempt is rare and a third unheard of."""


class _Got(NamedTuple):
    """An object: its key, what it holds, how many bytes it has, and whether some may be bytes that are encoded."""

    name: str
    block: Block
    records: list[Record]
    size: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Journal:
    """A session's records as they were committed.

    Attributes:
        item: The guard item that they belong to.
        records: All records, in order; a record's number is its index.
        commits: Every commit as (records after it, epoch, commit id), in order.
        tail: The segments past the last page, as a holder needs them to fold the next page.
        size: How many bytes its objects have, as they are stored.
        binary: Whether a record may hold encoded bytes.
    """

    item: GuardItem
    records: list[Record]
    commits: list[Commit]
    tail: list[Segment]
    size: int = 0
    binary: bool = True

    def under(self, item: GuardItem) -> Journal | None:
        """Return this as what an acquired item names; None if the session has gone on or has a sweep to finish."""
        seen = self.item
        before = seen.born, seen.head, seen.commit_id, seen.pages, seen.tail
        if item.scrub or before != (item.born, item.head, item.commit_id, item.pages, item.tail):
            return None
        return replace(self, item=item)


class ReadAhead:
    """A session that is read before its lease is won. Used on the storage loop."""

    def __init__(self, objects: ObjectStore, prefix: str) -> None:
        """Prepare; no I/O."""
        self._objects = objects
        self._prefix = prefix
        self._reading: asyncio.Task[Journal] | None = None

    def begin(self, seen: GuardItem) -> None:
        """Read what an item names, instead of what was begun before."""
        self.drop()
        if seen.scrub is None and seen.head:
            self._reading = asyncio.get_running_loop().create_task(read(self._objects, self._prefix, seen))

    async def journal(self, item: GuardItem) -> Journal | None:
        """Return what was read, if it is what the acquired item names. Any failure is for the holder's own reading."""
        if self._reading is None:
            return None
        await asyncio.wait([self._reading])
        if self._reading.cancelled() or self._reading.exception() is not None:
            return None
        return self._reading.result().under(item)

    def drop(self) -> None:
        """Have no use for it any more."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._reading = None


async def read(objects: ObjectStore, prefix: str, item: GuardItem) -> Journal:
    """Read all records that an item names.

    In place of a volume that is lost or damaged, its pages are read, which hold the same.

    Args:
        objects: Where the objects are.
        prefix: The bucket's prefix.
        item: The guard item.

    Raises:
        ObjectMissing: An object is not there.
        JournalCorrupt: An object is damaged or does not belong.
    """
    keys = Keys(prefix, item.session_key, item.born)
    folded = keys.shortest(item)
    names = [*folded, *(keys.segment(entry) for entry in item.tail)]

    async def got(name: str) -> _Got:
        # Each is decoded when it comes, while others are on their way, and other sessions have their turn in between.
        body = (await objects.get(name)).body
        block = decode_block(name, body, item)
        records, binary = decode_records(block, name)
        return _Got(name, block, records, len(body), binary)

    async def got_somehow(name: str) -> list[_Got]:
        try:
            return [await got(name)]
        except (ObjectMissing, JournalCorrupt) as error:
            if not (pages := folded.get(name)):
                raise
            instead = await asyncio.gather(*map(got, pages))  # if they are missing, too, this is no accident
            facts = {"journal": keys.root, "object": name, "error": type(error).__name__}
            logger.error("a volume is lost or damaged, its pages were read", extra=facts)  # noqa: TRY400 - no payload
            return instead

    found = [one for some in await asyncio.gather(*map(got_somehow, names)) for one in some]

    end = 0
    for one in found:
        check_first(one.name, one.block, end)
        end = one.block.end
    if end != item.head:
        raise JournalCorrupt(keys.root, f"its objects hold {end} records, the guard says {item.head}")
    segments = found[len(found) - len(item.tail) :]
    for one, entry in zip(segments, item.tail, strict=True):
        if one.block.commits != ((one.block.end, entry.epoch, entry.commit_id),):
            raise JournalCorrupt(one.name, f"holds commit {one.block.commits}, the guard says {entry}")
    return Journal(
        item,
        records=[record for one in found for record in one.records],
        commits=[commit for one in found for commit in one.block.commits],
        tail=[segment for one in segments for segment in segments_of(one.block)],
        size=sum(one.size for one in found),
        binary=any(one.binary for one in found),
    )


async def read_held(objects: ObjectStore, prefix: str, item: GuardItem) -> Journal:
    """Read a session as its holder.

    Raises:
        JournalCorrupt: An object is missing or damaged.
    """
    try:
        return await read(objects, prefix, item)
    except ObjectMissing as missing:
        raise JournalCorrupt(str(missing), "named by the guard, but not there") from missing


async def read_unheld(guard: GuardStore, objects: ObjectStore, prefix: str, key: str, clock: Clock) -> Journal:
    """Read a session without the lease, whoever is writing it.

    Raises:
        SessionNotFound: There is none, or its life is over.
        JournalCorrupt: The guard names an object that is missing or damaged.
    """
    before: GuardItem | None = None
    for _ in range(_ATTEMPTS):
        attributes = await guard.read(key)
        item = None if attributes is None else GuardItem.parse(attributes)
        if item is None or item.ended(clock.wall()):
            raise SessionNotFound(key, shown(key))
        same = before is not None and (before.born, before.pages, before.tail) == (item.born, item.pages, item.tail)
        before = item
        try:
            return await read(objects, prefix, item)
        except ObjectMissing as missing:
            if same:
                raise JournalCorrupt(str(missing), "named by the guard, but not there") from missing
    raise JournalCorrupt(key, f"still being folded after {_ATTEMPTS} reads")
