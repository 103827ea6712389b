r"""New sessions that begin with records: forks, and what comes from elsewhere.

    read the source, without the lease
    put the target's objects under a new ``born`` ──▶ one conditional write: the target's guard item

The item is written last, and only if no session of that id exists or it has ended: no reader sees half a fork. A fork
that is broken off leaves objects of an incarnation that no item names, which garbage collection deletes. It keeps
young ones (``COPY_SECONDS``), and a fork that takes longer is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from segue.admin.progress import Progress, no_progress
from segue.backoff import backoff
from segue.clock import Clock
from segue.errors import JournalCorrupt, RecordTooLarge, SegueError, SessionExists, StorageUnavailable
from segue.history.points import as_redacted, find, history_at, points_of, read_journal
from segue.ids import checked_key, new_born, new_id, shown
from segue.journal.blocks import PAGE_BYTES, PAGE_RECORDS, Segment, encode_page, encode_segment, full_page
from segue.journal.garbage import COPY_SECONDS
from segue.journal.keys import ObjectKeys, check_length
from segue.journal.reader import StoredJournal
from segue.journal.records import MAX_RECORD_BYTES, Record, encode_record, is_misread, skips, unreadable
from segue.lease import transitions
from segue.lease.item import ESCAPES_SCHEMA, FIRST_SCHEMA, GuardItem, TailEntry
from segue.lease.item_check import expiry
from segue.lease.item_reader import ItemReading, read_item
from segue.storage.interface import ConditionFailed
from segue.storage.stores import Stores

RETENTION_SECONDS = 365 * 86_400
"""Seconds after its last use at which a fork expires, as with sessions that agents begin."""

logger = logging.getLogger(__name__)

_PUTS = 8
"""Objects that are written at once: a page may be megabytes."""

_ATTEMPTS = 6
_BACKOFF_SECONDS = (0.1, 3.0)
"""Attempts of an unanswered request, then StorageUnavailable; seconds of the first and the longest pause between."""

_T = TypeVar("_T")


async def fork(  # noqa: PLR0913 - all but four are optional
    stores: Stores,
    source: str,
    target: str,
    clock: Clock,
    *,
    at: int | str | None = None,
    retention_s: int = RETENTION_SECONDS,
    progress: Progress = no_progress,
    damaged: list[JournalCorrupt] | None = None,
    to: Stores | None = None,
) -> GuardItem:
    """Begin a new session as a copy of another one, at a point in time. The source may be in use meanwhile.

    The copy keeps the source's records, their numbers and its points; what was redacted at any time shows its
    redacted form. It does not keep which client input the records contain: to its clients it is new. A record that
    is damaged keeps its number, and stands for nothing.

    Args:
        stores: Where the source is kept.
        source: The key of the session to copy: see ``segue.ids.session_key``.
        target: The new one. Its principal may be another: that is the caller's decision.
        clock: Where time comes from.
        at: A point in time: a number of records, a commit id, or an ISO 8601 time (UTC); default: the latest.
        retention_s: Seconds after its last use at which the fork expires.
        progress: Told of every object written.
        damaged: Takes what is wrong with records that stand for nothing in the copy; default: it is logged.
        to: Where the copy is kept; default: where the source is.

    Returns:
        The new session's guard item, which has no holder.

    Raises:
        ValueError: There is no such point, or a key is not valid.
        SessionNotFound: The source is not there.
        SessionExists: The target is there already.
        JournalCorrupt: An object of the source is missing or damaged.
        StorageUnavailable: Storage does not answer. Whether the copy came about is unknown.
    """
    journal = await read_journal(stores, checked_key(source), clock)
    upto = journal.item.head
    if at is not None and at != upto:
        upto = find(points_of(journal), str(at)).records
    bodies = [encode_record(record, stored=True) for record in _usable(journal, upto, damaged)]
    segments, first = [], 0
    for end, epoch, commit_id in journal.commits:
        if end <= upto:
            segments.append(Segment(TailEntry(first, epoch, commit_id), tuple(bodies[first:end])))
        first = end
    return await create(to or stores, target, segments, clock, retention_s=retention_s, progress=progress)


def _usable(journal: StoredJournal, upto: int, damaged: list[JournalCorrupt] | None) -> list[Record]:
    """Return a session's first records as they are now, with nothing in the place of those that are damaged."""
    wrong: list[JournalCorrupt] = []
    history_at(journal, upto, wrong)
    if damaged is not None:
        damaged += wrong
    for error in wrong if damaged is None else ():
        facts = {"object": error.key, "record": error.record}
        logger.error("a damaged record stands for nothing in a copy", extra=facts)
    skipped = dict.fromkeys(skips(journal.records), unreadable(JournalCorrupt(journal.item.session_key, "was skipped")))
    instead = skipped | {error.record: unreadable(error) for error in wrong}
    return [instead.get(number, record) for number, record in enumerate(as_redacted(journal.records, [])[:upto])]


def commits_of(records: Sequence[Record]) -> list[Segment]:
    """Group records that come from elsewhere into commits, as a writer of epoch 1 would have made them.

    Raises:
        RecordTooLarge: One is over the limit.
    """
    segments: list[Segment] = []
    group: list[bytes] = []
    first = size = 0
    for record in records:
        body = encode_record(record)
        if len(body) > MAX_RECORD_BYTES:
            raise RecordTooLarge(len(body), MAX_RECORD_BYTES)
        if group and (len(group) >= PAGE_RECORDS or size + len(body) > PAGE_BYTES):
            segments.append(Segment(TailEntry(first, 1, new_id(64)), tuple(group)))
            first, size, group = first + len(group), 0, []
        group.append(body)
        size += len(body)
    if group:
        segments.append(Segment(TailEntry(first, 1, new_id(64)), tuple(group)))
    return segments


async def create(
    stores: Stores,
    key: str,
    segments: Sequence[Segment],
    clock: Clock,
    *,
    retention_s: int = RETENTION_SECONDS,
    progress: Progress = no_progress,
) -> GuardItem:
    """Begin a session that has records from its first moment.

    Args:
        stores: Where it is to be kept.
        key: Its key: see ``segue.ids.session_key``.
        segments: Its commits, in order, from record 0.
        clock: Where time comes from.
        retention_s: Seconds after its last use at which it expires.
        progress: Told of every object written.

    Raises:
        ValueError: The key is not valid.
        SessionExists: There is one already.
        StorageUnavailable: Storage does not answer. Whether the session came about is unknown.
    """
    check_length(stores.prefix, checked_key(key))
    seen = await _check_vacant(stores, key, clock)
    started = clock.now()
    plan = _planned(key, segments, seen.at, retention_s, stores.prefix)
    objects = _objects_of(plan, stores.prefix)
    try:
        await _put_all(stores, objects, clock, progress)
        if clock.now() - started > COPY_SECONDS:
            raise StorageUnavailable(f"{shown(key)}: not copied within {COPY_SECONDS:.0f} s, and given up")
    except SegueError:
        await _discard(stores, objects)
        raise
    try:
        return await _begin(stores, plan, seen, clock)
    except SessionExists:
        await _discard(stores, objects)
        raise


@dataclass(frozen=True, slots=True)
class _Plan:
    """A session that is to be: its item, but for the epoch, and the segments of its pages."""

    item: GuardItem
    pages: tuple[tuple[Segment, ...], ...]
    tail: tuple[Segment, ...]


def _planned(key: str, segments: Sequence[Segment], at: float, retention_s: int, prefix: str) -> _Plan:
    pages: list[tuple[Segment, ...]] = []
    tail = tuple(segments)
    while 0 < (count := full_page(tail)) < len(tail):  # as a writer does, which folds when the next commit comes
        pages.append(tail[:count])
        tail = tail[count:]
    item = GuardItem(
        session_key=key,
        born=new_born(at),
        schema=ESCAPES_SCHEMA if _any_misread(segments) else FIRST_SCHEMA,
        epoch=max((segment.entry.epoch for segment in segments), default=0),
        expires_at=expiry(at, retention_s),
        head=segments[-1].end if segments else 0,
        pages=len(pages),
        tail=tuple(segment.entry for segment in tail),
        commit_id=segments[-1].entry.commit_id if segments else None,
        prefix=prefix,
    )
    return _Plan(item, tuple(pages), tail)


def _any_misread(segments: Sequence[Segment]) -> bool:
    return any(is_misread(body) for segment in segments for body in segment.records)


def _objects_of(plan: _Plan, prefix: str) -> dict[str, Callable[[], bytes]]:
    """The objects of a session, each made only when it is written."""
    keys = ObjectKeys(prefix, plan.item.session_key, plan.item.born)

    def page(segments: tuple[Segment, ...]) -> Callable[[], bytes]:
        return lambda: encode_page(plan.item, segments)

    def tail(segment: Segment) -> Callable[[], bytes]:
        return lambda: encode_segment(plan.item, segment)

    objects = {keys.page(number): page(segments) for number, segments in enumerate(plan.pages)}
    return objects | {keys.segment(segment.entry): tail(segment) for segment in plan.tail}


async def _put_all(stores: Stores, objects: dict[str, Callable[[], bytes]], clock: Clock, progress: Progress) -> None:
    slots = asyncio.Semaphore(_PUTS)
    done = 0

    async def put(key: str, made: Callable[[], bytes]) -> None:
        nonlocal done
        async with slots:
            body = made()
            await answered(clock, lambda: stores.objects.put(key, body))
        done += 1
        progress(done, len(objects))

    # All are seen through, also when one fails: what is still on its way could not be discarded.
    results = await asyncio.gather(*(put(key, made) for key, made in objects.items()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _discard(stores: Stores, objects: dict[str, Callable[[], bytes]]) -> None:
    with contextlib.suppress(SegueError):  # garbage collection finds them
        await stores.objects.delete(list(objects))


async def _check_vacant(stores: Stores, key: str, clock: Clock) -> ItemReading:
    """Check that the key is free: there is no item, or that of an ended session."""
    seen = await read_item(stores.guard, key, clock, stores.prefix)
    if seen.current is not None:
        raise SessionExists(key, shown(key))
    return seen


async def _begin(stores: Stores, plan: _Plan, seen: ItemReading, clock: Clock) -> GuardItem:
    """Write the guard item, on the condition under which a new incarnation may begin."""
    for _ in range(_ATTEMPTS):
        write = transitions.begin_with_records(plan.item, seen.item, seen.at)
        try:
            return GuardItem.parse(await answered(clock, lambda: stores.guard.write(write)))  # noqa: B023 - awaited here
        except ConditionFailed as lost:
            found = None if lost.item is None else GuardItem.parse(lost.item)
            if found is not None and found.born == plan.item.born:
                return found  # an answer was lost, the write was not
        seen = await _check_vacant(stores, plan.item.session_key, clock)
    raise StorageUnavailable(f"{shown(plan.item.session_key)}: the source's guard item changes faster than it is read")


async def answered(clock: Clock, request: Callable[[], Awaitable[_T]]) -> _T:
    """Send the identical request until storage answers it, but not forever."""
    pauses = backoff(*_BACKOFF_SECONDS)
    for _ in range(_ATTEMPTS - 1):
        try:
            return await request()
        except StorageUnavailable:
            await clock.sleep(next(pauses))
    return await request()
