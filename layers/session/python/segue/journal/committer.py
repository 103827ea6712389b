"""One commit: put the segment, then one conditional write that makes it part of the session.

    put segment ─┐
    put page ────┴─▶ conditional write (head, tail, pages, …) ─▶ delete the folded segments
                     the only step that changes the session   ─▶ bind a volume, for a later commit to name

Everything before that write can be repeated, lost or left behind without effect on the session; everything after it
is clean-up. Runs on the storage loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from segue.clock import Clock
from segue.errors import JournalCorrupt, SegueError, SessionFenced
from segue.ids import new_id
from segue.journal import blocks
from segue.journal.block_writer import BlockWriter
from segue.journal.blocks import Segment, full_page
from segue.journal.garbage import collect_orphans
from segue.journal.inputs import SettledInput, contain, inputs_after
from segue.journal.keys import ObjectKeys
from segue.journal.message_shape import Replacements
from segue.journal.reader import StoredJournal
from segue.journal.record_queue import Queued
from segue.journal.records import Record, decode_record, is_misread
from segue.journal.redaction import redact_pages, redact_segments, redacted, replacement_of
from segue.journal.storage_requests import StorageRequests
from segue.journal.volumes import Binder
from segue.lease import transitions
from segue.lease.item import (
    ESCAPES_SCHEMA,
    FIRST_SCHEMA,
    VOLUMES_SCHEMA,
    GuardItem,
    TailEntry,
    input_lines,
)
from segue.lease.lease import Lease
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite, ConditionFailed, ObjectStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A commit whose objects are put. Once it is sent, no other commit is sent until its outcome is known."""

    group: Sequence[Queued]
    settled: Sequence[Record]
    write: ConditionalWrite
    commit_id: str
    tail: list[Segment]
    folded: Sequence[Segment]
    replacements: Replacements


class Committer:
    """Commits of groups of records, one at a time, by the holder of a lease."""

    def __init__(
        self,
        lease: Lease,
        objects: ObjectStore,
        prefix: str,
        clock: Clock,
        restored: StoredJournal,
        settled_input: SettledInput,
    ) -> None:
        """Go on from a restored journal.

        Args:
            lease: The lease of this holder.
            objects: Store of the objects.
            prefix: Prefix of all object keys.
            clock: For pauses between requests.
            restored: The journal.
            settled_input: Settled input, which each commit names with its own, and ``name_settled_input`` by itself.
        """
        self._lease = lease
        self._objects = objects
        self._clock = clock
        self._settled_input = settled_input
        self._keys = ObjectKeys(prefix, restored.item.session_key, restored.item.born)
        self._requests = StorageRequests(clock, self._keys.root)
        self._blocks = BlockWriter(lease, objects, self._keys, self._requests)
        self._tail = restored.tail
        self._binder = Binder(objects, self._keys, self._requests, self._blocks)
        self._attempt: _Attempt | None = None
        self._unfinished_redactions: dict[str, Mapping[str, Any]] = {}
        self._cleanups: set[asyncio.Task[None]] = set()

    @property
    def answered_at(self) -> float:
        """Time of storage's latest answer to a request that is repeated until it is answered."""
        return self._requests.answered_at

    @property
    def in_flight(self) -> Sequence[Queued]:
        """The group of a commit in flight: it has to be committed first."""
        return self._attempt.group if self._attempt else ()

    @property
    def unfinished_redactions(self) -> bool:
        """Tell whether a redaction was committed, and its old content may still be in an object."""
        return bool(self._unfinished_redactions)

    async def commit(self, group: Sequence[Queued]) -> SessionFenced | None:
        """Commit a group.

        Args:
            group: The records; if there are any ``in_flight``, those.

        Returns:
            None; or, if the group was accepted and the session taken over before its answer came, the error
            that everything after this group has to end with.

        Raises:
            SessionFenced: Another holder has the session, and the group is not in it.
            StorageRefused: Storage says no.
            JournalCorrupt: The guard contradicts what this holder wrote.
        """
        if self._attempt is None:
            self._attempt = await self._prepare(group)
        attempt = self._attempt
        fenced = await self._decide(attempt.write, attempt.commit_id)
        self._attempt = None
        self._settled_input.named(attempt.settled)
        self._tail = attempt.tail
        self._unfinished_redactions.update(attempt.replacements)
        if attempt.folded and fenced is None:
            gone = [self._keys.segment(one.entry) for one in attempt.folded]
            self._clean_up(lambda: self._objects.delete(gone))
        if fenced is None and not self._unfinished_redactions and self._lease.held:
            self._binder.bind_next_run(self._lease.mine)
        return fenced

    async def _prepare(self, group: Sequence[Queued]) -> _Attempt:
        """Put the objects that the commit makes part of the session."""
        mine = self._lease.mine
        replacements = _replacements(group)
        bodies = tuple(redacted(one.body, replacements) for one in group)
        segment = Segment(TailEntry(mine.head, mine.epoch, new_id(64)), bodies)
        commit_id = segment.entry.commit_id
        count = full_page(self._tail)
        folded, kept = self._tail[:count], self._tail[count:]
        rewritten = redact_segments(kept, mine.epoch, replacements)
        kept = [rewritten.get(index, old) for index, old in enumerate(kept)]

        puts = [self._blocks.put_segment(mine, one) for one in (segment, *rewritten.values())]
        if folded:
            puts.append(self._blocks.put_page(mine, folded, commit_id))
        await _all_or_none(puts)

        tail = [*kept, segment]
        changes: Attributes = {
            "head": segment.end,
            "pages": mine.pages + bool(folded),
            "tail": transitions.tail_value([one.entry for one in tail]),
            "commit_id": commit_id,
        }
        if bound := self._binder.volumes_to_add():
            changes["volumes"] = mine.volumes + bound
        written = [body for one in (segment, *rewritten.values()) for body in one.records]
        if (schema := _schema_for(mine, written)) > mine.schema:
            changes["schema"] = schema
        settled = self._settled_input.waiting
        known = [*settled, *(one.record for one in group)]
        if any(record.inputs for record in known):
            changes["inputs"] = input_lines(inputs_after(mine.inputs, known))
        if replacements:
            numbers = [str(mine.head + index) for index, one in enumerate(group) if one.record.kind == "redact"]
            changes["scrub"] = " ".join(filter(None, (mine.scrub, *numbers)))
        write = transitions.commit(mine, changes, self._lease.expires_at)
        return _Attempt(group, settled, write, commit_id, tail, folded, replacements)

    async def name_settled_input(self) -> None:
        """Have the guard item name the settled input that waits, by a write of the item alone.

        No commit may be in flight: it was made without this input, and would take it back.

        Raises:
            SessionFenced: Another holder has the session. Even then the item may name the input.
            StorageRefused: Storage says no.
        """
        settled = self._settled_input.waiting
        while not contain(self._lease.mine.inputs, settled):
            mine = self._lease.mine
            write = transitions.settle(mine, input_lines(inputs_after(mine.inputs, settled)), self._lease.expires_at)
            try:
                await self._requests.until_answered(partial(self._lease.write, write))
                break
            except ConditionFailed as lost:  # by a heartbeat in flight, or an earlier try whose answer was lost
                self._lease.adopt(GuardItem.parse(lost.item or {}), -float("inf"))
        self._settled_input.named(settled)

    def resume_redactions(self, replacements: Replacements) -> None:
        """Take over a redaction that an earlier holder committed and could not finish."""
        self._unfinished_redactions.update(replacements)

    async def finish_redactions(self) -> None:
        """Finish redactions: no object holds the old content any more, then ``scrub`` is cleared.

        No commit may be under way.
        """
        await self._binder.drop_volume()  # it may have read pages as they were
        await self._requests.until_answered(
            lambda: collect_orphans(self._objects, self._keys, self._held_item, own=True)
        )
        await self._requests.until_answered(
            lambda: redact_pages(
                self._objects, self._keys, self._lease.mine, self._unfinished_redactions, self._lease.check
            )
        )
        write, sent_at = transitions.scrubbed(self._lease.mine), self._clock.now()
        try:
            await self._requests.until_answered(lambda: self._lease.write(write))
        except ConditionFailed as lost:
            self._lease.adopt(GuardItem.parse(lost.item or {}), sent_at)  # an answer was lost, the write was not
        self._unfinished_redactions.clear()

    async def collect(self) -> None:
        """Delete the orphans of earlier holders."""
        await self._requests.until_answered(lambda: collect_orphans(self._objects, self._keys, self._held_item))

    def collect_soon(self) -> None:
        """Run ``collect`` in the background."""
        self._clean_up(self.collect)

    async def _held_item(self) -> GuardItem:
        await self._lease.check()
        return self._lease.mine

    async def wait_for_cleanup(self, timeout: float, patience: float = 0.0) -> None:
        """Wait for clean-ups, and bind nothing any more until the next commit.

        Args:
            timeout: Seconds that clean-ups are waited for before they are cancelled.
            patience: Seconds that a volume on its way is waited for.
        """
        await self._binder.drop_volume(patience)
        if cleanups := tuple(self._cleanups):
            _, late = await asyncio.wait(cleanups, timeout=timeout)
            for cleanup in late:
                cleanup.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            self._cleanups.difference_update(cleanups)  # their own callbacks may come a turn later

    async def _decide(self, write: ConditionalWrite, commit_id: str) -> SessionFenced | None:
        """Send the deciding write until its outcome is known."""
        sent_at = self._clock.now()
        try:
            await self._requests.until_answered(lambda: self._lease.write(write))
        except ConditionFailed as lost:
            item = GuardItem.parse(lost.item or {})
            if item.commit_id != commit_id:
                raise JournalCorrupt(
                    item.session_key,
                    f"the head moved to {item.head} by a commit that the holder did not make",
                ) from lost
            self._lease.adopt(item, sent_at)  # an answer was lost, the write was not
        except SessionFenced as fenced:
            lost_to = fenced.__cause__
            if isinstance(lost_to, ConditionFailed) and (lost_to.item or {}).get("commit_id") == commit_id:
                return fenced  # accepted, and only then taken over
            raise
        return None

    def _clean_up(self, work: Callable[[], Awaitable[Any]]) -> None:
        async def quietly() -> None:
            try:
                await work()
            except SegueError as error:
                # Objects that stay are orphans, which the next collection finds.
                logger.info("clean-up failed", extra={"journal": self._keys.root, "error": type(error).__name__})

        task = asyncio.get_running_loop().create_task(quietly())
        self._cleanups.add(task)
        task.add_done_callback(self._cleanups.discard)


async def _all_or_none(requests: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run requests side by side. If one fails, the others are cancelled before its error is raised."""
    tasks = [asyncio.ensure_future(request) for request in requests]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _schema_for(mine: GuardItem, written: Sequence[bytes]) -> int:
    """The schema that keeps out who would misread what is written, or redact without knowing of volumes."""
    if any(is_misread(body) for body in written):
        return ESCAPES_SCHEMA
    return VOLUMES_SCHEMA if mine.pages >= blocks.VOLUME_PAGES else FIRST_SCHEMA


def _replacements(group: Sequence[Queued]) -> Mapping[str, Mapping[str, Any]]:
    replacements: dict[str, Mapping[str, Any]] = {}
    for one in group:
        if one.record.kind == "redact":
            replacements.update(replacement_of(decode_record(one.body)))  # as it was then, whatever became of it since
    return replacements
