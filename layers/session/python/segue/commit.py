"""One commit: put the segment, then one conditional write that makes it part of the session.

    put segment ─┐
    put page ────┴─▶ conditional write (head, tail, pages, …) ─▶ delete the folded segments
                     the only step that changes the session

Everything before that write can be repeated, lost or left behind without anyone seeing it; everything after it
is cleaning up. Runs on the storage loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from segue import guard
from segue.clock import Clock
from segue.collection import collect_orphans
from segue.errors import JournalCorrupt, SegueError, SessionFenced, StorageUnavailable
from segue.item import Attributes, GuardItem, Known, TailEntry, input_lines
from segue.lease import Lease
from segue.records import Keys, Record, Segment, encode_page, encode_segment, full_page
from segue.redaction import Replacements, redact_segments, redacted, replacement_of, sweep_pages
from segue.restore import Journal
from segue.storage.interface import ConditionalWrite, ConditionFailed, ObjectMissing, ObjectStore, PreconditionFailed

logger = logging.getLogger(__name__)

KNOWN_CLIENTS = 16
"""Clients whose input the guard item remembers; the one heard longest ago goes first."""

_BACKOFF_S = (0.05, 2.0)
"""First and longest pause before an identical request is sent again."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Queued:
    """A record that waits to be committed, and its JSON."""

    body: bytes
    record: Record


def remember(inputs: OrderedDict[str, Known], record: Record) -> None:
    """Note the client input that a record contains."""
    if record.inputs is None:
        return
    client_id, seqs = record.inputs
    inputs[client_id] = inputs.get(client_id, Known()).adding(seqs)
    inputs.move_to_end(client_id)
    while len(inputs) > KNOWN_CLIENTS:
        inputs.popitem(last=False)


class Committer:
    """Commits groups of records, one at a time, as the holder of a lease."""

    def __init__(self, lease: Lease, objects: ObjectStore, prefix: str, clock: Clock, restored: Journal) -> None:
        """Go on from what was restored."""
        self._lease = lease
        self._objects = objects
        self._clock = clock
        self._keys = Keys(prefix, restored.item.session_key, restored.item.born)
        self._tail = restored.tail
        self._condemned: list[str] = []
        self._chores: set[asyncio.Task[None]] = set()

    async def commit(self, group: Sequence[Queued]) -> SessionFenced | None:
        """Commit a group.

        Returns:
            None; or, if the group was accepted and the session taken over before its answer came, the error
            that everything after this group has to end with.

        Raises:
            SessionFenced: The session is someone else's, and the group is not in it.
            StorageRefused: Storage says no.
            JournalCorrupt: The guard contradicts what this holder wrote.
        """
        mine = self._lease.mine
        replacements = _replacements(group)
        bodies = tuple(redacted(one.body, replacements) for one in group)
        segment = Segment(TailEntry(mine.head, mine.epoch, guard.new_id(64)), bodies)
        folded = full_page(self._tail)
        rewritten = redact_segments(self._tail[folded:], mine.epoch, replacements)
        kept = [rewritten.get(index, old) for index, old in enumerate(self._tail[folded:])]

        puts = [self._put_segment(mine, one) for one in (segment, *rewritten.values())]
        if folded:
            puts.append(self._put_page(mine, self._tail[:folded]))
        await asyncio.gather(*puts)

        tail = [*kept, segment]
        changes: Attributes = {
            "head": segment.end,
            "pages": mine.pages + bool(folded),
            "tail": guard.tail_value([one.entry for one in tail]),
            "commit_id": segment.entry.commit_id,
        }
        if any(one.record.inputs for one in group):
            changes["inputs"] = input_lines(_inputs_after(mine, group))
        if replacements:
            numbers = [str(mine.head + index) for index, one in enumerate(group) if one.record.kind == "redact"]
            changes["scrub"] = " ".join(filter(None, (mine.scrub, *numbers)))
        fenced = await self._decide(guard.commit(mine, changes, self._lease.expires_at), segment.entry.commit_id)

        gone = [self._keys.segment(one.entry) for one in self._tail[:folded]]
        self._condemned = [self._keys.segment(self._tail[folded + index].entry) for index in rewritten]
        self._tail = tail
        if gone and fenced is None:
            self._chore(self._objects.delete(gone))
        return fenced

    async def sweep(self, replacements: Replacements) -> None:
        """Finish a redaction: no object holds the old content any more, then ``scrub`` is cleared."""
        await self.answered(lambda: self._objects.delete(self._condemned))
        await self.answered(
            lambda: sweep_pages(self._objects, self._keys, self._lease.mine, replacements, self._lease.check)
        )
        write = guard.scrubbed(self._lease.mine)
        try:
            await self.answered(lambda: self._lease.write(write))
        except ConditionFailed:
            logger.debug("sweep was finished already")

    async def collect(self) -> None:
        """Delete what earlier holders put and did not get to commit."""
        await self.answered(lambda: collect_orphans(self._objects, self._keys, self._held_item))

    def collect_soon(self) -> None:
        """The same, without anyone waiting."""
        self._chore(self.collect())

    async def _held_item(self) -> GuardItem:
        await self._lease.check()
        return self._lease.mine

    async def settle(self) -> None:
        """Wait for chores."""
        while self._chores:
            await asyncio.gather(*self._chores, return_exceptions=True)

    async def answered(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Send the identical request until storage answers it."""
        pause = _BACKOFF_S[0]
        while True:
            try:
                return await request()
            except StorageUnavailable as error:
                logger.info("storage did not answer", extra={"journal": self._keys.root, "error": str(error)})
            await self._clock.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, _BACKOFF_S[1])

    async def _decide(self, write: ConditionalWrite, commit_id: str) -> SessionFenced | None:
        """Send the deciding write until its outcome is known."""
        sent_at = self._clock.now()
        try:
            await self.answered(lambda: self._lease.write(write))
        except ConditionFailed as lost:
            item = GuardItem.parse(lost.item or {})
            if item.commit_id != commit_id:
                raise JournalCorrupt(item.session_key, f"head moved to {item.head} under its holder") from lost
            self._lease.adopt(item, sent_at)  # an answer was lost, the write was not
        except SessionFenced as fenced:
            lost_to = fenced.__cause__
            if isinstance(lost_to, ConditionFailed) and (lost_to.item or {}).get("commit_id") == commit_id:
                return fenced  # accepted, and only then taken over
            raise
        return None

    async def _put_segment(self, mine: GuardItem, segment: Segment) -> None:
        body = encode_segment(mine, segment)
        await self.answered(lambda: self._objects.put(self._keys.segment(segment.entry), body))

    async def _put_page(self, mine: GuardItem, segments: Sequence[Segment]) -> None:
        """Create a page, or find that an earlier holder made the very same one.

        A different one was left by a holder that did not get to commit it, before a redaction. It is replaced
        only as the version that was seen *before* the lease was seen to be mine still: whoever has taken over
        since has changed what the version is, or will find this page and compare it.
        """
        key, body = self._keys.page(mine.pages), encode_page(mine, segments)

        async def attempt() -> bool:
            try:
                await self._objects.put(key, body, if_absent=True)
            except PreconditionFailed:
                existing = await self._objects.get(key)
                if existing.body != body:
                    await self._lease.check()
                    await self._objects.put(key, body, if_match=existing.etag)
            return True

        while True:
            try:
                await self.answered(attempt)
            except (ObjectMissing, PreconditionFailed):
                continue
            return

    def _chore(self, work: Awaitable[Any]) -> None:
        async def quietly() -> None:
            try:
                await work
            except SegueError as error:
                # What stays behind is an orphan, which the next collection finds.
                logger.info("chore failed", extra={"journal": self._keys.root, "error": type(error).__name__})

        task = asyncio.get_running_loop().create_task(quietly())
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _replacements(group: Sequence[Queued]) -> Mapping[str, Mapping[str, Any]]:
    replacements: dict[str, Mapping[str, Any]] = {}
    for one in group:
        if one.record.kind == "redact":
            replacements.update(replacement_of(one.record))
    return replacements


def _inputs_after(mine: GuardItem, group: Sequence[Queued]) -> OrderedDict[str, Known]:
    after: OrderedDict[str, Known] = OrderedDict(mine.inputs)
    for one in group:
        remember(after, one.record)
    return after
