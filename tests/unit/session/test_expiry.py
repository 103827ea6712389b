"""A session expires while a process is about to acquire it: its end is decided once, as it was read."""

from __future__ import annotations

import pytest

from segue.errors import SessionFenced, StorageUnavailable
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite
from segue.storage.memory import MemoryGuard
from segue.testing import ManualClock

RETENTION_SECONDS = 60


class _Clock(ManualClock):
    """Advances by itself when a task waits."""

    async def sleep(self, seconds: float) -> None:
        await self.advance(seconds)


class _Guard(MemoryGuard):
    """Once told to, holds a write back until the item is read next; the reader is then stopped for long."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.holding_back = False
        self._late: ConditionalWrite | None = None
        self._clock = clock

    async def write(self, write: ConditionalWrite) -> Attributes:
        if self.holding_back:
            self.holding_back, self._late = False, write
            raise StorageUnavailable("no answer")
        return await super().write(write)

    async def read(self, session_key: str) -> Attributes | None:
        found = await super().read(session_key)
        if self._late is not None:
            late, self._late = self._late, None
            await super().write(late)
            await self._clock.advance(RETENTION_SECONDS)
        return found


async def _released(lease: Lease) -> GuardItem:
    await lease.acquire(0.0)
    await lease.release()
    assert lease.item is not None
    return lease.item


async def test_a_holder_stopped_after_its_read_is_not_fenced_from_a_live_incarnation() -> None:
    clock = _Clock()
    store = _Guard(clock)
    lease = Lease(store, "default/talk", retention_s=RETENTION_SECONDS, clock=clock)
    left = await _released(lease)
    await clock.advance(RETENTION_SECONDS / 2)
    store.holding_back = True

    taken = await lease.acquire(RETENTION_SECONDS * 2.0, left=left)

    assert (taken.born, taken.held) == (left.born, True)


async def test_an_acquisition_that_goes_on_with_a_released_item_keeps_its_incarnation() -> None:
    clock, store = _Clock(), MemoryGuard()
    lease, other = (Lease(store, "default/talk", retention_s=RETENTION_SECONDS, clock=clock) for _ in range(2))
    left = await _released(lease)
    await other.acquire(0.0)

    async def slow(item: GuardItem) -> bool:
        await clock.advance(RETENTION_SECONDS * 2)
        return True

    taken = await lease.acquire(0.0, slow, left)

    assert taken.born == left.born, "else its records would be those of the old life, and its tail the new one's"


async def test_a_session_that_expired_before_it_was_read_gets_a_new_incarnation() -> None:
    clock, store = _Clock(), MemoryGuard()
    lease = Lease(store, "default/talk", retention_s=RETENTION_SECONDS, clock=clock)
    left = await _released(lease)
    await clock.advance(RETENTION_SECONDS * 2)

    with pytest.raises(SessionFenced):
        await lease.acquire(0.0, left=left)

    assert (await lease.acquire(0.0)).born != left.born
