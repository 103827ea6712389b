"""Writes whose answer is lost know their own outcome: acquisitions, copies, redactions, releases."""

from __future__ import annotations

import pytest

from segue import StorageUnavailable
from segue.admin import delete_release
from segue.admin.fork import commits_of, create
from segue.journal.records import Record
from segue.session.runtime import Runtime
from tests.support.crash import crash
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import item, manager_of, talked
from tests.support.skipping_clock import SkippingClock
from tests.unit.session.losing import KEY, Lost, Resent, Sessions

CLOCK = Runtime.shared().clock


# The other writes.


@pytest.mark.parametrize("kind", ["begin", "take"])
@pytest.mark.parametrize("how", ["lost", "resent"])
async def test_an_acquisition_whose_answer_is_lost_or_sent_twice_counts_once(
    memory_sessions: Sessions, storage: MemoryStorage, kind: str, how: str
) -> None:
    if kind == "take":
        await (await talked(memory_sessions(), "One")).stop()
    epoch = item(storage).epoch if kind == "take" else 0
    if how == "lost":
        storage.after = Lost(kind)
    else:
        storage.before = Resent(storage, kind)

    agent = await talked(memory_sessions(acquire_timeout=5.0), "Two")

    assert (manager_of(agent).epoch, item(storage).epoch) == (epoch + 1, epoch + 1)
    assert item(storage).head > 0
    await agent.stop()


@pytest.mark.parametrize("how", ["lost", "resent"])
async def test_a_copys_first_write_whose_answer_is_lost_or_sent_twice_counts_once(
    storage: MemoryStorage, how: str
) -> None:
    if how == "lost":
        storage.after = Lost("begin")
    else:
        storage.before = Resent(storage, "begin")

    made = await create(storage.stores(), KEY, commits_of([Record(data={"n": 1})]), CLOCK)

    assert (made.born, made.head) == (item(storage).born, 1)
    assert len(storage.objects.objects) == 1


@pytest.mark.parametrize("how", ["lost", "resent"])
async def test_the_end_of_a_redaction_whose_answer_is_lost_or_sent_twice_counts_once(
    memory_sessions: Sessions, storage: MemoryStorage, how: str
) -> None:
    agent = await talked(memory_sessions(), "Secret", "Other")
    manager = manager_of(agent)
    if how == "lost":
        storage.after = Lost("scrubbed")
    else:
        storage.before = Resent(storage, "scrubbed")

    for message in list(agent.messages):
        await manager.redact(message["tracking_id"], "gone")
        assert item(storage).scrub is None
        assert manager._session.lease.item.scrub is None, "the next redaction would name this one again"
    await agent.stop()


@pytest.mark.parametrize("how", ["lost", "resent"])
async def test_a_release_whose_answer_is_lost_or_sent_twice_counts_once(
    memory_sessions: Sessions, storage: MemoryStorage, how: str
) -> None:
    agent = await talked(memory_sessions(), "One")
    if how == "lost":
        storage.after = Lost("release")
    else:
        storage.before = Resent(storage, "release")

    await agent.stop()

    assert not item(storage).held
    await manager_of(agent).resume()
    await manager_of(agent).close()


# By hand.


@pytest.mark.parametrize("how", ["lost", "resent"])
async def test_a_deletion_by_hand_whose_answer_is_lost_or_sent_twice_counts_once(
    memory_sessions: Sessions, storage: MemoryStorage, how: str
) -> None:
    await (await talked(memory_sessions(), "One")).stop()
    if how == "lost":
        storage.after = Lost("bury", 2)
    else:
        storage.before = Resent(storage, "bury")

    swept = await Runtime.shared().run(delete_release.delete(storage.stores(), KEY, CLOCK, wait=False))

    assert swept > 0
    assert item(storage).deleted
    assert not storage.objects.objects


async def test_a_release_by_hand_says_so_if_it_is_not_known_to_be_released(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    manager, clock = memory_sessions(), SkippingClock()
    await talked(manager, "One")
    crash(manager)
    storage.before = down = Unavailable("release")

    with pytest.raises(StorageUnavailable, match="acquired, but its release was not answered"):
        await Runtime.shared().run(delete_release.release(storage.stores(), item(storage), clock))

    assert down.failed
    assert item(storage).held
    down.on, storage.after = False, Lost("release")
    released = await Runtime.shared().run(delete_release.release(storage.stores(), item(storage), clock))
    assert (released.after.held, item(storage).held) == (False, False)
