"""Checks of a session's objects, one by one and together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from segue.errors import JournalCorrupt
from segue.history.damage import too_deep
from segue.history.fold import fold
from segue.history.points import as_redacted
from segue.journal.blocks import Block, decode_block, run
from segue.journal.records import Record, decode_records, encode_record, skips
from segue.lease.item import GuardItem, TailEntry
from segue.storage.interface import StoredObject

Severity = Literal["damage", "warning", "note"]
"""``damage``: records are lost or wrong, page the owner. ``warning``: needs attention. ``note``: harmless."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        severity: How bad it is.
        code: What kind of thing, for programs: ``guard``, ``missing``, ``damaged``, ``refused``, ``displaced``,
            ``record``, ``skipped``, ``commit``, ``lost``, ``repeated``, ``head``, ``history``, ``redaction``,
            ``volume``, ``scrub``, ``tail``, ``moving``, ``orphan``, ``foreign``, ``ended``.
        key: The object, or the session for its guard item.
        problem: What is wrong, for people.
    """

    severity: Severity
    code: str
    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class CheckedBlock:
    """A page, a segment or a volume that was looked at.

    Attributes:
        key: Its object key.
        entry: What the guard says of it if it is a segment, None for a page or a volume.
        block: Its content, None if it cannot be read.
        size: Its bytes, None if it is not there.
        records: Its records, by number; in place of those that cannot be decoded, what says so.
        damaged: What is wrong with those.
        findings: What is wrong with it by itself.
    """

    key: str
    entry: TailEntry | None
    block: Block | None = None
    size: int | None = None
    records: dict[int, Record] = field(default_factory=dict)
    damaged: tuple[JournalCorrupt, ...] = ()
    findings: tuple[Finding, ...] = ()


def problem_of(error: JournalCorrupt) -> str:
    """Return the fault of an error, without place and remedy: a report gives both once."""
    return error.problem if error.record is None else f"record {error.record}: {error.problem}"


def inspect_block(key: str, found: StoredObject | Finding, item: GuardItem, entry: TailEntry | None) -> CheckedBlock:
    """Check one object by itself.

    Args:
        key: Its key.
        found: The object, or why there is none.
        item: The guard item that names it.
        entry: What that says of it, None for a page or a volume.
    """
    if isinstance(found, Finding):
        return CheckedBlock(key, entry, findings=(found,))
    try:
        block = decode_block(key, found.body, item)
    except JournalCorrupt as error:
        finding = Finding("damage", "damaged", key, problem_of(error))
        return CheckedBlock(key, entry, size=len(found.body), findings=(finding,))
    records, damaged = decode_records(block.records, block.first, key)
    findings = tuple(_commits_of(key, block, item, entry))
    numbered = dict(enumerate(records, start=block.first))
    return CheckedBlock(key, entry, block, len(found.body), numbered, tuple(damaged), findings)


def _commits_of(key: str, block: Block, item: GuardItem, entry: TailEntry | None) -> Iterator[Finding]:
    late = sorted({epoch for _, epoch, _ in block.commits if epoch > item.epoch})
    if late:
        yield Finding("damage", "commit", key, f"has commits of epochs {late}, the guard is at {item.epoch}")
    ends = [end for end, _, _ in block.commits]
    if len(set(ends)) != len(ends) or ends[0] <= block.first:
        yield Finding("damage", "commit", key, f"has a commit without records: they end at {ends}")
    if entry is None:
        return
    if block.first != entry.first:
        yield Finding("damage", "displaced", key, f"begins with record {block.first}, the guard says {entry.first}")
    if [(epoch, commit_id) for _, epoch, commit_id in block.commits] != [(entry.epoch, entry.commit_id)]:
        yield Finding("damage", "commit", key, f"holds commits {list(block.commits)}, the guard says {entry}")


def inspect_journal(
    item: GuardItem, blocks: Sequence[CheckedBlock], volumes: Sequence[CheckedBlock] = ()
) -> list[Finding]:
    """Check what the objects are together: places, gaps, commits, head, records, history, redactions.

    Args:
        item: The guard item.
        blocks: All its pages, then its segments.
        volumes: Its volumes.
    """
    findings = [*_displaced_pages(blocks), *_gaps(item, blocks), *_repeated_commits(item, blocks)]
    records = {number: record for block in blocks for number, record in block.records.items()}
    whole = len(records) == item.head and sorted(records) == list(range(item.head))
    ordered = [records[number] for number in sorted(records)]
    skipped = skips(ordered) if whole else set[int]()
    for block in (*blocks, *volumes):
        findings += [_damage_of(block.key, error) for error in block.damaged if error.record not in skipped]
    if whole:
        findings += _wrong_records(blocks, ordered, skipped)
        findings += _wrong_scrub(item, ordered)
    if item.scrub is None:
        findings += _unredacted(blocks, ordered)
    return findings


def _damage_of(key: str, error: JournalCorrupt, code: str = "record") -> Finding:
    return Finding("damage", code, key, problem_of(error))


def _wrong_records(
    blocks: Sequence[CheckedBlock], ordered: Sequence[Record], skipped: AbstractSet[int]
) -> Iterator[Finding]:
    """Say which records are skipped, contradict others, have not the shape of their kind, or are nested too deeply."""
    keys = {number: block.key for block in blocks for number in block.records}
    for number in sorted(skipped):
        yield Finding("note", "skipped", keys[number], f"record {number} is damaged; readers skip it")
    contradicting: list[JournalCorrupt] = []
    fold(as_redacted(ordered, contradicting), damaged=contradicting)
    for error in {error.record: error for error in contradicting}.values():
        yield _damage_of(keys[error.record or 0], error, "history")
    for error in too_deep(ordered):
        if error.record not in skipped:
            yield _damage_of(keys[error.record or 0], error)


def inspect_volumes(
    item: GuardItem, blocks: Sequence[CheckedBlock], volumes: Sequence[CheckedBlock]
) -> Iterator[Finding]:
    """Check that volumes hold what their pages hold. An unfinished redaction makes them differ for a while.

    Args:
        item: The guard item.
        blocks: All its pages, then its segments.
        volumes: Its volumes.
    """
    bound = [number for number, bound in enumerate(item.volumes) if bound == "1"]
    for number, volume in zip(bound, volumes, strict=True):
        pages = [page.block for page in blocks[run(number).start : run(number).stop] if page.block is not None]
        if volume.block is None or item.scrub is not None or len(pages) < len(run(number)):
            continue
        commits = tuple(commit for page in pages for commit in page.commits)
        records = [bytes(raw) for page in pages for raw in page.records]
        if (volume.block.commits, [bytes(raw) for raw in volume.block.records]) != (commits, records):
            yield Finding("damage", "volume", volume.key, "does not hold what its pages hold")


def _displaced_pages(blocks: Sequence[CheckedBlock]) -> Iterator[Finding]:
    pages = [(one.block.first, one.key) for one in blocks if one.entry is None and one.block is not None]
    for (first, key), (_, belongs) in zip(pages, sorted(pages, key=lambda page: page[0]), strict=True):
        if key != belongs:
            yield Finding("damage", "displaced", key, f"begins with record {first}, and is not in its place")


def _gaps(item: GuardItem, blocks: Sequence[CheckedBlock]) -> Iterator[Finding]:
    readable = sorted((one.block.first, one.block.end, one.key) for one in blocks if one.block is not None)
    reached = 0
    for first, end, key in readable:
        if first > reached:
            yield _lost_records(item, reached, first)
        elif first < reached:
            yield Finding("damage", "repeated", key, f"holds records from {first}, as another object does")
        reached = max(reached, end)
    if reached < item.head:
        yield _lost_records(item, reached, item.head)
    if reached > item.head:
        problem = f"its objects hold {reached} records, the guard says {item.head}"
        yield Finding("damage", "head", item.session_key, problem)


def _lost_records(item: GuardItem, first: int, end: int) -> Finding:
    which = f"record {first} is" if end == first + 1 else f"records {first} to {end - 1} are"
    return Finding("damage", "lost", item.session_key, f"{which} in no object that can be read")


def _repeated_commits(item: GuardItem, blocks: Sequence[CheckedBlock]) -> Iterator[Finding]:
    counts = Counter(commit_id for one in blocks if one.block for _, _, commit_id in one.block.commits)
    repeated = sum(count > 1 for count in counts.values())
    if repeated:
        yield Finding("damage", "commit", item.session_key, f"{repeated} of its commits are there more than once")


def _unredacted(blocks: Sequence[CheckedBlock], ordered: Sequence[Record]) -> Iterator[Finding]:
    wrong: list[JournalCorrupt] = []  # told of with the history
    numbers = sorted({number for one in blocks for number in one.records})
    shown = dict(zip(numbers, as_redacted(ordered, wrong), strict=True))
    for one in blocks:
        held = [number for number, record in one.records.items() if not _is_same_record(record, shown[number])]
        if held:
            yield Finding("damage", "redaction", one.key, f"records {held} still hold content that was redacted")


def _is_same_record(record: Record, shown: Record) -> bool:
    return record is shown or encode_record(record, stored=True) == encode_record(shown, stored=True)


def _wrong_scrub(item: GuardItem, records: Sequence[Record]) -> Iterator[Finding]:
    named = [] if item.scrub is None else item.scrub.split()
    redactions = {str(number) for number, record in enumerate(records) if record.kind == "redact"}
    if not redactions.issuperset(named):
        yield Finding("damage", "guard", item.session_key, f"its scrub {item.scrub!r} does not name redactions")
