"""The contents of storage: the objects that a commit names hold what was committed, and change by redaction only.

The dictionaries behind the ledger tell it of each change at the moment it is applied.
"""

from __future__ import annotations

from collections.abc import Iterable

from segue.errors import SegueError
from segue.journal import blocks
from segue.journal.blocks import Block, decode_block
from segue.journal.keys import ObjectKeys
from segue.lease.item import GuardItem
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite
from segue.storage.memory import MemoryGuard, MemoryObjects
from tests.simulation.truth import Incarnation, Violation, entries_of


class Contents:
    """Storage, and the checks of its objects.

    Attributes:
        folds: Pages that commits made.
        volumes: Volumes that commits named.
        stray: True while a request is applied whose sender has been given up.
        strays: Objects that such requests wrote last.
    """

    key: str
    incarnations: dict[str, Incarnation]

    def __init__(self) -> None:
        self.guard = WatchedGuard(self)
        self.objects = WatchedObjects(self)
        self.folds = 0
        self.volumes = 0
        self.stray = False
        self.strays: set[str] = set()

    @property
    def item(self) -> GuardItem | None:
        """The guard item as it is."""
        raise NotImplementedError

    def broken(self, why: str) -> None:
        """Remember a violation."""
        raise Violation(why)

    def item_changed(self, before: GuardItem | None, after: GuardItem) -> None:
        """Hear of a change of the guard item."""

    def check_new_objects(self, before: GuardItem, after: GuardItem) -> None:
        keys = ObjectKeys("", self.key, after.born)
        if after.pages not in {before.pages, before.pages + 1}:
            self.broken(f"pages moved from {before.pages} to {after.pages}")
        end = after.tail[0].first
        for number in range(before.pages, after.pages):
            self.folds += 1
            block = self.block(after, before.tail[0].first, keys.page(number))
            if block is None or block.end != end:
                self.broken(f"I2: page {number} is not there, or does not end where the tail begins, at {end}")
            else:
                self._check_content(after, block, f"page {number}")
        self._check_new_volumes(before, after)
        for entry in set(after.tail) - set(before.tail):
            block = self.block(after, entry.first, keys.segment(entry))
            if block is None:
                self.broken(f"I3: segment {entry} is not there")
            else:
                self._check_content(after, block, f"segment {entry}")

    def _check_new_volumes(self, before: GuardItem, after: GuardItem) -> None:
        keys = ObjectKeys("", self.key, after.born)
        if not after.volumes.startswith(before.volumes) or len(after.volumes) * blocks.VOLUME_PAGES > after.pages:
            self.broken(f"volumes moved from {before.volumes!r} to {after.volumes!r} with {after.pages} pages")
            return
        if after.volumes and after.schema < 2:
            self.broken("there are volumes in an item that one who does not know them reads")
        for number in range(len(before.volumes), len(after.volumes)):
            if after.volumes[number] != "1":
                continue
            self.volumes += 1
            first, *_, last = (self._any_block(after, keys.page(page)) for page in blocks.run(number))
            block = self._any_block(after, keys.volume(number))
            if block is None or not first or not last or (block.first, block.end) != (first.first, last.end):
                self.broken(f"I2: volume {number} is not there, or not the records of its pages")
            else:
                self._check_content(after, block, f"volume {number}")

    def _any_block(self, item: GuardItem, key: str) -> Block | None:
        return self.block(item, None, key)

    def _check_content(self, item: GuardItem, block: Block, what: str) -> None:
        expected = self.incarnations[item.born].entries[block.first : block.end]
        found = entries_of(block)
        same = [one.name for one in found] == [one.name for one in expected] and all(
            one.text == truth.text or (item.scrub and one.text == truth.original)
            for one, truth in zip(found, expected, strict=True)
        )
        if not same:
            self.broken(f"I2: {what} holds {' '.join(map(str, found))}, not {' '.join(map(str, expected))}")

    def block(self, item: GuardItem, first: int | None, key: str) -> Block | None:
        body = self.objects.objects.get(key)
        if body is None:
            return None
        try:
            return decode_block(key, body, item, first)
        except SegueError as error:
            self.broken(f"I2: {error}")
            return None

    def _live(self) -> set[str]:
        item = self.item
        if item is None or item.deleted:
            return set()
        keys = ObjectKeys("", self.key, item.born)
        return set(keys.sealed(item)) | {keys.segment(entry) for entry in item.tail}

    def object_deleted(self, key: str) -> None:
        """Check that nothing live goes."""
        if key in self._live():
            self.broken(f"I2: {key} was deleted, and the session needs it")

    def object_written(self, key: str, old: bytes | None, new: bytes) -> None:
        """Check that what is live changes by redaction only."""
        if old != new:
            (self.strays.add if self.stray else self.strays.discard)(key)
        item = self.item
        keys = None if item is None else ObjectKeys("", self.key, item.born)
        if item is not None and not item.deleted and keys is not None and key.startswith((keys.pages, keys.volumes)):
            self._stays_away(item, key, new)
        if old is None or old == new or item is None or key not in self._live():
            return
        incarnation, block = self.incarnations[item.born], decode_block(key, new, item)
        was, now = entries_of(decode_block(key, old, item)), entries_of(block)
        if len(was) != len(now):
            self.broken(f"I2: {key} was overwritten with {len(now)} records in place of {len(was)}")
        for before, entry, truth in zip(was, now, incarnation.entries[block.first :], strict=False):
            if entry.name != truth.name or entry.text not in {truth.text, before.text}:
                self.broken(f"I2: {key} was overwritten with {entry} in place of {truth}")

    def _stays_away(self, item: GuardItem, key: str, new: bytes) -> None:
        """No page or volume brings redacted content back, however late it arrives; a segment that nothing names may.

        What arrives when the incarnation is over is the janitor's: it sweeps again an hour later.
        """
        for text in self.incarnations[item.born].gone:
            if text.encode() in blocks.unpack(new):
                self.broken(f"redacted {text} came back in {key}")

    def check_absent(self, text: str) -> None:
        """Check that no object has a redacted text but strays that nothing names."""
        for key, body in self.objects.objects.items():
            if text.encode() in blocks.unpack(body) and (key not in self.strays or key in self._live()):
                self.broken(f"redacted {text} is still in {key}")


class WatchedGuard(MemoryGuard):
    """The lock table."""

    def __init__(self, ledger: Contents) -> None:
        super().__init__()
        self._ledger = ledger

    async def write(self, write: ConditionalWrite) -> Attributes:
        before = self._ledger.item
        answer = await super().write(write)
        after = self._ledger.item
        assert after is not None
        self._ledger.item_changed(before, after)
        return answer


class WatchedObjects(MemoryObjects):
    """The bucket."""

    def __init__(self, ledger: Contents) -> None:
        super().__init__()
        self._ledger = ledger

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        old = self.objects.get(key)
        await super().put(key, body, if_absent=if_absent, if_match=if_match)
        self._ledger.object_written(key, old, body)

    async def delete(self, keys: Iterable[str]) -> None:  # type: ignore[override]
        for key in keys:
            self._ledger.object_deleted(key)
        await super().delete(list(keys))
