"""Checking a session object by object, without the lease, while a holder may be writing it.

    guard item ─── readable? sane? ───┐
    listing ───────────────────────── objects that nothing names?
    named objects ─ there? decode? belong? in place? records? commits? ─── head

Every object is checked, also after a fault. An object that is missing, or a volume that differs from its pages,
counts only if the guard item is the same afterwards: a writer may have folded or redacted it meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from segue.admin.checks import CheckedBlock, Finding, inspect_block, inspect_journal, inspect_volumes, problem_of
from segue.admin.orphans import find_orphans, pages_there
from segue.admin.progress import Progress, no_progress
from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound, StorageRefused
from segue.ids import shown
from segue.journal.blocks import TAIL_LIMIT, Block, run, unpack
from segue.journal.keys import ObjectKeys
from segue.lease.item import GuardItem, TailEntry
from segue.lease.item_reader import require_prefix
from segue.storage.interface import ObjectMissing, StoredObject
from segue.storage.stores import Stores

State = Literal["held", "free", "deleted", "expired", "absent", "unreadable"]
"""State of a session by its guard item: held or free, ended, absent, or not readable."""

_AT_ONCE = 16
"""Objects that are read at once; a page may be megabytes."""

_ATTEMPTS = 20
"""Times that a session is looked at anew because it was folded under the check."""

_PASSING = frozenset({"missing", "volume"})
"""Findings that a writer can bring about under the check."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    Attributes:
        session_key: The session.
        state: Its state by the guard item.
        item: Its guard item, None if there is none or it cannot be read.
        objects: Objects that were checked.
        size: Their bytes.
        records: Records that could be read.
        findings: Everything that is not as it should be, in the order of the checks.
    """

    session_key: str
    state: State
    item: GuardItem | None = None
    objects: int = 0
    size: int = 0
    records: int = 0
    findings: tuple[Finding, ...] = field(default=())

    @property
    def damage(self) -> tuple[Finding, ...]:
        """The faults that make the session unreadable, or wrong, in part or as a whole."""
        return tuple(one for one in self.findings if one.severity == "damage")

    @property
    def orphans(self) -> tuple[Finding, ...]:
        """Objects of the session that nothing names: left by a crash, harmless, deleted by a later holder."""
        return tuple(one for one in self.findings if one.code == "orphan")

    @property
    def foreign(self) -> tuple[Finding, ...]:
        """Objects under the session's prefix that Segue did not put there."""
        return tuple(one for one in self.findings if one.code == "foreign")

    @property
    def ok(self) -> bool:
        """Tell whether no finding needs attention. Notes need none."""
        return all(one.severity == "note" for one in self.findings)


async def verify(stores: Stores, session_key: str, clock: Clock, progress: Progress = no_progress) -> Report:
    """Check a session. Reads all of it and changes nothing.

    Args:
        stores: Where it is kept.
        session_key: Which one: see ``segue.ids.session_key``.
        clock: Where time comes from.
        progress: Told of every object checked.

    Raises:
        SessionNotFound: There is neither a guard item nor any object.
        StorageUnavailable: Storage does not answer.
        StorageRefused: Storage says no to more than a single object, or its objects are under another prefix.
    """
    report = Report(session_key, "absent")
    for _ in range(_ATTEMPTS):
        report = await _inspect(stores, session_key, clock, progress)
        if not any(one.code in _PASSING for one in report.findings):
            return report
        again, _, _ = await _inspect_item(stores, session_key, clock)
        if again is not None and report.item is not None and _layout(again) == _layout(report.item):
            return report
    moving = Finding("warning", "moving", session_key, f"still being folded after {_ATTEMPTS} looks; verify again")
    return replace(report, findings=(moving, *(one for one in report.findings if one.code not in _PASSING)))


def _layout(item: GuardItem) -> object:
    return item.born, item.pages, item.volumes, item.tail, item.deleted


async def _inspect(stores: Stores, session_key: str, clock: Clock, progress: Progress) -> Report:
    root = f"{stores.prefix}sessions/{session_key}/"
    listed = await stores.objects.list(root)  # before the item: what is committed later is not called an orphan
    item, problems, at = await _inspect_item(stores, session_key, clock)
    if item is None and problems:
        return Report(session_key, "unreadable", findings=problems)
    if item is None and not listed:
        raise SessionNotFound(session_key, shown(session_key))
    over = item is not None and item.ended(at) and not problems
    orphan_findings = find_orphans(listed, root, stores.prefix, session_key, item, at, over=over)
    orphans = [one for one in orphan_findings if one.code == "orphan"]
    if orphans:
        still = set(await stores.objects.list(root))  # a holder may just be deleting what it has folded
        gone = [one for one in orphans if one.key not in still or await _is_blank(stores, one.key)]
        orphan_findings = [one for one in orphan_findings if one not in gone]
    if item is None:
        return Report(session_key, "absent", findings=tuple(orphan_findings))
    if over:
        return Report(session_key, "deleted" if item.deleted else "expired", item, findings=tuple(orphan_findings))
    report = await _inspect_objects(
        stores, item, session_key, pages_there(listed, root, item.born), orphan_findings, progress
    )
    return replace(report, findings=(*problems, *report.findings))


async def _inspect_objects(
    stores: Stores, item: GuardItem, session_key: str, there: int, orphan_findings: list[Finding], progress: Progress
) -> Report:
    findings = _unfinished(item, session_key)
    pages = min(item.pages, item.head, there + _AT_ONCE)  # each has a record; of many that are missing, some will do
    looked_at = await _blocks(stores, item, pages, progress)
    if pages < min(item.pages, item.head):
        problem = f"pages {pages} to {item.pages - 1} are named by the guard, but not there"
        findings.append(Finding("damage", "missing", session_key, problem))
    count = len(looked_at) - item.volumes.count("1")
    blocks, volumes = looked_at[:count], looked_at[count:]
    findings += [finding for block in looked_at for finding in block.findings]
    findings += [*inspect_journal(item, blocks, volumes), *inspect_volumes(item, blocks, volumes)]
    return Report(
        session_key,
        "held" if item.held else "free",
        item,
        objects=sum(block.size is not None for block in looked_at),
        size=sum(block.size or 0 for block in looked_at),
        records=sum(len(block.records) - len(block.damaged) for block in blocks),
        findings=(*findings, *orphan_findings),
    )


async def _inspect_item(
    stores: Stores, session_key: str, clock: Clock
) -> tuple[GuardItem | None, tuple[Finding, ...], float]:
    """Return the item, None if there is none or it cannot be read; what is wrong with it; when it was read.

    Raises:
        StorageRefused: Its objects are under another prefix.
    """
    at = clock.wall()
    try:
        attributes = await stores.guard.read(session_key)
        item, problems = (None, []) if attributes is None else GuardItem.examine(attributes)
    except JournalCorrupt as error:
        item, problems = None, [problem_of(error)]
    told = stores.guard.wall()
    if item is not None:
        require_prefix(item, stores.prefix)
        if item.session_key != session_key:
            problems.append(f"it is the item of {item.session_key!r}")
        if run(len(item.volumes)).start > item.pages >= len(item.volumes):
            problems.append(f"its volumes are {item.volumes!r}, of {item.pages} pages")
    findings = tuple(Finding("damage", "guard", session_key, problem) for problem in problems)
    return item, findings, at if told is None else told


def _unfinished(item: GuardItem, session_key: str) -> list[Finding]:
    found = []
    if len(item.tail) > TAIL_LIMIT:
        found.append(Finding("warning", "tail", session_key, f"its tail has {len(item.tail)} segments"))
    if item.scrub is not None:
        unfinished = f"the redaction of record {item.scrub} is not swept: old content is still in storage"
        found.append(Finding("warning", "scrub", session_key, f"{unfinished}; the next holder finishes it"))
    return found


async def _blocks(stores: Stores, item: GuardItem, pages: int, progress: Progress) -> list[CheckedBlock]:
    keys = ObjectKeys(stores.prefix, item.session_key, item.born)
    named: list[tuple[str, TailEntry | None]] = [(keys.page(number), None) for number in range(pages)]
    named += [(keys.segment(entry), entry) for entry in item.tail]
    named += [(keys.volume(number), None) for number, bound in enumerate(item.volumes) if bound == "1"]
    blocks: list[CheckedBlock] = []
    for start in range(0, len(named), _AT_ONCE):
        batch = named[start : start + _AT_ONCE]
        stored = await asyncio.gather(*(_fetch(stores, key) for key, _ in batch))
        for (key, entry), found in zip(batch, stored, strict=True):
            blocks.append(inspect_block(key, found, item, entry))
            progress(len(blocks), len(named))
    return blocks


async def _is_blank(stores: Stores, key: str) -> bool:
    """Tell whether an object is the blank that a redaction leaves at the key of the next page or volume: no fault."""
    try:
        block = msgspec.json.decode(unpack((await stores.objects.get(key)).body), type=Block)
    except (ObjectMissing, StorageRefused, ValueError):
        return False
    return bool(block.sealed) and not block.records


async def _fetch(stores: Stores, key: str) -> StoredObject | Finding:
    try:
        return await stores.objects.get(key)
    except ObjectMissing:
        return Finding("damage", "missing", key, "named by the guard, but not there")
    except StorageRefused as error:
        return Finding("damage", "refused", key, str(error))
