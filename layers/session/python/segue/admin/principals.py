"""Everything of one principal, deleted: its sessions, and objects that no guard item names.

Nothing is indexed by principal: the lock table is scanned, page by page, and the principal's objects are listed. Each
session is deleted as ``segue sessions delete`` does it, with its lease. A deletion that was cut short is finished by
the same call again: what is deleted already is passed over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from segue.admin.delete_release import delete
from segue.admin.key_pages import key_pages
from segue.admin.progress import Progress
from segue.admin.silent_holders import READS
from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionHeld, SessionNotFound
from segue.ids import shown
from segue.journal.garbage import COPY_SECONDS
from segue.lease.item_check import born_at, is_born
from segue.lease.item_reader import storage_time
from segue.storage.stores import Stores


@dataclass(slots=True)
class DeletedPrincipal:
    """The outcome of the deletion of a principal's sessions.

    Attributes:
        sessions: Sessions that were deleted now.
        objects: Objects that were deleted now.
        held: Sessions that a holder kept, each with the holder's name.
        unreadable: Sessions whose guard item is damaged, each with the damage. They are left.
        young: Objects of no session that are too new to be told from a copy under way. Delete again in two hours.
        foreign: Keys of objects that Segue did not make. They are left.
    """

    sessions: int = 0
    objects: int = 0
    held: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    young: int = 0
    foreign: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """True if nothing of the principal is left but tombstones, which expire."""
        return not (self.held or self.unreadable or self.young or self.foreign)


async def delete_principal(
    stores: Stores, clock: Clock, principal: str, *, wait: bool, progress: Progress
) -> DeletedPrincipal:
    """Delete all sessions of a principal, and then the objects that no session of it has.

    Args:
        stores: Where the sessions are kept.
        clock: Where time comes from.
        principal: Whose.
        wait: Whether to wait for silent holders, each for its lease.
        progress: Told of every session, and of how many were found so far.

    Raises:
        StorageUnavailable: Storage does not answer. Delete again.
        StorageRefused: Storage says no.
    """
    done = DeletedPrincipal()
    kept: set[str] = set()
    found = seen = 0
    async for keys in key_pages(stores.guard, f"{principal}/"):
        found += len(keys)
        for start in range(0, len(keys), READS):
            batch = keys[start : start + READS]
            outcomes = await asyncio.gather(*(_delete(stores, clock, key, done, wait=wait) for key in batch))
            kept |= {key for key, gone in zip(batch, outcomes, strict=True) if not gone}
            seen += len(batch)
            progress(seen, found)
    await _delete_ownerless(stores, clock, principal, kept, done)
    return done


async def _delete(stores: Stores, clock: Clock, key: str, done: DeletedPrincipal, *, wait: bool) -> bool:
    """Delete one session; False if it is kept."""
    try:
        objects = await delete(stores, key, clock, wait=wait)
    except SessionHeld as held:
        done.held[shown(key)] = held.holder
        return False
    except JournalCorrupt as damage:
        done.unreadable[shown(key)] = str(damage)
        return False
    except SessionNotFound:
        return True  # deleted before, with all of its objects
    done.sessions, done.objects = done.sessions + 1, done.objects + objects
    return True


async def _delete_ownerless(
    stores: Stores, clock: Clock, principal: str, kept: set[str], done: DeletedPrincipal
) -> None:
    """Delete objects of ended incarnations, by the age that garbage collection goes by."""
    root = f"{stores.prefix}sessions/"
    by_session: defaultdict[str, list[str]] = defaultdict(list)
    for key in await stores.objects.list(f"{root}{principal}/"):
        by_session["/".join(key.removeprefix(root).split("/")[:2])].append(key)
    over: list[str] = []
    for session, keys in by_session.items():
        if session in kept or await _has_begun_again(stores, session):
            continue
        now = storage_time(stores.guard, clock)
        for key in keys:
            born = key.removeprefix(f"{root}{session}/").partition("/")[0]
            if not is_born(born):
                done.foreign.append(key)
            elif now - born_at(born) > 2 * COPY_SECONDS:
                over.append(key)
            else:
                done.young += 1
    if over:
        await stores.objects.delete(over)
        done.objects += len(over)


async def _has_begun_again(stores: Stores, session: str) -> bool:
    """Tell whether a session has begun again since its deletion. It is a new one, and stays."""
    item = await stores.guard.read(session)
    return item is not None and "deleted" not in item
