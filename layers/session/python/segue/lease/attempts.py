"""Attempts to acquire a lease, until one is accepted or there is no sense in another.

    read the item ─▶ another holder's, alive ─▶ wait, read again
          │
          └─▶ free, silent or dead ─▶ conditional write on the exact state that was read ─▶ accepted
                                        └─▶ refused: the item of the winner, who is alive

Each attempt begins with a reading of its own: no state is written on that was read before a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

from segue.backoff import backoff
from segue.clock import Clock
from segue.errors import StorageUnavailable
from segue.lease import transitions
from segue.lease.fencing import fenced, name_of, winner_of
from segue.lease.holder_watch import HolderWatch, OnAttempt, Probe
from segue.lease.item import GuardItem
from segue.lease.item_reader import read_item
from segue.lease.waiting import AcquisitionWait
from segue.storage.interface import ConditionFailed, GuardStore

_POLL_SECONDS = 0.25
"""Seconds between two readings of a held item. Each is a consistent read, half a read unit."""

_BACKOFF_SECONDS = (0.05, 2.0)
"""Seconds of the first and the longest pause after a request that storage did not answer."""


@dataclass(frozen=True, slots=True)
class AcceptedAttempt:
    """An acquisition that storage has accepted.

    Attributes:
        item: The guard item as it left it.
        sent_at: Time on the lease's clock that the lease counts from: the sending, or a reading before it.
        took_over: Whether it was from a holder that had not released.
    """

    item: GuardItem
    sent_at: float
    took_over: bool


class AcquisitionAttempts:
    """One candidate's attempts to acquire one session."""

    def __init__(
        self,
        store: GuardStore,
        session_key: str,
        clock: Clock,
        candidate: transitions.Candidate,
        *,
        probe: Probe | None = None,
        left: GuardItem | None = None,
        trying: OnAttempt | None = None,
    ) -> None:
        """Begin without an attempt.

        Args:
            store: Store of guard items.
            session_key: The session's key.
            clock: Source of time.
            candidate: The process that wants the lease.
            probe: Evidence that the holder is dead, asked for each new state of a held item, and again while it stays.
            left: The item as the candidate released it, to go on from there.
            trying: Called with the item of a session that has not ended, just before an attempt, to read meanwhile.
        """
        self._store = store
        self._session_key = session_key
        self._clock = clock
        self._candidate = candidate
        self._watch = HolderWatch(clock, probe)
        self._item_left = left
        self._trying = trying
        self._took_over = False

    async def run(self, waiting: AcquisitionWait) -> AcceptedAttempt:
        """Attempt until an attempt is accepted.

        Raises:
            SessionHeld: Another holder kept the session until the wait was over.
            SessionFenced: The session is not as it was ``left``: another holder wrote in between, or it ended.
            JournalCorrupt: Its item cannot be right.
            StorageRefused: Storage refuses, or the session's objects are under another prefix.
            StorageUnavailable: Storage did not answer until the wait was over.
        """
        pauses = backoff(*_BACKOFF_SECONDS)
        while True:
            try:
                outcome = await self._attempt()
            except StorageUnavailable:
                if waiting.has_timed_out:
                    raise
                waiting.unanswered()
                await self._clock.sleep(next(pauses))
                continue
            if isinstance(outcome, AcceptedAttempt):
                waiting.ended()
                return outcome
            if await waiting.released(outcome):
                continue
            if waiting.has_timed_out:
                raise waiting.refusal(outcome)
            waiting.held(outcome)
            await self._clock.sleep(min(_POLL_SECONDS, max(0.01, waiting.seconds_left)))

    async def _attempt(self) -> AcceptedAttempt | GuardItem:
        """Read the item, and try to acquire it if the watch allows. Returns another holder's item if it is refused."""
        left, watch = self._item_left, self._watch
        found = await read_item(self._store, self._session_key, self._clock, self._candidate.prefix)
        seen = found.item
        if seen is not None and self._is_mine(seen):
            return self._accepted(seen, watch.read_at)  # an answer was lost, the write was not
        if left is not None and not self._is_unchanged(found.current, left):
            raise fenced(self._session_key, left.epoch, name_of(seen))
        if not await watch.may_try(seen):
            return self._holders_item(seen)
        alive = None if seen is None or seen.ended(found.at, silent=watch.silent) else seen
        if left is not None and alive is None:
            raise fenced(self._session_key, left.epoch, None)
        if self._trying is not None and alive is not None:
            self._trying(alive)
        try:
            return await self._try(seen, alive, found.at)
        except ConditionFailed as lost:
            winner = winner_of(lost)
            if winner is not None and self._is_mine(winner):
                return self._accepted(winner, watch.read_at)
            return self._holders_item(winner or seen)

    async def _try(self, seen: GuardItem | None, alive: GuardItem | None, at: float) -> AcceptedAttempt:
        sent_at = self._clock.now()
        if alive is None:
            write = transitions.begin_incarnation(self._session_key, seen, self._candidate, at)
        else:
            write = transitions.acquire(alive, self._candidate, at)
        self._took_over = alive is not None and alive.held  # if it is accepted: its answer may be lost
        return self._accepted(GuardItem.parse(await self._store.write(write)), sent_at)

    def _accepted(self, item: GuardItem, sent_at: float) -> AcceptedAttempt:
        return AcceptedAttempt(item, sent_at, self._took_over)

    def _is_mine(self, item: GuardItem) -> bool:
        return item.acquire_id == self._candidate.acquire_id

    def _is_unchanged(self, current: GuardItem | None, left: GuardItem) -> bool:
        if current is None:
            return False
        return (current.born, current.head, current.commit_id) == (left.born, left.head, left.commit_id)

    def _holders_item(self, item: GuardItem | None) -> GuardItem:
        """Return the item that stands in the way; a write that was refused without any is not tried again."""
        if item is None:
            raise fenced(self._session_key, 0 if self._item_left is None else self._item_left.epoch, None)
        return item
