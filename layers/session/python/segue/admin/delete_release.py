"""Sessions deleted, and dead holders' leases freed: both take the lease as any other program does."""

from __future__ import annotations

from dataclasses import dataclass

from segue.admin.fork import answered
from segue.clock import Clock
from segue.errors import SessionNotFound, StorageUnavailable
from segue.ids import shown
from segue.journal.garbage import collect_ended, finish_deletion
from segue.lease.item import GuardItem
from segue.lease.item_reader import read_item, storage_time
from segue.lease.lease import Lease
from segue.session.options import this_process
from segue.session.runtime import Runtime
from segue.session.session import TOMBSTONE_SECONDS, Session
from segue.storage.stores import Stores

_PATIENCE_SECONDS = 2.0
"""Seconds beyond a holder's lease that are waited: the item is read every quarter of a second."""


@dataclass(frozen=True, slots=True)
class Released:
    """The outcome of a release.

    Attributes:
        needed: Whether there was a lease to free, or a redaction to finish.
        before: The guard item as it was found.
        after: The guard item now.
    """

    needed: bool
    before: GuardItem
    after: GuardItem


def watching(item: GuardItem) -> float:
    """Return the seconds of silence that show a holder to be dead."""
    return item.lease_ms / 1000 + _PATIENCE_SECONDS


async def item_of(stores: Stores, key: str, clock: Clock, *, current: bool = False) -> GuardItem:
    """Read the guard item of a session that must be there.

    Args:
        stores: Where it is kept.
        key: Its key.
        clock: Where time comes from.
        current: Whether a deleted or expired session counts as absent.

    Raises:
        SessionNotFound: It is not there.
        JournalCorrupt: The item is damaged.
        StorageUnavailable: Storage does not answer.
    """
    seen = await read_item(stores.guard, key, clock, stores.prefix)
    item = seen.current if current else seen.item
    if item is None:
        raise SessionNotFound(key, shown(key))
    return item


def session_by_hand(stores: Stores, key: str, clock: Clock, command: str) -> Session:
    """Return a session that a command of ``segue sessions`` acquires, and whose lease names it as the holder."""
    return Session(_lease(stores, key, clock, command), stores, Runtime.shared().heartbeats, clock)


def _lease(stores: Stores, key: str, clock: Clock, command: str) -> Lease:
    holder = f"segue {command} on {this_process()}"
    return Lease(stores.guard, key, holder=holder, prefix=stores.prefix, clock=clock)


async def delete(stores: Stores, key: str, clock: Clock, *, wait: bool) -> int:
    """Delete a session without reading it, so that a damaged one can be deleted too; or finish a deletion cut short.

    An expired session goes on if its holder comes back first. So a new incarnation is begun, and deleted.

    Args:
        stores: Where it is kept.
        key: Its key.
        clock: Where time comes from.
        wait: Whether to wait until a silent holder's lease has expired.

    Returns:
        The number of objects deleted.

    Raises:
        SessionHeld: A holder has it.
        SessionNotFound: It is not there, or nothing of it is left.
        StorageUnavailable: Storage does not answer. Whether it is deleted is unknown; try again.
    """
    item = await item_of(stores, key, clock)
    if item.deleted:
        left = await finish_deletion(stores.guard, stores.objects, stores.prefix, key, clock)
        if not left:
            raise SessionNotFound(key, shown(key))
        return left
    lease = _lease(stores, key, clock, "delete")
    await lease.acquire(watching(item) if wait else 0.0)
    tombstone = await answered(clock, lambda: lease.bury(TOMBSTONE_SECONDS))
    return await collect_ended(stores.objects, stores.prefix, tombstone, storage_time(stores.guard, clock))


def needs_release(item: GuardItem) -> bool:
    """Return true if a holder left its lease or a redaction."""
    return item.held or item.scrub is not None


async def release(stores: Stores, before: GuardItem, clock: Clock) -> Released:
    """Free the lease of a dead holder, and finish a redaction that it left unfinished.

    Args:
        stores: Where the session is kept.
        before: Its guard item, as it was found.
        clock: Where time comes from.

    Raises:
        SessionHeld: The holder is alive.
        SessionNotFound: The session is not there any more.
        StorageUnavailable: Storage does not answer, or the release got no answer.
    """
    if not needs_release(before):
        return Released(needed=False, before=before, after=before)
    key = before.session_key
    session = session_by_hand(stores, key, clock, "release")
    await session.open(watching(before))
    await session.close()
    after = await item_of(stores, key, clock)
    if after.held and after.epoch == session.epoch:
        expires = f"the lease of {after.holder!r} expires within {watching(after):.0f} s"
        raise StorageUnavailable(f"{shown(key)}: acquired, but its release was not answered; {expires}")
    return Released(needed=True, before=before, after=after)
