"""Deliberate faults in the protocol. A checker that does not catch them proves nothing.

    MUTANTS             of the guard, the order of things, ids and unknown outcomes
    MUTANTS_OF_TIME     of clocks, heartbeats and standbys (``mutants_of_time``)
    MUTANTS_OF_OBJECTS  of pages, volumes, redaction and collection (``mutants_of_objects``)

Each is a context manager that breaks one rule of the library for as long as it is entered. They live here and
nowhere else; the library has no switch for any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any
from unittest import mock

from segue.errors import SegueError, SessionFenced, StorageUnavailable
from segue.journal import committer
from segue.journal.block_writer import BlockWriter
from segue.journal.blocks import encode_page, encode_segment
from segue.journal.committer import Committer
from segue.journal.keys import ObjectKeys
from segue.journal.writer import JournalWriter
from segue.lease import transitions
from segue.lease.attempts import AcquisitionAttempts
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.session import session
from segue.storage.interface import Clause, ConditionalWrite, ConditionFailed

Mutant = Callable[[], AbstractContextManager[Any]]

MUTANTS: dict[str, Mutant] = {}


def _mutant(make: Mutant) -> Mutant:
    MUTANTS[make.__name__] = make
    return make


_unawaited: set[asyncio.Task[None]] = set()


def in_background(request: Coroutine[Any, Any, None]) -> None:
    """Send a request that no caller waits for, as a fault has it; nothing is told of its failure."""

    async def quietly() -> None:
        with suppress(SegueError):
            await request

    task = asyncio.get_running_loop().create_task(quietly())
    _unawaited.add(task)
    task.add_done_callback(_unawaited.discard)


def _without(function: Callable[..., ConditionalWrite], *attributes: str) -> Callable[..., ConditionalWrite]:
    def weaker(*args: Any) -> ConditionalWrite:
        write = function(*args)
        kept = tuple(clause for clause in write.condition if clause.attribute not in attributes)
        return replace(write, condition=kept or (Clause("no such attribute", "absent"),))

    return weaker


# The conditions.


@_mutant
def commit_without_the_holder_clause() -> AbstractContextManager[Any]:
    """A zombie commits after a takeover."""
    return mock.patch.object(transitions, "commit", _without(transitions.commit, "acquire_id"))


@_mutant
def commit_without_the_head_clause() -> AbstractContextManager[Any]:
    """A repeated request takes the head back."""
    return mock.patch.object(transitions, "commit", _without(transitions.commit, "head"))


@_mutant
def acquire_without_the_exact_epoch() -> AbstractContextManager[Any]:
    """An acquisition that arrives late is accepted after others have come and gone."""
    return mock.patch.object(transitions, "acquire", _without(transitions.acquire, "epoch", "beat"))


@_mutant
def acquire_without_the_beat() -> AbstractContextManager[Any]:
    """A former holder acquires again while the present one is committing."""
    return mock.patch.object(transitions, "acquire", _without(transitions.acquire, "beat"))


@_mutant
def release_without_raising_the_epoch() -> AbstractContextManager[Any]:
    """A release leaves the epoch: requests in flight for the old epoch are still accepted."""
    original = transitions.release
    return mock.patch.object(transitions, "release", lambda mine: replace(original(mine), assign={"beat": mine.beat}))


@_mutant
def release_of_any_holder() -> AbstractContextManager[Any]:
    """A late release ends another holder's lease."""
    return mock.patch.object(transitions, "release", _without(transitions.release, "acquire_id"))


@_mutant
def beat_without_the_holder_clause_taken_for_a_renewal() -> AbstractContextManager[Any]:
    """A zombie believes that it holds what it has lost, and tells so."""
    original = Lease.write

    async def write(self: Lease, change: ConditionalWrite) -> GuardItem:
        try:
            return await original(self, change)
        except SessionFenced:
            if "head" in change.assign and self.item is not None:
                return self.item  # it takes the refusal of a commit for its success
            raise

    return mock.patch.object(Lease, "write", write)


@_mutant
def life_begun_without_the_beat() -> AbstractContextManager[Any]:
    """An incarnation begins over a holder that was silent for its lease, and has written just now."""
    return mock.patch.object(
        transitions, "begin_incarnation", _without(transitions.begin_incarnation, "acquire_id", "beat")
    )


@_mutant
def tombstone_without_the_head() -> AbstractContextManager[Any]:
    """A deletion that was given up takes what was written since with it."""
    return mock.patch.object(transitions, "bury", _without(transitions.bury, "head"))


@_mutant
def input_settled_without_the_beat() -> AbstractContextManager[Any]:
    """A request that arrives late, or twice, takes back what is known by then."""
    return mock.patch.object(transitions, "settle", _without(transitions.settle, "beat"))


@_mutant
def input_settled_while_a_commit_is_in_flight() -> AbstractContextManager[Any]:
    """The commit takes back what it knows nothing of."""
    original = JournalWriter._settle_soon

    def at_once(self: JournalWriter, record: Any) -> None:
        original(self, record)
        if self.in_flight:
            self._committer._clean_up(self._committer.name_settled_input)

    return mock.patch.object(JournalWriter, "_settle_soon", at_once)


@_mutant
def input_acknowledged_when_it_is_sent() -> AbstractContextManager[Any]:
    """A client forgets what no successor knows of."""
    original = Committer.name_settled_input

    async def early(self: Committer) -> None:
        self._settled_input._on_named(self._settled_input.waiting)
        await original(self)

    return mock.patch.object(Committer, "name_settled_input", early)


@_mutant
def input_settled_without_a_record_of_the_acquisition() -> AbstractContextManager[Any]:
    """A process that kept the session goes on with what it knew."""
    return mock.patch.object(JournalWriter, "_record_settled", return_value=None)


# The order of things.


@_mutant
def page_moved_before_it_is_written() -> AbstractContextManager[Any]:
    """The commit counts a page that comes only afterwards."""

    async def later(self: BlockWriter, mine: GuardItem, segments: Sequence[Any], commit_id: str) -> None:
        key, body = self._keys.page(mine.pages), encode_page(mine, segments, commit_id)
        in_background(self._objects.put(key, body))

    return mock.patch.object(BlockWriter, "put_page", later)


@_mutant
def folded_segments_deleted_before_the_commit_won() -> AbstractContextManager[Any]:
    """A folding commit that loses, or is never sent, has taken the segments with it."""
    original = BlockWriter.put_page

    async def too_soon(self: BlockWriter, mine: GuardItem, segments: Sequence[Any], commit_id: str) -> None:
        await original(self, mine, segments, commit_id)
        folded = [self._keys.segment(one.entry) for one in segments]
        await self._requests.until_answered(lambda: self._objects.delete(folded))

    return mock.patch.object(BlockWriter, "put_page", too_soon)


@_mutant
def commit_before_its_segment_is_there() -> AbstractContextManager[Any]:
    """The conditional write and the segment race."""

    async def later(self: BlockWriter, mine: GuardItem, segment: Any) -> None:
        in_background(self._objects.put(self._keys.segment(segment.entry), encode_segment(mine, segment)))

    return mock.patch.object(BlockWriter, "put_segment", later)


@_mutant
def acknowledged_when_queued() -> AbstractContextManager[Any]:
    """The caller does not wait for the commit."""

    async def at_once(self: JournalWriter, position: int | None = None) -> None:
        self._drain_soon()

    return mock.patch.object(JournalWriter, "durable", at_once)


# Keys and ids.


@_mutant
def segment_key_used_again() -> AbstractContextManager[Any]:
    """A zombie's segment overwrites the winner's."""
    return mock.patch.object(ObjectKeys, "segment", lambda self, entry: f"{self.root}segments/{entry.first}-0-x.json")


@_mutant
def commit_id_fixed() -> AbstractContextManager[Any]:
    """The loser of a race takes the winner's commit for its own."""
    original = committer.new_id
    return mock.patch.object(committer, "new_id", lambda bits=128: "fixed" if bits == 64 else original(bits))


# Unknown outcomes.


@_mutant
def regrouped_while_the_outcome_is_unknown() -> AbstractContextManager[Any]:
    """After silence, the records are sent anew under another commit id."""
    original = Committer.commit

    async def forgetful(self: Committer, group: Any) -> Any:
        async def once(request: Callable[[], Any]) -> Any:
            return await request()

        self._requests.until_answered = once  # type: ignore[method-assign]
        try:
            return await original(self, group)
        except StorageUnavailable:
            self._attempt = None
            raise

    return mock.patch.object(Committer, "commit", forgetful)


@_mutant
def lost_answer_taken_for_a_failure() -> AbstractContextManager[Any]:
    """The condition failed, so it was not accepted, so it is appended once more."""
    original = Committer._decide

    async def decide(self: Committer, write: ConditionalWrite, commit_id: str) -> Any:
        try:
            await self._requests.until_answered(lambda: self._lease.write(write))
        except ConditionFailed as lost:
            self._lease.adopt(GuardItem.parse(lost.item or {}), 0.0)
            again = replace(write, assign={**write.assign, **_moved(write, lost)})
            return await original(self, replace(again, condition=write.condition[:1]), commit_id)
        return None

    return mock.patch.object(Committer, "_decide", decide)


def _moved(write: ConditionalWrite, lost: ConditionFailed) -> dict[str, Any]:
    """The same segment once more, after itself."""
    tail = list(write.assign["tail"])  # type: ignore[arg-type]
    first = int(str(tail[-1]).split(".", 1)[0])
    end = int(str(write.assign["head"]))
    return {"head": 2 * end - first, "tail": [*tail, f"{end}.{str(tail[-1]).split('.', 1)[1]}"]}


@_mutant
def reopened_without_comparing_the_item() -> AbstractContextManager[Any]:
    """After a release, the next write goes on as if no other holder could have written."""
    return mock.patch.object(AcquisitionAttempts, "_is_unchanged", return_value=True)


@_mutant
def own_tombstone_taken_for_someone_elses() -> AbstractContextManager[Any]:
    """A deletion whose answer was lost ends with "fenced", and leaves every object."""

    async def bury(self: Lease, seconds: int) -> GuardItem:
        return await self.write(transitions.bury(self.mine, self._expiry(seconds)))

    return mock.patch.object(Lease, "bury", bury)


@_mutant
def deleted_when_the_tombstone_stands() -> AbstractContextManager[Any]:
    """A deletion is told of as done before the objects are gone."""

    async def nothing(*_: Any) -> int:
        return 0

    return mock.patch.object(session, "collect_ended", nothing)
