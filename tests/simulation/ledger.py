"""The ledger of all changes to storage, and the invariants that it checks.

The ledger sits inside storage, behind the network. It sees each change at the moment it is applied, knows the true
sender of each request, and keeps its own record of each session's content. It trusts none of the protocol's
conditions: a write that the protocol accepts and should have refused is a violation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from segue.journal import blocks
from segue.journal.blocks import Block
from segue.journal.keys import ObjectKeys
from segue.journal.reader import StoredJournal
from segue.lease.item import GuardItem, Known
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite
from tests.simulation.contents import Contents
from tests.simulation.truth import GONE, HOUR_SECONDS, Incarnation, Owner, Violation, entries_of, entry_of

_T = TypeVar("_T")

DAY_SECONDS = 86_400.0

A_MOMENT_SECONDS = 0.01
"""Seconds that rounding of times may lose."""

EPOCH_SECONDS = 1_700_000_000
"""Seconds since 1970 at which every simulation begins."""


class Ledger(Contents):
    """Storage, and everything it has seen."""

    def __init__(self, key: str, *, verbose: bool = False) -> None:
        self.key = key
        super().__init__()
        self.sender = Owner("no process")
        self.incarnations: dict[str, Incarnation] = {}
        self.holder: Owner | None = None
        self.acquisitions = 0
        self.takeovers = 0
        self.owners: list[Owner] = []
        self.violation: Violation | None = None
        self.on_violation: Callable[[], None] = lambda: None
        self.timeline: list[str] = []
        self.now: Callable[[], float] = lambda: 0.0
        self.tells_time = True
        self.retention_s = 0
        self._moved_at = 0.0
        self._head_acquired = 0
        self.settled = 0
        self.verbose = verbose
        self._epochs: set[tuple[str, int]] = set()
        self._parsed: tuple[Attributes | None, GuardItem | None] = (None, None)

    def wall(self) -> float:
        """The true time, in seconds since 1970."""
        return EPOCH_SECONDS + self.now()

    def note(self, who: str, what: str, outcome: str = "") -> None:
        """Remember an event for the timeline."""
        if self.verbose:
            self.timeline.append(f"{self.now():10.3f}  {who:<12} {what}  {outcome}")

    def broken(self, why: str) -> None:
        """Remember the first violation; the simulation ends with it."""
        self.note("!!!", why)
        if self.violation is None:
            self.violation = Violation(why)
            self.on_violation()

    @property
    def item(self) -> GuardItem | None:
        """The guard item as it is."""
        attributes = self.guard.items.get(self.key)
        if attributes is not self._parsed[0]:  # each write makes a new dictionary
            self._parsed = (attributes, None if attributes is None else GuardItem.parse(attributes))
        return self._parsed[1]

    @property
    def incarnation(self) -> Incarnation | None:
        """The present incarnation. One that has expired ends when its holder is found silent, if it is held."""
        item = self.item
        return None if item is None or item.ended(self.wall(), silent=True) else self.incarnations[item.born]

    # What storage tells.

    def item_changed(self, before: GuardItem | None, after: GuardItem) -> None:
        """Check a change of the guard item, and follow it."""
        if before is not None and after.epoch < before.epoch:
            self.broken(f"the epoch fell from {before.epoch} to {after.epoch}")
        if before is None or before.born != after.born:
            self._life_begins(before, after)
            before = None
        if (before.acquire_id if before else None) != after.acquire_id:
            self._holder_changed(before, after)
        if before is None or before.beat != after.beat:
            self._moved_at = self.now()
        if after.deleted:
            self._incarnation_ends(self.incarnations[after.born])
            return
        self._expiry_set(before, after)
        if before is not None and before.head != after.head:
            self._committed(before, after)
        elif before is not None and _layout(before) != _layout(after):
            self.broken("pages, volumes or tail changed without a commit")
        if before is not None and before.inputs != after.inputs:
            self._inputs_changed(before, after)
        if before is not None and before.scrub and not after.scrub:
            self._scrubbed(after)

    def _inputs_changed(self, before: GuardItem, after: GuardItem) -> None:
        """Check that known input only grows, by the holder's hand, and by a commit the first time."""
        for client_id, known in before.inputs.items():
            now = after.inputs.get(client_id, Known())
            if not all(seq in now for seq in (known.upto, *known.beyond)):
                self.broken(f"I5: the input known of {client_id} fell from {known} to {now}")
        if before.head == after.head:
            if self.holder is not self.sender or before.acquire_id is None or before.acquire_id != after.acquire_id:
                self.broken(f"I1: {self.sender.name} settled input that it did not hold")
            if after.head == self._head_acquired:
                self.broken("input was settled before anything was committed: a kept session would not notice")
            self.settled += 1

    def _life_begins(self, before: GuardItem | None, after: GuardItem) -> None:
        self.incarnations[after.born] = Incarnation(after.born)
        if before is None or before.deleted:
            return
        if before.expires_at > self.wall():
            self.broken("an incarnation began over one that was not over")
        watched = (self.now() - self._moved_at) * self.sender.rate
        if before.held and watched < before.lease_ms / 1000 - A_MOMENT_SECONDS:
            self.broken(f"an incarnation began over a holder that had shown itself {watched} s before")

    def _incarnation_ends(self, incarnation: Incarnation) -> None:
        root = ObjectKeys("", self.key, incarnation.born).root
        incarnation.ended, incarnation.ended_by = True, self.sender
        incarnation.left = {key: body for key, body in self.objects.objects.items() if key.startswith(root)}

    def _expiry_set(self, before: GuardItem | None, after: GuardItem) -> None:
        """Storage's own time is what it is held against; requests, and clocks of another rate, may be hours off."""
        if before is not None and after.expires_at < min(before.expires_at, self.wall() + HOUR_SECONDS):
            self.incarnations[after.born].set_back = True
        off = after.expires_at - self.retention_s - self.wall()
        if (before is None or before.expires_at != after.expires_at) and self.tells_time and abs(off) > DAY_SECONDS:
            self.broken(f"an expiry was reckoned from a clock that is {off / DAY_SECONDS:.0f} days off")

    def removed_by_ttl(self) -> None:
        """Remove the item, as DynamoDB does when it finds it past its TTL, which is later than any request arrives."""
        item = self.item
        if item is None or item.expires_at + HOUR_SECONDS >= self.wall():
            return
        if item.held and self.wall() - EPOCH_SECONDS - self._moved_at < HOUR_SECONDS:
            self.broken("the TTL removed a session whose holder lives")
        self.note("storage", "removes the item, which has expired")
        del self.guard.items[self.key]

    def writing(self, write: ConditionalWrite) -> Callable[[Callable[[], _T]], _T]:
        """Look at a write when it is sent; returns what applies it when it arrives."""
        sent = self.item
        head = None if sent is None else sent.head

        def applied(apply: Callable[[], _T]) -> _T:
            before = self.item
            answer = apply()
            if write.assign.get("deleted") and before is not None and before.head != head:
                self.broken("I2: a deletion took records that were committed after it was sent")
            return answer

        return applied

    def _holder_changed(self, before: GuardItem | None, after: GuardItem) -> None:
        if before is not None and after.epoch <= before.epoch:
            self.broken(f"the holder changed at epoch {after.epoch}, which did not grow")
        if after.acquire_id is None:
            return
        if (after.born, after.epoch) in self._epochs:
            self.broken(f"epoch {after.epoch} was acquired twice")
        self._epochs.add((after.born, after.epoch))
        self.takeovers += before is not None and before.held
        self.acquisitions += 1
        self.sender.acquired = self.acquisitions
        self._head_acquired = after.head
        self.holder = self.sender

    def _committed(self, before: GuardItem, after: GuardItem) -> None:
        owner, incarnation = self.sender, self.incarnations[after.born]
        if self.holder is not owner or before.acquire_id != after.acquire_id:
            holder = self.holder.name if self.holder else "no process"
            self.broken(f"I1: {owner.name} committed head {after.head} after {holder} had acquired")
        if after.head <= before.head or before.head != len(incarnation.entries):
            self.broken(f"head moved from {before.head} to {after.head}, the journal had {len(incarnation.entries)}")
        if len(after.tail) > blocks.TAIL_LIMIT:
            self.broken(f"the tail has {len(after.tail)} segments")
        fresh = self.block(after, after.tail[-1].first, ObjectKeys("", self.key, after.born).segment(after.tail[-1]))
        if fresh is None or (fresh.first, fresh.end) != (before.head, after.head):
            self.broken(f"I3: the segment of head {after.head} is not there, or not whole")
            return
        redactions = self._extend(owner, incarnation, fresh)
        incarnation.ends.append(after.head)
        for entry in incarnation.entries:
            if entry.tracking_id in redactions:
                entry.text = GONE
                incarnation.secrets.add(entry.original)
        self.check_new_objects(before, after)

    def _extend(self, owner: Owner, incarnation: Incarnation, block: Block) -> set[str]:
        """Take the new records into the journal; return the tracking ids that they redact."""
        redactions = set()
        for entry in entries_of(block):
            owner.born = owner.born or incarnation.born
            if entry.settled:
                incarnation.entries.append(entry)
                continue
            expected = f"{owner.name}.{owner.committed}"
            if entry.name != expected:
                self.broken(f"I2: record {len(incarnation.entries)} is {entry.name}, {expected} was next")
            owner.committed += 1
            if entry.redacts:
                redactions.add(entry.tracking_id)
            incarnation.entries.append(entry)
        return redactions

    def _scrubbed(self, item: GuardItem) -> None:
        incarnation = self.incarnations[item.born]
        incarnation.gone |= incarnation.secrets
        for text in incarnation.gone:
            self.check_absent(text)

    # What actors tell.

    def acknowledged_to(self, owner: Owner, count: int) -> None:
        """Note that an owner was told that its first ``count`` records are durable."""
        owner.acknowledged = max(owner.acknowledged, count)
        if owner.committed < count:
            self.broken(f"I2: {owner.name} was told that {count} records are durable, {owner.committed} are")

    def input_acknowledged_to(self, owner: Owner, client_id: str, upto: int) -> None:
        """Note that an owner was told that a client's input is known for good: its client may forget it."""
        item = self.item
        if item is None or item.deleted or item.born != owner.born:
            return
        if upto not in item.inputs.get(client_id, Known()):
            self.broken(f"I5: input {upto} of {client_id} was acknowledged, the item has {item.inputs}")

    def redaction_acknowledged_to(self, owner: Owner, text: str) -> None:
        """Note that an owner was told that a text is gone."""
        if self.holder is owner:
            self.check_absent(text)

    def deleted(self, owner: Owner) -> None:
        """Note that an owner was told that the session is deleted."""
        for incarnation in self.incarnations.values():
            there = [key for key, body in incarnation.left.items() if self.objects.objects.get(key) is body]
            if incarnation.ended_by is owner and (there := [key for key in there if key not in self.strays]):
                self.broken(f"{owner.name} was told that the session is deleted, {there} are there")

    def deletion_refused(self, owner: Owner) -> None:
        """Note that an owner was told, when it deleted the session, that it is another holder's."""
        item = self.item
        if item is not None and item.deleted and self.incarnations[item.born].ended_by is owner:
            self.broken(f"{owner.name} was fenced by its own tombstone")

    def fenced(self, owner: Owner) -> None:
        """Note that an owner was told that the session is another holder's."""
        incarnation = self.incarnation
        if (
            owner.acquired == self.acquisitions
            and incarnation is not None
            and not (incarnation.ended or incarnation.set_back)
        ):
            self.broken(f"{owner.name} was fenced, and no process had acquired after it")

    def seen(self, journal: StoredJournal, *, final: bool = False) -> None:
        """Check a reading of the session: it must be what was committed, up to some commit."""
        incarnation, may_be_old = self.incarnations[journal.item.born], not final or journal.item.scrub is not None
        found = [entry_of(record) for record in journal.records]
        expected = incarnation.entries[: len(found)]
        same = len(found) <= len(incarnation.entries) and all(
            one.name == truth.name and (one.text == truth.text or (may_be_old and one.text == truth.original))
            for one, truth in zip(found, expected, strict=True)
        )
        if not same:
            self.broken(
                f"I2: read {' '.join(map(str, found))}, committed was {' '.join(map(str, incarnation.entries))}"
            )
        ends = [end for end, _, _ in journal.commits]
        if ends != incarnation.ends[: len(ends)] or (ends[-1] if ends else 0) != len(found):
            self.broken(f"I3: read commits {ends}, made were {incarnation.ends}")
        if final and len(found) != len(incarnation.entries):
            self.broken(f"I2: {len(found)} of {len(incarnation.entries)} records are left")

    def check_acknowledged(self) -> None:
        """Check that each acknowledged record is there, once, in its place."""
        places: dict[tuple[str, str], list[int]] = {}
        for incarnation in self.incarnations.values():
            for index, entry in enumerate(incarnation.entries, start=1):
                places.setdefault((incarnation.born, entry.name), []).append(index)
        for owner in self.owners:
            for name, position in zip(owner.appended[: owner.acknowledged], owner.positions, strict=False):
                if (found := places.get((owner.born, name))) != [position]:
                    self.broken(f"I2: {name} was acknowledged at {position}, it is at {found}")


def _layout(item: GuardItem) -> object:
    return item.pages, item.volumes, item.tail
