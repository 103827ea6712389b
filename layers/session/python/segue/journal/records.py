"""Records, and the objects that hold them: segments, pages and volumes, whose names ``segue.journal.keys`` makes.

Each is one JSON object that names its incarnation, so that a truncated, swapped or foreign object is noticed. Its
records have their numbers from their order:

    {"schema": 1, "born": …, "first": 40, "commits": [[42, 5, "<commit id>"]], "records": [{…}, {…}]}

A record's values are as ``segue.journal.values`` says. One whose values need escapes begins with ``{"escaped":1,``.

It is compressed (gzip): a message is written three times, and together that is little more than twice its size
(docs/rfcs/0005, 0007). Defaults are left out: a record without kind and agent is a message of the agent "default".

``commits`` gives each commit as (records after it, epoch, commit id): a segment has one, a page and a volume have
those they were made from, so that every commit stays a point in time that can be restored.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from segue.errors import JournalCorrupt
from segue.journal.encoder import to_json
from segue.journal.values import ANY_NESTING, BYTES, NESTING, Form, form_of, from_json, with_markers
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

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""Bytes of a record, at most; a larger one raises RecordTooLarge. Messages are kilobytes, images megabytes."""


class Record(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One change to a session.

    Attributes:
        kind: Kind of the change: ``message``, ``update``, ``redact``, ``state``, … (see ``segue.history.fold``).
        agent: The agent of the session that it concerns.
        at: Time at which it was queued, in milliseconds since 1970, for people.
        data: The change itself; its shape depends on the kind.
        inputs: Client input frames whose effect this record is, as (client id, sequence numbers).
        escaped: In storage only: the version of the escapes in ``data``, 0 if it needs none. It stands first there.
    """

    escaped: int = 0
    kind: str = "message"
    data: Any = None
    agent: str = "default"
    at: int = 0
    inputs: tuple[str, tuple[int, ...]] | None = None


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


LEVEL = 6
"""Level of gzip. A page of tens of kilobytes takes half a millisecond, off the agent's event loop."""

SKIP = "skip"
"""Kind of a record that makes readers skip an earlier one, which is damaged."""

UNREADABLE = "unreadable"
"""Kind of the record in place of one that cannot be decoded, in memory and in a fork of the session."""

_FOR_PROVIDERS = frozenset({"message", "update", "redact", "prompt"})
"""Kinds whose text goes to providers, which take whole characters only: half a surrogate pair is replaced."""

_WITHOUT_BYTES = frozenset({"state"})
"""Kinds that never held bytes, since Strands takes none there. Data that looks like encoded bytes is the user's."""

_encode = msgspec.json.Encoder().encode
_decode_block = msgspec.json.Decoder(Block).decode
_decode_record = msgspec.json.Decoder(Record).decode
_decode_records = msgspec.json.Decoder(list[Record]).decode

_ESCAPED = b'{"escaped":'
_BYTES = BYTES.encode()


def encode_record(record: Record, *, stored: bool = False, unescaped: bool = False) -> bytes:
    """Return a record as JSON.

    Args:
        record: The record.
        stored: It was stored before, and may be of any depth.
        unescaped: It was stored without escapes, and stays so if this release reads it equal: the item's schema may
            admit releases without escapes.

    Raises:
        ValueRefused: Something in it has no JSON form.
        RecordTooLarge: It has more parts than the largest record.
    """
    nesting = ANY_NESTING if stored else NESTING
    form = form_of(record.data, nesting)
    binary = form is Form.BINARY
    if not (form is Form.ODD or (binary and record.kind in _WITHOUT_BYTES)):
        try:
            return _encode(msgspec.structs.replace(record, data=with_markers(record.data)) if binary else record)
        except UnicodeEncodeError:
            pass
    data, escaped = to_json(
        record.data,
        record.kind,
        nesting=nesting,
        unescaped=unescaped,
        escaping_bytes=record.kind in _WITHOUT_BYTES,
        replacing_halves=record.kind in _FOR_PROVIDERS,
    )
    return _encode(msgspec.structs.replace(record, data=data, escaped=escaped))


def is_escaped(body: bytes | msgspec.Raw) -> bool:
    """Tell whether a record's JSON has escapes, which earlier releases would read as the user's own dictionaries."""
    return bytes(body).startswith(_ESCAPED)


_DROPPING = b'{"kind":"window","data":{"drop":'


def is_misread(body: bytes | msgspec.Raw) -> bool:
    """Tell whether a release without escapes, or without windows that ``drop``, would misread a record."""
    return is_escaped(body) or bytes(body).startswith(_DROPPING)


def decode_record(body: bytes | msgspec.Raw, key: str = "record", number: int | None = None) -> Record:
    """Read a record.

    Args:
        body: Its JSON.
        key: Its object's key, for the error.
        number: Its number, for the error.

    Raises:
        JournalCorrupt: It is not one.
    """
    try:
        return _with_values(_decode_record(body), body)
    except (ValueError, RecursionError) as error:  # msgspec's and UnicodeDecodeError are ValueErrors
        raise JournalCorrupt(key, f"cannot be read ({error})", number) from error


def decode_records(block: Block, key: str) -> tuple[list[Record], list[JournalCorrupt]]:
    """Read all records of a segment, page or volume, in one go.

    Returns:
        The records, with an ``UNREADABLE`` one for each that cannot be decoded; and the faults of those.
    """
    body = b"[" + b",".join(block.records) + b"]"
    try:
        records = _decode_records(body)
        if _BYTES in body or _ESCAPED in body:  # most sessions have neither, and need no second pass
            records = [_with_values(record, raw) for record, raw in zip(records, block.records, strict=True)]
    except (ValueError, RecursionError):
        return _readable(block, key)
    return records, []


def _readable(block: Block, key: str) -> tuple[list[Record], list[JournalCorrupt]]:
    records: list[Record] = []
    damaged: list[JournalCorrupt] = []
    for number, raw in enumerate(block.records, start=block.first):
        try:
            records.append(decode_record(raw, key, number))
        except JournalCorrupt as error:
            records.append(unreadable(error))
            damaged.append(error)
    return records, damaged


def unreadable(error: JournalCorrupt) -> Record:
    """Return the record in place of one that cannot be decoded."""
    return Record(kind=UNREADABLE, agent="", data={"problem": error.problem})


def skips(records: Sequence[Record]) -> set[int]:
    """Return the numbers of the records that later "skip" records name."""
    found: set[int] = set()
    for number, record in enumerate(records):
        if record.kind == SKIP and isinstance(record.data, dict):
            skipped = record.data.get("record")
            if type(skipped) is int and 0 <= skipped < number:
                found.add(skipped)
    return found


def _with_values(record: Record, raw: bytes | msgspec.Raw) -> Record:
    if not record.escaped and (record.kind in _WITHOUT_BYTES or _BYTES not in bytes(raw)):
        return record
    return msgspec.structs.replace(record, data=from_json(record.data, record.escaped), escaped=0)


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
