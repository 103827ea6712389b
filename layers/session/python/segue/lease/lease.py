"""The lease: the right to write a session, held by one holder, kept alive by a heartbeat.

Acquiring is: read the item, decide whether one may *try* (it is free, its ``beat`` stood still for
``lease_ms`` of one's own watching, or there is evidence that its holder is dead), and write on the exact
state that was read. Whether one may try is a matter of manners; that only one wins is the conditional write's.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace

from segue.clock import Clock, SystemClock
from segue.errors import RELEASED, SessionFenced, StorageUnavailable
from segue.ids import new_id, shown
from segue.lease import transitions
from segue.lease.item import GuardItem
from segue.lease.item_reader import Look, look, wall_of
from segue.lease.takeover import Probe, Trying, Watch
from segue.lease.waiting import MakeWay, Waiting
from segue.storage.interface import ConditionalWrite, ConditionFailed, GuardStore

logger = logging.getLogger(__name__)

_POLL_S = 0.25
"""Seconds between two looks at an item that somebody holds. A look is one consistent read (half a unit)."""

_BACKOFF_S = (0.05, 2.0)
"""First and longest pause after storage failed."""

_SHORTEST_REQUEST_S = 6.0
_SHORTEST_HEARTBEAT_S = 2.0
"""However short a lease is: with less time than this, a busy machine's requests would be sent again for nothing. What
keeps the lease is the next heartbeat, which does not wait for this one."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """How long a silent holder keeps a session, and how often a living one shows itself.

    Attributes:
        duration: Seconds that ``beat`` may stay the same before others may take over.
        heartbeat: Seconds between two heartbeats at most while nothing is committed.
        margin: Seconds before the end of the lease at which a holder that could not renew it falls silent.
    """

    duration: float = 10.0
    heartbeat: float = 3.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings with which a healthy holder would lose its lease."""
        if not 0 < self.heartbeat <= (self.duration - self.margin) / 2 or self.margin <= 0:
            raise ValueError(
                f"lease of {self.duration} s, heartbeat every {self.heartbeat} s, margin of {self.margin} s: "
                "the heartbeat must be positive and fit twice into the duration less the margin"
            )

    @property
    def request_timeout(self) -> float:
        """Seconds that a request to the guard may take, repeats of its client included.

        What is answered later comes when the holder has fallen silent.
        """
        return max(self.duration - self.margin, _SHORTEST_REQUEST_S)

    @property
    def heartbeat_timeout(self) -> float:
        """Seconds that a heartbeat may take. What is answered later renews less than the next heartbeat does."""
        return max(self.duration - self.margin - self.heartbeat, _SHORTEST_HEARTBEAT_S)


class Lease:
    """One holder's lease on one session. Used on one event loop.

    Attributes:
        session_key: Which session.
        item: The guard item as the last accepted write left it; None before the first acquisition.
        took_over: Whether the latest acquisition was from a holder that had not released.
        lost: How it turned out that somebody else has the session; None while it did not.
        releasing: Whether a release is under way: then a refusal is no loss, it may come of that.
    """

    def __init__(  # noqa: PLR0913 - each names one thing of a holder
        self,
        store: GuardStore,
        session_key: str,
        *,
        settings: LeaseSettings | None = None,
        holder: str = "",
        endpoint: str | None = None,
        retention_s: int = 365 * 86_400,
        prefix: str | None = None,
        clock: Clock | None = None,
        make_way: MakeWay | None = None,
        heartbeats: GuardStore | None = None,
    ) -> None:
        """Prepare; no I/O.

        Args:
            store: Where the guard items are.
            heartbeats: The same, for heartbeats; default: ``store``.
            session_key: Which session, ``<principal>/<session_id>``.
            settings: Duration and heartbeat.
            holder: How the holder calls itself, for people.
            endpoint: Where the holder takes frames, if it does.
            retention_s: Seconds after the last sign of life at which the session expires.
            prefix: Of the session's object keys, written into the item; None: whatever it says.
            clock: Where time comes from.
            make_way: Releases the session if it is this process that holds it, and nothing uses it any more.
        """
        self.settings = settings or LeaseSettings()
        self.item: GuardItem | None = None
        self.took_over = False
        self.lost: SessionFenced | None = None
        self.releasing = False
        self._store = store
        self._heartbeats = heartbeats or store
        self.session_key = session_key
        self._holder = holder
        self._endpoint = endpoint
        self._retention_s = retention_s
        self._prefix = prefix
        self._clock = clock or SystemClock()
        self._make_way = make_way
        self._renewed_at = -float("inf")

    @property
    def held(self) -> bool:
        """Whether, for all this process knows, it is the holder. Only a conditional write is sure."""
        return self.item is not None and self.item.held

    @property
    def epoch(self) -> int:
        """The fencing token of the latest acquisition, 0 before the first."""
        return self.item.epoch if self.item else 0

    @property
    def mine(self) -> GuardItem:
        """The item, as its holder.

        Raises:
            SessionFenced: The lease was lost or let go.
        """
        if self.item is None or not self.item.held:
            raise self.lost or self.fenced(None)
        return self.item

    @property
    def fresh_for(self) -> float:
        """Seconds that the holder may still speak for the session; negative once it must fall silent.

        Counted from *sending* the last renewal that succeeded: the answer may have been slow.
        """
        return self._renewed_at + self.settings.duration - self.settings.margin - self._clock.now()

    @property
    def expires_at(self) -> int:
        """The TTL that a write now sets, in seconds since 1970."""
        return self._expiry(self._retention_s)

    def _expiry(self, seconds: int) -> int:
        """So many seconds from now by storage's own clock, which is what the TTL is held against.

        Where storage tells no time, a machine's clock may be years behind; but a life that goes on has begun.
        """
        began = 0.0 if self.item is None else self.item.born_at
        return int(max(wall_of(self._store, self._clock), began)) + seconds

    async def acquire(
        self, timeout: float, probe: Probe | None = None, left: GuardItem | None = None, trying: Trying | None = None
    ) -> GuardItem:
        """Become the holder.

        Args:
            timeout: Seconds to wait for a session that somebody holds. 0 tries once.
            probe: Evidence of death, asked once for each new state of a held item.
            left: The item as this holder left it, if it wants to go on where it was.
            trying: Told of each living item that an attempt is about to be made on, so that it can be read meanwhile.

        Returns:
            The item as the acquisition left it. Restoring starts from it.

        Raises:
            SessionHeld: Somebody kept it until the timeout.
            SessionFenced: The session is not as it was ``left``: somebody wrote in between, or it ended.
            JournalCorrupt: Its item cannot be right.
            StorageRefused: Storage says no, or the session's objects are under another prefix.
            StorageUnavailable: Storage did not answer until the timeout.
        """
        candidate = transitions.Candidate(
            acquire_id=new_id(),
            holder=self._holder,
            lease_ms=int(self.settings.duration * 1000),
            endpoint=self._endpoint,
            route_token=new_id(),
            retention_s=self._retention_s,
            prefix=self._prefix,
        )
        waiting = Waiting(self.session_key, self._clock, timeout, self._make_way)
        watch = Watch(self._clock, probe)
        pause = _BACKOFF_S[0]
        while True:
            try:
                held_by = await self._attempt(candidate, watch, left, trying)
            except StorageUnavailable:
                if waiting.over:
                    raise
                waiting.unanswered()
                await self._clock.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _BACKOFF_S[1])
                continue
            if held_by is None:
                waiting.ended()
                return self.mine
            if await waiting.released(held_by):
                continue
            if waiting.over:
                raise waiting.refusal(held_by)
            waiting.held(held_by)
            await self._clock.sleep(min(_POLL_S, max(0.01, waiting.left)))

    async def _attempt(
        self, candidate: transitions.Candidate, watch: Watch, left: GuardItem | None, trying: Trying | None
    ) -> GuardItem | None:
        """Look, and try if that is allowed. Returns the item of whoever has it instead, None if it is mine now."""
        found = await self._look()
        seen = found.item
        if seen is not None and seen.acquire_id == candidate.acquire_id:
            self._won(seen, watch.looked_at)  # an answer was lost, the write was not
            return None
        if left is not None and not self._as_left(found.living, left):
            raise self.fenced(_name_of(seen), left.epoch)
        if not await watch.may_try(seen):
            return seen
        alive = None if seen is None or seen.ended(found.at, silent=watch.silent) else seen
        if left is not None and alive is None:
            raise self.fenced(None, left.epoch)
        if trying is not None and alive is not None:
            trying(alive)
        try:
            await self._try(seen, alive, candidate, found.at)
        except ConditionFailed as lost:
            winner = _winner(lost)
            if winner is None or winner.acquire_id != candidate.acquire_id:
                return winner or seen
            self._won(winner, watch.looked_at)
        return None

    async def beat(self) -> None:
        """Show that the holder lives.

        Raises:
            SessionFenced: It is the holder no more.
            StorageUnavailable: Unknown; try again soon.
        """
        await self._write(transitions.beat(self.mine, self.expires_at), self._heartbeats)

    async def write(self, write: ConditionalWrite) -> GuardItem:
        """Send a holder's write, and take its answer as the new item.

        Raises:
            SessionFenced: The session was acquired anew, or ended.
            ConditionFailed: Something else than the holder differs (the caller knows what that means).
            StorageUnavailable: Unknown; only the identical write may follow.
        """
        return await self._write(write, self._store)

    async def _write(self, write: ConditionalWrite, store: GuardStore) -> GuardItem:
        mine, sent_at = self.mine, self._clock.now()
        try:
            answer = GuardItem.parse(await store.write(write))
        except ConditionFailed as lost:
            if (winner := _winner(lost)) is not None and winner.acquire_id == mine.acquire_id:
                raise
            raise self._lose(mine, winner) from lost
        return self._renewed(mine, answer, sent_at)

    def adopt(self, item: GuardItem, sent_at: float) -> None:
        """Take an item that proves that an earlier write of mine was accepted, though its answer was lost."""
        self._renewed(self.mine, item, sent_at)

    async def release(self) -> None:
        """Let go. Does nothing if the lease is lost already.

        Raises:
            StorageUnavailable: The outcome could not be learnt; the lease expires by itself.
        """
        if self.item is None or not self.item.held:
            return
        write = transitions.release(self.item)
        self.releasing = True
        try:
            self.item = GuardItem.parse(await self._store.write(write))
        except ConditionFailed:
            self.forget()  # an answer was lost, or somebody else has it; acquiring again will tell
        finally:
            self.releasing = False

    async def bury(self, seconds: int) -> GuardItem:
        """End the session's life, or learn that it has ended: the answer that said so may have been lost.

        Args:
            seconds: How long the tombstone stays.

        Returns:
            The tombstone.

        Raises:
            SessionFenced: The session is someone else's.
            StorageUnavailable: Unknown. Bury again: the second call finds a tombstone that stands.
        """
        try:
            while True:
                mine = self.mine
                try:
                    return await self.write(transitions.bury(mine, self._expiry(seconds)))
                except ConditionFailed as lost:
                    self.adopt(GuardItem.parse(lost.item or {}), -float("inf"))  # a commit's answer was lost
        except SessionFenced:
            seen = (await self._look()).item
            if self.item is None or seen is None or not seen.deleted or seen.born != self.item.born:
                raise
            self.item = seen
            return seen

    async def check(self) -> None:
        """Read the item and see that it is mine still.

        Raises:
            SessionFenced: It is not.
            StorageUnavailable: Unknown.
        """
        mine = self.mine
        seen = (await self._look()).item
        if seen is None or seen.acquire_id != mine.acquire_id:
            raise self._lose(mine, seen)

    def fenced(self, winner: str | None, epoch: int | None = None) -> SessionFenced:
        """The error for a writer of this session whose time is over; ``epoch``: if it is not the present one."""
        epoch = self.epoch if epoch is None else epoch
        return SessionFenced(epoch, winner, self.session_key, shown=shown(self.session_key))

    def forget(self) -> None:
        """Be the holder no more, whatever the item says: it expires by itself."""
        if self.item is not None:
            self.item = replace(self.item, acquire_id=None)

    def _lose(self, mine: GuardItem, winner: GuardItem | None) -> SessionFenced:
        """Know that the session is someone else's. A lease that was let go or taken anew meanwhile is none of this."""
        fenced = self.fenced(_name_of(winner), mine.epoch)
        if self.item is not None and self.item.acquire_id == mine.acquire_id and not self.releasing:
            self.forget()
            self.lost = fenced
        return fenced

    def _as_left(self, alive: GuardItem | None, left: GuardItem) -> bool:
        if alive is None:
            return False
        return (alive.born, alive.head, alive.commit_id) == (left.born, left.head, left.commit_id)

    async def _look(self) -> Look:
        return await look(self._store, self.session_key, self._clock, self._prefix)

    async def _try(
        self, seen: GuardItem | None, alive: GuardItem | None, candidate: transitions.Candidate, at: float
    ) -> None:
        sent_at = self._clock.now()
        if alive is None:
            write = transitions.begin_life(self.session_key, seen, candidate, at)
        else:
            write = transitions.take(alive, candidate, at)
        self.took_over = alive is not None and alive.held  # if it is accepted: its answer may be lost
        self._won(GuardItem.parse(await self._store.write(write)), sent_at)

    def _won(self, item: GuardItem, sent_at: float) -> None:
        self.item, self.lost = item, None
        self._renewed_at = sent_at
        facts = {"session": self.session_key, "epoch": item.epoch, "takeover": self.took_over}
        logger.debug("lease acquired", extra=facts)

    def _renewed(self, mine: GuardItem, item: GuardItem, sent_at: float) -> GuardItem:
        """Take an answer, unless it is older than what is known.

        A heartbeat's answer may come in after that of a commit sent later: ``beat`` tells. It may even come in
        after a release, when there is nothing to renew any more.
        """
        known = self.item
        if known is not None and known.acquire_id == mine.acquire_id:
            if known.beat <= item.beat:
                self.item = item
            self._renewed_at = max(self._renewed_at, sent_at)
        return item


def _winner(lost: ConditionFailed) -> GuardItem | None:
    return None if lost.item is None else GuardItem.parse(lost.item)


def _name_of(winner: GuardItem | None) -> str | None:
    """Who took a session, None if its life is over."""
    return None if winner is None or winner.deleted else winner.holder or RELEASED
