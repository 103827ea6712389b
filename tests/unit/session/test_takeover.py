"""Evidence of a holder's death: asked for again while it is not certain, and weaker than the holder's own writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from segue.errors import SessionHeld
from segue.lease.holder_watch import PROBE_AGAIN_SECONDS
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.lease.settings import LeaseSettings
from segue.storage.memory import MemoryGuard
from segue.testing import ManualClock

LEASE = LeaseSettings(duration=10.0, heartbeat=3.0, margin=1.0)


class _Clock(ManualClock):
    """Advances by itself when a task waits."""

    async def sleep(self, seconds: float) -> None:
        await self.advance(seconds)


@pytest.fixture
def clock() -> ManualClock:
    return _Clock()


@pytest.fixture
def lease(clock: ManualClock) -> Callable[[str], Lease]:
    store = MemoryGuard()
    return lambda holder: Lease(store, "default/talk", settings=LEASE, holder=holder, clock=clock)


async def test_a_holder_that_dies_while_it_is_watched_is_found_out_before_its_lease_ends(
    lease: Any, clock: Any
) -> None:
    await lease("old").acquire(0.0)
    began, asked = clock.now(), []

    async def dead_later(_: GuardItem) -> bool:
        asked.append(clock.now() - began)
        return bool(asked[-1] >= 2.0)

    taken = await lease("new").acquire(15.0, dead_later)

    assert (taken.holder, taken.epoch) == ("new", 2)
    assert 2.0 <= clock.now() - began <= 2.0 + 2 * PROBE_AGAIN_SECONDS
    assert all(later - earlier >= PROBE_AGAIN_SECONDS for earlier, later in itertools.pairwise(asked))


async def test_a_probe_that_knows_the_holder_to_live_ends_the_wait(lease: Any, clock: Any) -> None:
    await lease("old").acquire(0.0)
    began = clock.now()

    async def lives(item: GuardItem) -> bool:
        raise SessionHeld("old", item.epoch)

    with pytest.raises(SessionHeld):
        await lease("new").acquire(15.0, lives)
    assert clock.now() == began


async def test_a_holder_that_renews_its_lease_while_it_is_probed_keeps_it(lease: Any, clock: Any) -> None:
    """Wrong evidence: the write is conditional on the very state that was probed."""
    holder = lease("old")
    await holder.acquire(0.0)

    async def wrong(_: GuardItem) -> bool:
        await holder.beat()
        return True

    with pytest.raises(SessionHeld):
        await lease("new").acquire(15.0, wrong)
    await holder.beat()
