"""Wall clocks that are wrong by more than a session is kept: no life is ended by one, and a dead holder's ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from segue.admin.fork import commits_of, create
from segue.admin.listing import facts_of
from segue.admin.verify import verify
from segue.cli.follow import Follower
from segue.errors import SessionExists, SessionFenced, SessionHeld, SessionNotFound
from segue.journal.reader import read_unheld
from segue.journal.records import Record
from segue.lease import transitions
from segue.lease.item import GuardItem
from segue.lease.item_reader import read_item
from segue.lease.lease import Lease
from segue.lease.settings import LeaseSettings
from segue.session.session import TOMBSTONE_SECONDS
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.testing import ManualClock

KEY = "default/talk"
DAY = 86_400
NOW = 1_800_000_000.0
RETENTION_SECONDS = 30 * DAY
LEASE = LeaseSettings(duration=10.0, heartbeat=3.0, margin=1.0)
WRONG = [-40_000 * DAY, -400 * DAY, 400 * DAY, 40_000 * DAY]


class Wrong(ManualClock):
    """A machine's clock: counts seconds well, and is off by many. Advances by itself when a task waits."""

    def __init__(self, off: float, between: Callable[[], Any] | None = None) -> None:
        super().__init__(NOW)
        self.off = off
        self._between = between

    def wall(self) -> float:
        return max(0.0, self._now + self.off)

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self._between is not None:
            await self._between()


class Telling(MemoryGuard):
    """Storage that has a clock of its own, which is right."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW

    def wall(self) -> float:  # type: ignore[override]
        return self.now


def item(store: MemoryGuard) -> GuardItem:
    return GuardItem.parse(store.items[KEY])


def leased(store: MemoryGuard, clock: ManualClock, **options: Any) -> Lease:
    return Lease(store, KEY, settings=LEASE, holder="h", retention_s=RETENTION_SECONDS, clock=clock, **options)


@pytest.fixture(params=[MemoryGuard, Telling], ids=["without a clock", "with a clock"])
def store(request: pytest.FixtureRequest) -> MemoryGuard:
    """Storage as a directory is, and as DynamoDB is."""
    made: MemoryGuard = request.param()
    return made


@pytest.mark.parametrize("off", WRONG)
async def test_a_living_holder_keeps_its_session_from_those_whose_clock_is_wrong(
    store: MemoryGuard, off: float
) -> None:
    holder = leased(store, Wrong(0))
    await holder.acquire(0.0)

    with pytest.raises(SessionHeld):
        await leased(store, Wrong(off, holder.beat)).acquire(25.0)

    await holder.beat()
    assert (item(store).born, item(store).acquire_id) == (holder.mine.born, holder.mine.acquire_id)


@pytest.mark.parametrize("off", WRONG)
async def test_a_holder_whose_clock_is_wrong_keeps_its_session(store: MemoryGuard, off: float) -> None:
    holder = leased(store, Wrong(off))
    await holder.acquire(0.0)

    with pytest.raises(SessionHeld):
        await leased(store, Wrong(0, holder.beat)).acquire(25.0)

    await holder.beat()
    assert item(store).born == holder.mine.born


@pytest.mark.parametrize("off", WRONG)
async def test_no_reader_takes_a_held_session_for_an_ended_one(store: MemoryGuard, off: float) -> None:
    stores, clock = Stores(store, MemoryObjects()), Wrong(off)
    await leased(store, Wrong(0)).acquire(0.0)
    before = dict(store.items[KEY])

    assert (await read_item(store, KEY, clock)).current is not None
    assert (await read_unheld(store, stores.objects, "", KEY, clock)).records == []
    assert (await verify(stores, KEY, clock)).state == "held"
    assert facts_of(item(store), clock.wall(), "").state == "held"
    await Follower(stores, KEY, clock, 0.01).start_before_head(0)
    with pytest.raises(SessionExists):
        await create(stores, KEY, commits_of([Record(data={})]), clock)
    assert store.items[KEY] == before
    assert stores.objects.objects == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("off", WRONG)
async def test_a_free_session_ends_by_storages_time_though_the_machines_clock_is_wrong(off: float) -> None:
    """Storage's own tells."""
    store = Telling()
    before = leased(store, Wrong(off))
    await before.acquire(0.0)
    await before.release()

    for clock in (Wrong(0), Wrong(-off)):
        assert (await read_item(store, KEY, clock)).current is not None
        after = leased(store, clock)
        await after.acquire(0.0)
        assert after.mine.born == item(store).born
        await after.release()
        assert store.now + RETENTION_SECONDS - 1 <= item(store).expires_at <= store.now + RETENTION_SECONDS


@pytest.mark.parametrize("off", WRONG)
async def test_a_dead_holders_session_expires(off: float) -> None:
    store = Telling()
    dead = leased(store, Wrong(0))
    await dead.acquire(0.0)
    store.now += RETENTION_SECONDS + 2

    heir = leased(store, Wrong(off))
    with pytest.raises(SessionHeld):
        await heir.acquire(5.0)
    assert item(store).born == dead.mine.born
    await heir.acquire(15.0)

    assert item(store).born != dead.mine.born
    assert item(store).epoch == 2
    assert not heir.took_over
    with pytest.raises(SessionFenced):
        await dead.beat()


async def test_a_takeover_on_evidence_of_a_death_keeps_the_incarnation() -> None:
    """It may be wrong."""
    store = Telling()
    holder = leased(store, Wrong(0))
    await holder.acquire(0.0)
    store.now += RETENTION_SECONDS + 2

    async def dead(_: GuardItem) -> bool:
        return True

    heir = leased(store, Wrong(0))
    await heir.acquire(0.0, dead)

    assert (heir.mine.born, heir.took_over) == (holder.mine.born, True)


async def test_a_former_holder_begins_no_new_incarnation_over_a_dead_holder() -> None:
    store = Telling()
    first = leased(store, Wrong(0))
    await first.acquire(0.0)
    await first.release()
    left = first.item
    await leased(store, Wrong(0)).acquire(0.0)
    store.now += RETENTION_SECONDS + 2

    with pytest.raises(SessionFenced):
        await first.acquire(30.0, left=left)

    assert item(store).born == left.born  # type: ignore[union-attr]


class Late(Telling):
    """Lets a write of the holder arrive just before another's that begins a life."""

    late: ConditionalWrite | None = None

    async def write(self, write: ConditionalWrite) -> Attributes:
        late, self.late = self.late, None
        if late is not None and "born" in write.assign:
            await super().write(late)
        else:
            self.late = late
        return await super().write(write)


@pytest.mark.parametrize("kind", ["beat", "commit"])
async def test_a_holder_that_writes_after_all_keeps_its_session_though_the_write_says_an_old_time(kind: str) -> None:
    store = Late()
    holder = leased(store, Wrong(0))
    await holder.acquire(0.0)
    committed: Attributes = {"head": 1, "tail": ["0.1.x"], "commit_id": "x"}
    changes: Attributes = {} if kind == "beat" else committed
    old = holder.expires_at
    store.late = transitions.commit(holder.mine, changes, old) if changes else transitions.beat(holder.mine, old)
    store.now += RETENTION_SECONDS + 2

    with pytest.raises(SessionHeld):
        await leased(store, Wrong(0)).acquire(15.0)

    assert store.late is None, "the late write has arrived"
    assert item(store).born == holder.mine.born
    assert item(store).head == (1 if changes else 0)


@pytest.mark.parametrize("off", WRONG)
async def test_every_expiry_is_reckoned_from_storages_own_time(off: float) -> None:
    store, clock = Telling(), Wrong(off)
    stores = Stores(store, MemoryObjects())
    lease = leased(store, clock)

    await lease.acquire(0.0)
    assert item(store).born_at == store.now
    assert item(store).expires_at == store.now + RETENTION_SECONDS
    for act in (lease.beat, lease.release, lambda: lease.acquire(0.0)):
        store.now += 7
        await act()
        assert item(store).expires_at == int(store.now) + RETENTION_SECONDS - 7 * (act == lease.release)
    assert lease.expires_at == store.now + RETENTION_SECONDS, "a commit's expiry is reckoned from storage's time"
    store.now += 7
    await lease.bury(TOMBSTONE_SECONDS)
    assert item(store).expires_at == store.now + TOMBSTONE_SECONDS

    store.now += 7
    copy = await create(stores, KEY, commits_of([Record(data={})]), clock, retention_s=DAY)
    assert (copy.born_at, copy.expires_at) == (store.now, store.now + DAY)


async def test_a_machine_whose_clock_has_fallen_back_leaves_an_item_that_can_be_right() -> None:
    """A directory has no other clock; but what lives has begun, and not before it was born."""
    store = MemoryGuard()
    born = leased(store, Wrong(0))
    await born.acquire(0.0)
    await born.release()

    fallen = leased(store, Wrong(-40_000 * DAY))
    for act in (lambda: fallen.acquire(0.0), fallen.beat, fallen.release):
        await act()
        assert item(store).expires_at == NOW + RETENTION_SECONDS
    await fallen.acquire(0.0)
    await fallen.bury(TOMBSTONE_SECONDS)
    assert item(store).expires_at == NOW + TOMBSTONE_SECONDS


async def test_a_free_session_expires_by_storages_own_time() -> None:
    store, clock = Telling(), Wrong(-400 * DAY)
    lease = leased(store, clock)
    await lease.acquire(0.0)
    await lease.release()
    store.now += RETENTION_SECONDS + 2

    assert (await read_item(store, KEY, clock)).current is None
    with pytest.raises(SessionNotFound):
        await read_unheld(store, MemoryObjects(), "", KEY, clock)
    copy = await create(Stores(store, MemoryObjects()), KEY, commits_of([Record(data={})]), clock)
    assert copy.epoch == 3
