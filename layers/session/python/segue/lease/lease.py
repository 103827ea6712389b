"""The lease: the right to write a session, held by one holder, renewed by heartbeats.

An acquisition reads the item, decides whether to *try*, and writes on the exact state that was read. It may try if the
item is free, its ``beat`` stood still for ``lease_ms`` on the candidate's own clock, or a probe tells that the holder
is dead. That decision is advisory: the conditional write lets only one candidate win.
"""

from __future__ import annotations

import logging

import msgspec

from segue.clock import Clock, SystemClock
from segue.errors import SessionFenced
from segue.ids import new_id
from segue.lease import transitions
from segue.lease.attempts import AcceptedAttempt, AcquisitionAttempts
from segue.lease.fencing import fenced, name_of, winner_of
from segue.lease.holder_watch import OnAttempt, Probe
from segue.lease.item import GuardItem
from segue.lease.item_check import expiry
from segue.lease.item_reader import ItemReading, read_item, storage_time
from segue.lease.settings import LeaseSettings
from segue.lease.waiting import AcquisitionWait, ReleaseUnused
from segue.storage.interface import ConditionalWrite, ConditionFailed, GuardStore

logger = logging.getLogger(__name__)


class Lease:
    """One holder's lease on one session. Used on one event loop.

    Attributes:
        session_key: The session's key.
        item: The guard item as the last accepted write left it; None before the first acquisition.
        took_over: Whether the latest acquisition was from a holder that had not released.
        lost: The error that showed that another holder has the session; None while none did.
        releasing: Whether a release is under way: a refusal may then be the release's own effect, and is no loss.
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
        release_unused: ReleaseUnused | None = None,
        heartbeats: GuardStore | None = None,
    ) -> None:
        """Prepare; no I/O.

        Args:
            store: Store of guard items.
            heartbeats: The same items, for heartbeats; default: ``store``.
            session_key: The session's key, ``<principal>/<session_id>``.
            settings: Duration and heartbeat.
            holder: The holder's name, for people.
            endpoint: Address at which the holder takes frames, if it does.
            retention_s: Seconds after the last renewal or commit at which the session expires.
            prefix: Prefix of the session's object keys, written into the item; None: the item's own.
            clock: Source of time.
            release_unused: Releases the session if this process holds it and nothing uses it any more.
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
        self._release_unused = release_unused
        self._renewed_at = -float("inf")

    @property
    def held(self) -> bool:
        """Tell whether this process is the holder, as far as it knows. Only a conditional write decides."""
        return self.item is not None and self.item.held

    @property
    def epoch(self) -> int:
        """The fencing token of the latest acquisition, 0 before the first."""
        return self.item.epoch if self.item else 0

    @property
    def mine(self) -> GuardItem:
        """The item of this holder.

        Raises:
            SessionFenced: The lease was lost or released.
        """
        if self.item is None or not self.item.held:
            raise self.lost or self.fenced(None)
        return self.item

    @property
    def renewed_at(self) -> float:
        """The time, on the lease's clock, at which the last write was sent that storage accepted from this holder."""
        return self._renewed_at

    @property
    def fresh_for(self) -> float:
        """Seconds until the holder must fall silent; negative once it must.

        Counted from *sending* the last renewal that succeeded: its answer may have been slow.
        """
        return self._renewed_at + self.settings.duration - self.settings.margin - self._clock.now()

    @property
    def expires_at(self) -> int:
        """The TTL that a write now sets, in seconds since 1970."""
        return self._expiry(self._retention_s)

    def _expiry(self, seconds: int) -> int:
        """Return the time in ``seconds``, by storage's own clock, which DynamoDB's TTL goes by.

        Where storage tells no time, this machine's clock may be years behind. So it counts from ``born`` at least.
        """
        began = 0.0 if self.item is None else self.item.born_at
        return expiry(max(storage_time(self._store, self._clock), began), seconds)

    async def acquire(
        self, timeout: float, probe: Probe | None = None, left: GuardItem | None = None, trying: OnAttempt | None = None
    ) -> GuardItem:
        """Become the holder.

        Args:
            timeout: Seconds to wait for a session that another process holds. 0 tries once.
            probe: Evidence that the holder is dead, asked for each new state of a held item, and again while it stays.
            left: The item as this holder released it, to go on from there.
            trying: Called with the item of a session that has not ended, just before an attempt, to read meanwhile.

        Returns:
            The item as the acquisition left it. Restoring starts from it.

        Raises:
            SessionHeld: Another holder kept it until the timeout.
            SessionFenced: The session is not as it was ``left``: another holder wrote in between, or it ended.
            JournalCorrupt: Its item cannot be right.
            StorageRefused: Storage refuses, or the session's objects are under another prefix.
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
        attempts = AcquisitionAttempts(
            self._store, self.session_key, self._clock, candidate, probe=probe, left=left, trying=trying
        )
        waiting = AcquisitionWait(self.session_key, self._clock, timeout, self._release_unused)
        self._note_acquired(await attempts.run(waiting))
        return self.mine

    async def beat(self) -> None:
        """Send a heartbeat.

        Raises:
            SessionFenced: This process is not the holder any more.
            StorageUnavailable: The outcome is unknown; send another heartbeat soon.
        """
        await self._write(transitions.beat(self.mine, self.expires_at), self._heartbeats)

    async def write(self, write: ConditionalWrite) -> GuardItem:
        """Send a holder's write, and take its answer as the new item.

        Raises:
            SessionFenced: The session was acquired anew, or ended.
            ConditionFailed: Another clause than the holder's failed; the caller knows its meaning.
            StorageUnavailable: The outcome is unknown; only the identical write may follow.
        """
        return await self._write(write, self._store)

    async def _write(self, write: ConditionalWrite, store: GuardStore) -> GuardItem:
        mine, sent_at = self.mine, self._clock.now()
        try:
            answer = GuardItem.parse(await store.write(write))
        except ConditionFailed as lost:
            if (winner := winner_of(lost)) is not None and winner.acquire_id == mine.acquire_id:
                raise
            raise self._note_lost(mine, winner) from lost
        return self._note_renewed(mine, answer, sent_at)

    def adopt(self, item: GuardItem, sent_at: float) -> None:
        """Take over an item that proves that an earlier write was accepted, though its answer was lost."""
        self._note_renewed(self.mine, item, sent_at)

    async def release(self) -> None:
        """Release the lease. Does nothing if it is not held.

        Raises:
            StorageUnavailable: The outcome is unknown; the lease expires.
        """
        if self.item is None or not self.item.held:
            return
        write = transitions.release(self.item)
        self.releasing = True
        try:
            self.item = GuardItem.parse(await self._store.write(write))
        except ConditionFailed:
            self.forget()  # an answer was lost, or another holder has it; acquiring again will tell
        finally:
            self.releasing = False

    async def bury(self, seconds: int) -> GuardItem:
        """End the session with a tombstone, or find the tombstone that an earlier call left, whose answer was lost.

        Args:
            seconds: Seconds that the tombstone stays.

        Returns:
            The tombstone.

        Raises:
            SessionFenced: Another holder has the session.
            StorageUnavailable: The outcome is unknown. Call again: a tombstone that stands is found.
        """
        try:
            while True:
                mine = self.mine
                try:
                    return await self.write(transitions.bury(mine, self._expiry(seconds)))
                except ConditionFailed as lost:
                    self.adopt(GuardItem.parse(lost.item or {}), -float("inf"))  # a commit's answer was lost
        except SessionFenced:
            seen = (await self._read_item()).item
            if self.item is None or seen is None or not seen.deleted or seen.born != self.item.born:
                raise
            self.item = seen
            return seen

    async def check(self) -> None:
        """Read the item and check that this lease is still the session's.

        Raises:
            SessionFenced: It is not.
            StorageUnavailable: Storage does not answer.
        """
        mine = self.mine
        seen = (await self._read_item()).item
        if seen is None or seen.acquire_id != mine.acquire_id:
            raise self._note_lost(mine, seen)

    def fenced(self, winner: str | None, epoch: int | None = None) -> SessionFenced:
        """Return the error for a fenced writer of this session; ``epoch``: the writer's, default: the latest."""
        return fenced(self.session_key, self.epoch if epoch is None else epoch, winner)

    def forget(self) -> None:
        """Stop being the holder without a write: the lease expires."""
        if self.item is not None:
            self.item = msgspec.structs.replace(self.item, acquire_id=None)

    def _note_lost(self, mine: GuardItem, winner: GuardItem | None) -> SessionFenced:
        """Note that another holder has the session, unless this lease was released or acquired anew meanwhile."""
        error = self.fenced(name_of(winner), mine.epoch)
        if self.item is not None and self.item.acquire_id == mine.acquire_id and not self.releasing:
            self.forget()
            self.lost = error
        return error

    async def _read_item(self) -> ItemReading:
        return await read_item(self._store, self.session_key, self._clock, self._prefix)

    def _note_acquired(self, accepted: AcceptedAttempt) -> None:
        self.item, self.took_over, self.lost = accepted.item, accepted.took_over, None
        self._renewed_at = accepted.sent_at
        facts = {"session": self.session_key, "epoch": accepted.item.epoch, "takeover": self.took_over}
        logger.debug("lease acquired", extra=facts)

    def _note_renewed(self, mine: GuardItem, item: GuardItem, sent_at: float) -> GuardItem:
        """Take an answer as the new item, unless a newer one is known.

        A heartbeat's answer may come after that of a commit sent later: ``beat`` tells. It may even come after a
        release, when there is no lease to renew.
        """
        known = self.item
        if known is not None and known.acquire_id == mine.acquire_id:
            if known.beat <= item.beat:
                self.item = item
            self._renewed_at = max(self._renewed_at, sent_at)
        return item
