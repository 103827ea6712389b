"""Points in time: every commit is one, and a session can be read as it was then, without the lease.

    commit     [r0 r1]───[r2 r3 r4]───[r5]
    point            2            5     6        named by the records before it

A point is named by its number of records, which never changes. Its commit id can: a redaction writes segments
anew. After a redaction earlier points show the redacted form, also while ``scrub`` is set.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from segue.clock import Clock
from segue.errors import JournalCorrupt
from segue.history.agent_history import History
from segue.history.fold import fold
from segue.journal.reader import StoredJournal, read_unheld
from segue.journal.records import Record, skips
from segue.journal.redaction import record_without, replacement_of
from segue.storage.stores import Stores


@dataclass(frozen=True, slots=True)
class Point:
    """A commit, as a point in time.

    Attributes:
        records: Records of the session up to and with this commit.
        epoch: Fencing token of the holder that wrote it.
        commit_id: Its id.
        at: When its last record was queued, in milliseconds since 1970.
    """

    records: int
    epoch: int
    commit_id: str
    at: int


async def read_journal(stores: Stores, session_key: str, clock: Clock) -> StoredJournal:
    """Read a session without the lease. Records that cannot be decoded are named in ``StoredJournal.damaged``.

    Raises:
        SessionNotFound: There is no such session.
        JournalCorrupt: An object is missing or damaged.
        StorageUnavailable: Storage does not answer.
    """
    return await read_unheld(stores.guard, stores.objects, stores.prefix, session_key, clock, whole=False)


async def points(stores: Stores, session_key: str, clock: Clock) -> list[Point]:
    """List a session's points in time, oldest first, without the lease.

    Raises:
        SessionNotFound: There is no such session.
        JournalCorrupt: It cannot be read.
        StorageUnavailable: Storage does not answer.
    """
    return points_of(await read_journal(stores, session_key, clock))


def points_of(journal: StoredJournal) -> list[Point]:
    """List the points in time of a journal that was read."""
    found, at = [], 0
    for end, epoch, commit_id in journal.commits:
        at = journal.records[end - 1].at or at  # one that cannot be read does not say when it was queued
        found.append(Point(end, epoch, commit_id, at))
    return found


async def read_at(stores: Stores, session_key: str, clock: Clock, records: int | None = None) -> History:
    """Read a session as it was at a point, without the lease.

    Args:
        stores: Where it is kept.
        session_key: Which one.
        clock: Where time comes from.
        records: ``Point.records``; default: the latest.

    Raises:
        ValueError: There is no such point.
        SessionNotFound: There is no such session.
        JournalCorrupt: It cannot be read.
        StorageUnavailable: Storage does not answer.
    """
    journal = await read_unheld(stores.guard, stores.objects, stores.prefix, session_key, clock)
    if records is not None:
        point_at(points_of(journal), records)
    return history_at(journal, records)


def history_at(
    journal: StoredJournal, records: int | None = None, damaged: list[JournalCorrupt] | None = None
) -> History:
    """Add up a journal's first records; what was redacted since shows its redacted form.

    Args:
        journal: A session that was read.
        records: How many of its records; default: all.
        damaged: Takes what is wrong with records that are passed over, those that could not be decoded among them;
            default: raise.

    Raises:
        JournalCorrupt: A record is wrong, and no later one says to skip it.
    """
    found: list[JournalCorrupt] | None = None if damaged is None else []
    try:
        history = fold(as_redacted(journal.records, found), records, found)
    except JournalCorrupt as error:
        raise journal.located(error) from error
    if damaged is not None and found is not None:
        wrong = {error.record: journal.located(error) for error in (*found, *journal.damaged)}
        damaged += [wrong[number] for number in sorted(number for number in wrong if number is not None)]
    return history


def as_redacted(records: Sequence[Record], damaged: list[JournalCorrupt] | None = None) -> list[Record]:
    """Return the records as they are once every redaction among them is finished.

    Args:
        records: All records of a session.
        damaged: Takes what is wrong with redactions that say not what of; default: raise.

    Raises:
        JournalCorrupt: A redaction says not what of, and no later record says to skip it.
    """
    shown = list(records)
    skipped = skips(records)
    replacements: dict[str, Any] = {}
    for number in range(len(shown) - 1, -1, -1):
        record = shown[number]
        shown[number] = record_without(record, replacements) if replacements else record
        if record.kind == "redact" and number not in skipped:
            try:
                replacements = {**replacement_of(record), **replacements}  # a message's latest redaction stands
            except (AttributeError, KeyError, TypeError) as error:
                wrong = JournalCorrupt("journal", f"not a 'redact' record ({error!r})", number)
                if damaged is None:
                    raise wrong from error
                damaged.append(wrong)
    return shown


def point_at(points: Sequence[Point], records: int) -> Point:
    """Return the point with exactly so many records.

    Raises:
        ValueError: No commit ends there.
    """
    for point in points:
        if point.records == records:
            return point
    before = max((point.records for point in points if point.records < records), default=None)
    after = min((point.records for point in points if point.records > records), default=None)
    near = " and ".join(str(each) for each in (before, after) if each is not None) or "none"
    raise ValueError(f"no commit ends at record {records}; the nearest points are: {near}")


def find(points: Sequence[Point], text: str) -> Point:
    """Return the point that a person named.

    Args:
        points: A session's points.
        text: A number of records, a commit id or its beginning, or an ISO 8601 time (UTC unless it says
            otherwise), which means the last point not later than that.

    Raises:
        ValueError: It names no point, or several.
    """
    if text.isdecimal():
        return point_at(points, int(text))
    named = [point for point in points if text and point.commit_id.startswith(text)]
    if len(named) == 1:
        return named[0]
    if named:
        raise ValueError(f"{text!r} begins the ids of {len(named)} commits: give more characters of the id")
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of records, commit id or ISO 8601 time of this session") from None
    limit = when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1000
    earlier = [point for point in points if point.at <= limit]
    if not earlier:
        raise ValueError(f"the session has no point as early as {text}")
    return earlier[-1]


def rewind_record(records: int) -> Record:
    """Return the record that rewinds the session to its first ``records`` records."""
    return Record(kind="rewind", data={"to": records}, at=int(time.time() * 1000))
