"""Objects under a session's prefix that its guard item does not name, and what they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from segue.admin.checks import Finding
from segue.journal.garbage import COPY_SECONDS
from segue.journal.keys import ObjectKeys
from segue.lease.item import GuardItem
from segue.lease.item_check import born_at, is_born

_SEGMENT = re.compile(r"segments/\d+-(\d+)-[A-Za-z0-9_-]+\.json")
_PAGE = re.compile(r"pages/(\d+)\.json")
_VOLUME = re.compile(r"volumes/(\d+)\.json")
_SAVED = re.compile(r"damaged/\d+-\d+-[A-Za-z0-9_-]+\.json")
_NAMES = (_SEGMENT, _PAGE, _VOLUME, _SAVED)


def find_orphans(
    listed: Sequence[str], root: str, prefix: str, session_key: str, item: GuardItem | None, at: float, *, over: bool
) -> list[Finding]:
    """Say what each object is that nothing names.

    Args:
        listed: All keys under the session's root, listed before the item was read.
        root: ``<prefix>sessions/<session_key>/``.
        prefix: The bucket's prefix.
        session_key: The session.
        item: The guard item, None if there is none.
        at: When it was read, by storage's own clock.
        over: Whether the session has ended.
    """
    findings: list[Finding] = []
    ended: Counter[str] = Counter()
    for key in listed:
        born, _, name = key.removeprefix(root).partition("/")
        if not is_born(born) or not any(pattern.fullmatch(name) for pattern in _NAMES):
            findings.append(Finding("warning", "foreign", key, "not Segue's: nothing reads it, nothing deletes it"))
        elif item is None or born != item.born or over:
            ended[born] += 1
        else:
            findings += _unnamed(key, name, item, ObjectKeys(prefix, session_key, born))
    return findings + [_ended(f"{root}{born}/", born, count, item, at) for born, count in ended.items()]


def pages_there(listed: Sequence[str], root: str, born: str) -> int:
    """One more than the highest number of a page that was listed of an incarnation."""
    names = (key.removeprefix(f"{root}{born}/") for key in listed)
    return 1 + max((int(page[1]) for name in names if (page := _PAGE.fullmatch(name))), default=-1)


def _unnamed(key: str, name: str, item: GuardItem, keys: ObjectKeys) -> Iterator[Finding]:
    if page := _PAGE.fullmatch(name):
        under_way = item.held and int(page[1]) == item.pages
        if int(page[1]) >= item.pages and not under_way:
            yield Finding("note", "orphan", key, "a page that was not committed; a later holder takes or replaces it")
        return
    if volume := _VOLUME.fullmatch(name):
        number = int(volume[1])
        under_way = item.held and number == len(item.volumes)
        if item.volumes[number : number + 1] != "1" and not under_way:
            yield Finding("note", "orphan", key, "a volume that was not committed; a later holder replaces it")
        return
    segment = _SEGMENT.fullmatch(name)
    if segment is None or key in {keys.segment(entry) for entry in item.tail}:
        return
    epoch = int(segment[1])
    if epoch > item.epoch or (epoch == item.epoch and not item.held):
        problem = f"a segment of an epoch that no holder had; the guard is at {item.epoch}"
        yield Finding("warning", "foreign", key, problem)
    elif epoch < item.epoch:
        yield Finding("note", "orphan", key, "a segment that no commit names; the next takeover deletes it")
    # One of the holder's own epoch may be about to be committed.


def _ended(key: str, born: str, count: int, item: GuardItem | None, at: float) -> Finding:
    objects = "1 object" if count == 1 else f"{count} objects"
    if item is not None and born == item.born and not item.deleted:
        return Finding("note", "ended", key, f"{objects} of a session that has expired; the janitor deletes them")
    if (item is None or born != item.born) and at - born_at(born) < 2 * COPY_SECONDS:
        return Finding("note", "ended", key, f"{objects} of an incarnation about to begin (a fork under way)")
    return Finding("warning", "ended", key, f"{objects} of an ended session, which the janitor has not deleted")
