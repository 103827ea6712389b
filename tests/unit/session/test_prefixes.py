"""Two prefixes on one lock table: a session belongs to the one, and the other is told so and writes nothing."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from strands import Agent

from segue import StorageRefused
from segue.admin.delete_release import delete, item_of
from segue.admin.fork import commits_of, create, fork
from segue.admin.verify import verify
from segue.cli.follow import Follower
from segue.history.points import points
from segue.journal.reader import read_unheld
from segue.journal.records import Record
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.session.runtime import Runtime
from segue.storage.stores import Stores
from tests.support.fake_model import FakeModel
from tests.support.memory_manager import MemorySessionManager, MemoryStorage

KEY = "default/talk"
Sessions = Callable[..., Any]
CLOCK = Runtime.shared().clock


class Under(MemoryStorage):
    """The same guard and bucket, and another prefix."""

    def __init__(self, storage: MemoryStorage, prefix: str) -> None:
        super().__init__()
        self.guard, self.objects = storage.guard, storage.objects
        self.prefix = prefix

    def stores(self) -> Stores:
        there = super().stores()
        return Stores(there.guard, there.objects, self.prefix)


@pytest.fixture
def other(storage: MemoryStorage) -> Under:
    return Under(storage, "team-b/")


async def talked(manager: MemorySessionManager) -> None:
    await manager.open()
    await Agent(model=FakeModel(), session_manager=manager, callback_handler=None).invoke_async("Hello")


def attempts(other: Under) -> dict[str, Callable[[], Awaitable[Any]]]:
    stores = other.stores()
    follower = Follower(stores, KEY, CLOCK, 0.01)

    def manager() -> MemorySessionManager:
        return MemorySessionManager("talk", storage=other, acquire_timeout=0.0)

    return {
        "open": lambda: manager().open(),
        "prepare": lambda: manager().prepare(),
        "delete": lambda: manager().delete(),
        "read": lambda: read_unheld(stores.guard, stores.objects, stores.prefix, KEY, CLOCK),
        "points": lambda: points(stores, KEY, CLOCK),
        "verify": lambda: verify(stores, KEY, CLOCK),
        "fork from": lambda: fork(stores, KEY, "default/new", CLOCK),
        "copy to": lambda: create(stores, KEY, commits_of([Record(data={})]), CLOCK),
        "tail": lambda: follower.start_before_head(1),
        "release by hand": lambda: item_of(stores, KEY, CLOCK, current=True),
        "delete by hand": lambda: delete(stores, KEY, CLOCK, wait=False),
        "look by hand": lambda: item_of(stores, KEY, CLOCK),
    }


WAYS = list(attempts(Under(MemoryStorage(), "")))


@pytest.mark.slow
@pytest.mark.parametrize("state", ["free", "held", "deleted", "expired"])
@pytest.mark.parametrize("way", WAYS)
async def test_calls_under_another_prefix_are_refused_and_write_nothing(
    memory_sessions: Sessions, storage: MemoryStorage, other: Under, way: str, state: str
) -> None:
    manager = memory_sessions()
    await talked(manager)
    if state != "held":
        await manager.close()
    if state == "deleted":
        await manager.delete()
    if state == "expired":
        storage.guard.items[KEY]["expires_at"] = int(GuardItem.parse(storage.guard.items[KEY]).born_at)
    items, objects = copy.deepcopy(storage.guard.items), dict(storage.objects.objects)

    with pytest.raises(StorageRefused) as refused:
        await Runtime.shared().run(attempts(other)[way]())

    assert "under the prefix '', not under 'team-b/'" in str(refused.value)
    assert (storage.guard.items, storage.objects.objects) == (items, objects)
    if state == "held":
        await manager.flush()


async def test_an_item_of_an_older_release_gets_its_prefix_with_the_next_acquisition(
    memory_sessions: Sessions, storage: MemoryStorage, other: Under
) -> None:
    await talked(manager := memory_sessions())
    await manager.close()
    del storage.guard.items[KEY]["prefix"]
    await read_unheld(storage.guard, storage.objects, "", KEY, CLOCK)
    assert "prefix" not in storage.guard.items[KEY]

    await (again := memory_sessions()).open()
    await again.close()

    assert storage.guard.items[KEY]["prefix"] == ""
    with pytest.raises(StorageRefused):
        await MemorySessionManager("talk", storage=other).open()


async def test_each_prefix_has_sessions_of_its_own(storage: MemoryStorage, other: Under) -> None:
    for manager in (MemorySessionManager("a", storage=storage), MemorySessionManager("b", storage=other)):
        await talked(manager)
        await manager.close()

    written = {key: item["prefix"] for key, item in storage.guard.items.items()}
    assert written == {"default/a": "", "default/b": "team-b/"}
    copied = await create(other.stores(), "default/c", commits_of([Record(data={})]), CLOCK)
    assert (copied.prefix, storage.guard.items["default/c"]["prefix"]) == ("team-b/", "team-b/")


async def test_a_lease_without_a_prefix_acquires_under_any(storage: MemoryStorage, other: Under) -> None:
    await talked(manager := MemorySessionManager("talk", storage=other))
    await manager.close()
    lease = Lease(storage.guard, KEY, clock=CLOCK)

    await lease.acquire(0.0)
    await lease.release()

    assert storage.guard.items[KEY]["prefix"] == "team-b/"
