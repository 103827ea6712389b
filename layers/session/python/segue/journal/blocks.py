"""Blocks, the objects that hold records: segments, pages and volumes, whose names ``segue.journal.keys`` makes.

Each is one JSON object that names its incarnation, so that a truncated, swapped or foreign object is noticed. Its
records have their numbers from their order:

    {"schema": 1, "born": …, "first": 40, "commits": [[42, 5, "<commit id>"]], "records": [{…}, {…}]}

It is compressed (gzip): a message is written three times, and together that is little more than twice its size
(docs/rfcs/0005, 0007).

``commits`` gives each commit as (records after it, epoch, commit id): a segment has one, a page and a volume have
those they were made from, so that every commit stays a point in time that can be restored.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from segue.errors import JournalCorrupt
from segue.lease.item import GuardItem, TailEntry
from segue.storage.interface import GZIP

SCHEMA = 1
"""Version of the objects' form. Readers refuse a newer one with JournalCorrupt."""

PAGE_RECORDS = 256
PAGE_BYTES = 256 * 1024
PAGE_SEGMENTS = 48
"""Records, bytes and segments of a page. The first commit that reaches one of them fills the page, so that any two
writers make the same pages. Few segments keep the guard item small, since every write pays for all of it."""

VOLUME_PAGES = 16
"""Pages of a volume: volume n begins with page n times this. Part of the stored format, never to be changed."""

TAIL_LIMIT = 64
"""Segments in ``tail``, at most; a page is sealed before there are more."""

LEVEL = 6
"""Level of gzip. A page of tens of kilobytes takes half a millisecond, off the agent's event loop."""


Commit = tuple[int, int, str]
"""A commit as (records after it, epoch, commit id)."""


class Block(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A segment, a page or a volume in the stored form, with its records as JSON.

    ``sealed`` is on pages and volumes only: the id of the attempt that made it. No two attempts have the same bytes,
    so that the ETag tells the attempt (docs/rfcs/0002).
    """

    schema: int
    born: str
    first: int
    commits: tuple[Commit, ...]
    records: tuple[msgspec.Raw, ...]
    sealed: str = ""

    @property
    def end(self) -> int:
        """Number of the record after the last one here."""
        return self.first + len(self.records)


@dataclass(frozen=True, slots=True)
class Segment:
    """A committed segment that no page contains yet, as its writer or restorer keeps it in memory."""

    entry: TailEntry
    records: tuple[bytes, ...]

    @property
    def end(self) -> int:
        """Number of the record after the last one here."""
        return self.entry.first + len(self.records)

    @property
    def size(self) -> int:
        """Bytes of the records."""
        return sum(map(len, self.records))

    @property
    def commit(self) -> Commit:
        """The commit that wrote it."""
        return self.end, self.entry.epoch, self.entry.commit_id


_encode = msgspec.json.Encoder().encode
_decode_block = msgspec.json.Decoder(Block).decode


def encode_segment(item: GuardItem, segment: Segment) -> bytes:
    """Return the object of a segment."""
    return pack(_block(item, segment.entry.first, [segment.commit], segment.records))


def encode_page(item: GuardItem, segments: Sequence[Segment], sealed: str = "") -> bytes:
    """Return the object of a page.

    Args:
        item: The guard item of the session.
        segments: The segments to fold.
        sealed: Id of the commit that folds it; "" where no other process can write the same page (a fork).
    """
    records = [record for segment in segments for record in segment.records]
    return pack(_block(item, segments[0].entry.first, [segment.commit for segment in segments], records, sealed))


def encode_blank(item: GuardItem, sealed: str) -> bytes:
    """Return a page without records, to replace one that no commit names: its version is new."""
    return pack(_block(item, 0, [], [], sealed))


def pack(block: Block) -> bytes:
    """Return a segment, page or volume as the object that it is stored as."""
    return gzip.compress(_encode(block), LEVEL, mtime=0)


def unpack(body: bytes) -> bytes:
    """Return the JSON of a segment, page or volume. Older versions wrote it as it is.

    Raises:
        ValueError: It is cut off or damaged.
    """
    if not body.startswith(GZIP):
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be decompressed: {error}") from error


def _block(item: GuardItem, first: int, commits: Iterable[Commit], records: Iterable[bytes], sealed: str = "") -> Block:
    return Block(
        schema=SCHEMA,
        born=item.born,
        first=first,
        commits=tuple(commits),
        records=tuple(map(msgspec.Raw, records)),
        sealed=sealed,
    )


def decode_block(key: str, body: bytes, item: GuardItem, first: int | None = None) -> Block:
    """Read a segment, page or volume, and check that it is the one that belongs there.

    Args:
        key: Its object key, for the error.
        body: The object.
        item: The guard item of the session it must belong to.
        first: The record that it must begin with, if known.

    Raises:
        JournalCorrupt: It is truncated, of another session or incarnation, out of place, or of a newer schema.
    """
    try:
        block = _decode_block(unpack(body))
    except ValueError as error:  # msgspec's and UnicodeDecodeError are, too
        raise JournalCorrupt(key, f"not a readable segment, page or volume ({error})") from error
    if block.schema > SCHEMA:
        raise JournalCorrupt(key, f"written by a newer Segue (schema {block.schema}, this one reads {SCHEMA}): upgrade")
    if block.born != item.born:
        raise JournalCorrupt(key, f"belongs to a session born {block.born!r}")
    if first is not None:
        check_first(key, block, first)
    ends = [end for end, _, _ in block.commits]
    if not ends or ends != sorted(ends) or ends[-1] != block.end:
        raise JournalCorrupt(key, f"its commits end at {ends}, its records at {block.end}")
    return block


def check_first(key: str, block: Block, first: int) -> None:
    """Check that a block begins where the one before it ends.

    Raises:
        JournalCorrupt: It does not.
    """
    if block.first != first:
        raise JournalCorrupt(key, f"begins with record {block.first}, expected {first}")


def segments_of(block: Block) -> list[Segment]:
    """Take a block apart into the segments that its commits wrote."""
    segments, start = [], block.first
    for end, epoch, commit_id in block.commits:
        records = tuple(bytes(raw) for raw in block.records[start - block.first : end - block.first])
        segments.append(Segment(TailEntry(start, epoch, commit_id), records))
        start = end
    return segments


def run(number: int) -> range:
    """The pages that a volume holds."""
    return range(number * VOLUME_PAGES, (number + 1) * VOLUME_PAGES)


def bind(pages: Sequence[Block], sealed: str) -> Block:
    """Return the volume that a run of pages makes.

    Args:
        pages: All of them, in order.
        sealed: Id of the attempt.
    """
    return msgspec.structs.replace(
        pages[0],
        commits=tuple(commit for page in pages for commit in page.commits),
        records=tuple(raw for page in pages for raw in page.records),
        sealed=sealed,
    )


def full_page(segments: Sequence[Segment]) -> int:
    """Return how many of the oldest segments make a full page, 0 if none is full yet."""
    records = size = 0
    for count, segment in enumerate(segments, start=1):
        records += len(segment.records)
        size += segment.size
        if records >= PAGE_RECORDS or size >= PAGE_BYTES or count >= PAGE_SEGMENTS:
            return count
    return 0
