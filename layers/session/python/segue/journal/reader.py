"""Reading a session: one consistent read of the guard item, then all its objects at once.

    read item ─┬▶ conditional write: the lease ─┬▶ the session, if the item is what it was
               └▶ get all objects ──────────────┘

The objects are requested while the write that acquires the lease is in flight, since that write is accepted only
on the very state that was read. They are used only if the answer names the same records.

With the lease, the item cannot move, so a missing object is damage. Without it (list, show, export, fork),
a writer may fold segments into a page and delete them between the two steps: then the item is read again,
and only an unchanged item that names a missing object is damage.

A record that cannot be decoded keeps its number. A holder refuses such a session, unless a later "skip" record passes
it over (``segue sessions verify --repair`` appends one). A reader without the lease reads the rest (docs/rfcs/0010).
"""

from __future__ import annotations

import asyncio
import bisect
import logging
import operator
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound
from segue.ids import shown
from segue.journal.blocks import Block, Commit, Segment, check_first, decode_block, segments_of
from segue.journal.keys import ObjectKeys
from segue.journal.records import Record, decode_records, skips
from segue.lease.item import GuardItem
from segue.lease.item_reader import read_item
from segue.storage.interface import GuardStore, ObjectMissing, ObjectStore

logger = logging.getLogger(__name__)

_ATTEMPTS = 20
"""Attempts of a reader without the lease, while a holder folds segments; after them, JournalCorrupt. A fold comes once
in dozens of commits, so a second attempt is rare and a third unheard of."""


_AT_ONCE = 64
"""Objects that are requested at once: twice as many as storage threads, so that no thread waits for a key. If the item
names objects that are missing, the first of them ends the reading, and the others take no memory."""

_What = TypeVar("_What")
_Result = TypeVar("_Result")


class _ReadBlock(NamedTuple):
    """An object: its key, its content, its size in bytes, and the faults of its records."""

    name: str
    block: Block
    records: list[Record]
    size: int
    damaged: list[JournalCorrupt]


class _ReadObject(NamedTuple):
    """An object of one key, or the pages in place of a volume; then ``pages`` is empty."""

    name: str
    pages: list[str]
    got: list[_ReadBlock]

    @property
    def span(self) -> tuple[int, int]:
        """The first record, and the one after the last."""
        return self.got[0].block.first, self.got[-1].block.end


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """A session's records as they were committed.

    Attributes:
        item: The guard item that they belong to.
        records: All records, in order; a record's number is its index.
        commits: Every commit as (records after it, epoch, commit id), in order.
        tail: The segments past the last page, as a holder needs them to fold the next page.
        size: Bytes of its objects, as they are stored.
        objects: The objects as (number of the first record, key), in order.
        damaged: Faults of the records that cannot be decoded and that no later record skips. Empty, unless the caller
            asked for the readable rest.
    """

    item: GuardItem
    records: list[Record]
    commits: list[Commit]
    tail: list[Segment]
    size: int = 0
    objects: tuple[tuple[int, str], ...] = ()
    damaged: tuple[JournalCorrupt, ...] = ()

    def located(self, error: JournalCorrupt) -> JournalCorrupt:
        """Name the object that holds the record that an error is about."""
        index = bisect.bisect_right(self.objects, error.record, key=operator.itemgetter(0)) if error.record else 1
        if error.record is None or not 0 < index <= len(self.objects):
            return error
        return JournalCorrupt(self.objects[index - 1][1], error.problem, error.record)

    def under(self, item: GuardItem) -> StoredJournal | None:
        """Return this journal with an acquired item; None if the item names others, or a redaction to finish."""
        seen = self.item
        before = seen.born, seen.head, seen.commit_id, seen.pages, seen.tail
        if item.scrub or before != (item.born, item.head, item.commit_id, item.pages, item.tail):
            return None
        return replace(self, item=item)


class ReadAhead:
    """A session that is read before its lease is acquired. Used on the storage loop."""

    def __init__(self, objects: ObjectStore, prefix: str) -> None:
        """Prepare; no I/O."""
        self._objects = objects
        self._prefix = prefix
        self._reading: asyncio.Task[StoredJournal] | None = None

    def start_reading(self, seen: GuardItem) -> None:
        """Begin to read the objects that an item names, and drop an earlier reading."""
        self.cancel_reading()
        if seen.scrub is None and seen.head:
            self._reading = asyncio.get_running_loop().create_task(read(self._objects, self._prefix, seen))

    async def journal(self, item: GuardItem) -> StoredJournal | None:
        """Return the journal, if the acquired item names it; None after a failure, which the holder's reading meets."""
        if self._reading is None:
            return None
        await asyncio.wait([self._reading])
        if self._reading.cancelled() or self._reading.exception() is not None:
            return None
        return self._reading.result().under(item)

    def cancel_reading(self) -> None:
        """Cancel the reading."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._reading = None


async def read(objects: ObjectStore, prefix: str, item: GuardItem, *, whole: bool = True) -> StoredJournal:
    """Read all records that an item names.

    In place of a volume that is lost, damaged or misplaced, its pages are read, which hold the same records.

    Args:
        objects: Store of the objects.
        prefix: The bucket's prefix.
        item: The guard item.
        whole: Refuse a session with a record that cannot be decoded, rather than read the rest.

    Raises:
        ObjectMissing: An object is not there.
        JournalCorrupt: An object is damaged or does not belong.
    """
    keys = ObjectKeys(prefix, item.session_key, item.born)
    parts = await _side_by_side(keys.shortest(item), partial(_read_object, objects, item))
    while misplaced := [index for index in _beside_gaps(parts, item.head) if parts[index].pages]:
        for index in misplaced:
            parts[index] = await _read_pages(objects, item, parts[index], "another volume, or none")
    journal = _assemble(keys.root, item, parts)
    if doubtful := [index for index, part in enumerate(parts) if part.pages and _has_damage(journal.damaged, part)]:
        for index in doubtful:
            parts[index] = await _read_pages(objects, item, parts[index], "a record cannot be decoded")
        journal = _assemble(keys.root, item, parts)
    if journal.damaged and whole:
        raise journal.damaged[0]
    return journal


def _has_damage(damaged: Sequence[JournalCorrupt], part: _ReadObject) -> bool:
    return any(error.key == part.name for error in damaged)


def _assemble(root: str, item: GuardItem, parts: Sequence[_ReadObject]) -> StoredJournal:
    found = [one for part in parts for one in part.got]
    end = 0
    for one in found:
        check_first(one.name, one.block, end)
        end = one.block.end
    if end != item.head:
        raise JournalCorrupt(root, f"its objects hold {end} records, the guard says {item.head}")
    segments = found[len(found) - len(item.tail) :]
    for one, entry in zip(segments, item.tail, strict=True):
        if one.block.commits != ((one.block.end, entry.epoch, entry.commit_id),):
            raise JournalCorrupt(one.name, f"holds commit {one.block.commits}, the guard says {entry}")
    records = [record for one in found for record in one.records]
    damaged = [error for one in found for error in one.damaged]
    skipped = skips(records) if damaged else ()
    return StoredJournal(
        item,
        records=records,
        commits=[commit for one in found for commit in one.block.commits],
        tail=[segment for one in segments for segment in segments_of(one.block)],
        size=sum(one.size for one in found),
        objects=tuple((one.block.first, one.name) for one in found),
        damaged=tuple(error for error in damaged if error.record not in skipped),
    )


async def _read_block(objects: ObjectStore, item: GuardItem, name: str) -> _ReadBlock:
    # Each object is decoded when it comes, while others are in flight: other sessions have their turn in between.
    body = (await objects.get(name)).body
    block = decode_block(name, body, item)
    records, damaged = decode_records(block.records, block.first, name)
    return _ReadBlock(name, block, records, len(body), damaged)


async def _read_object(objects: ObjectStore, item: GuardItem, named: tuple[str, list[str]]) -> _ReadObject:
    name, pages = named
    try:
        return _ReadObject(name, pages, [await _read_block(objects, item, name)])
    except (ObjectMissing, JournalCorrupt) as error:
        if not pages:
            raise
        return await _read_pages(objects, item, _ReadObject(name, pages, []), type(error).__name__)


async def _read_pages(objects: ObjectStore, item: GuardItem, volume: _ReadObject, why: str) -> _ReadObject:
    """Read the pages of a volume. Missing pages raise: the journal is damaged."""
    got = await _side_by_side(volume.pages, partial(_read_block, objects, item))
    pages = _ReadObject(volume.name, [], got)
    if volume.got and volume.span == pages.span:
        return pages  # the misplaced object is its neighbour
    facts = {"journal": volume.name.partition("volumes/")[0], "object": volume.name, "error": why}
    logger.error("a volume is lost or damaged, its pages were read", extra=facts)
    return pages


def _beside_gaps(parts: Sequence[_ReadObject], head: int) -> set[int]:
    """Return the indices of parts on either side of a gap or an overlap: one of the two is misplaced."""
    beside, end = set(), 0
    for index, (first, after) in enumerate(part.span for part in parts):
        if first != end:
            beside |= {index - 1, index}
        end = after
    if end != head:
        beside.add(len(parts) - 1)
    return beside - {-1}


async def _side_by_side(whats: Iterable[_What], work: Callable[[_What], Awaitable[_Result]]) -> list[_Result]:
    """Do work for each, ``_AT_ONCE`` at a time, and return the results in order. The first failure ends all."""
    numbered = enumerate(whats)  # an item that is wrong may name so many that no list holds them
    results: dict[int, _Result] = {}

    async def some(*first: tuple[int, _What]) -> None:
        for index, what in chain(first, numbered):
            results[index] = await work(what)

    workers = [asyncio.ensure_future(some(first)) for first in islice(numbered, _AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[index] for index in range(len(results))]


async def read_held(objects: ObjectStore, prefix: str, item: GuardItem, *, whole: bool = True) -> StoredJournal:
    """Read a session as its holder; see ``read``.

    Raises:
        JournalCorrupt: An object is missing or damaged.
    """
    try:
        return await read(objects, prefix, item, whole=whole)
    except ObjectMissing as missing:
        raise JournalCorrupt(str(missing), "named by the guard, but not there") from missing


async def read_unheld(
    guard: GuardStore, objects: ObjectStore, prefix: str, key: str, clock: Clock, *, whole: bool = True
) -> StoredJournal:
    """Read a session without the lease, while another may be writing it; see ``read``.

    Raises:
        SessionNotFound: There is none, or it has ended.
        JournalCorrupt: The guard item names an object that is missing or damaged.
        StorageRefused: Storage refuses, or its objects are under another prefix.
    """
    before: GuardItem | None = None
    for _ in range(_ATTEMPTS):
        item = (await read_item(guard, key, clock, prefix)).current
        if item is None:
            raise SessionNotFound(key, shown(key))
        same = before is not None and (before.born, before.pages, before.tail) == (item.born, item.pages, item.tail)
        before = item
        try:
            return await read(objects, prefix, item, whole=whole)
        except ObjectMissing as missing:
            if same:
                raise JournalCorrupt(str(missing), "named by the guard, but not there") from missing
    raise JournalCorrupt(key, f"its pages were still being folded at read {_ATTEMPTS}")
