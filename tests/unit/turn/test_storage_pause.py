"""S3 hangs during a turn of text: its clients are told, and the session is left in time."""

from __future__ import annotations

import asyncio

import pytest

from segue import StorageUnavailable
from segue.lease.item import GuardItem
from segue.wire.frames import Pause, Ready, TextOutput
from tests.support.memory_manager import S3, Hang
from tests.support.sessions import KEPT
from tests.support.waiting import eventually
from tests.unit.turn.conftest import KEY, Person, journal, messages
from turn.turn import OutOfTime

IMPATIENT = {"pause_seconds": 0.2, "look_seconds": 0.02}


@pytest.fixture
def s3():
    hang = Hang(*S3)
    yield hang
    hang.end()


@pytest.mark.slow
async def test_a_turn_that_waits_for_storage_says_so_and_goes_on(world, processes, s3):
    process, person = processes(times=IMPATIENT), Person(world)
    delivery = await person.say(process, "repeat after me tea")
    other = Person(world, "c2", "c-2")
    process.storage.before = s3
    turn = asyncio.create_task(process.take(delivery))
    await eventually(lambda: world.frames("c-2"))

    assert [type(frame) for frame in world.frames("c-2")] == [Pause], "no frame but the pause is posted, not even ready"
    s3.end()
    await turn

    told = [frame.active for frame in world.frames() if isinstance(frame, Pause)]
    assert told == [True, False] * max(1, len(told) // 2), "once, unless a busy machine pauses longer than the limit"
    assert all(frame.seq is None for frame in world.frames() if isinstance(frame, Pause))
    person.listen()
    other.listen()
    assert (person.texts, other.texts) == (["tea"], ["tea"])
    numbered = [frame.seq for frame in world.frames("c-2") if not isinstance(frame, Pause)]
    assert numbered == list(range(1, len(numbered) + 1))


async def test_a_turn_whose_storage_answers_says_nothing_of_it(world, processes):
    process, person = processes(times={**IMPATIENT, "pause_seconds": 30.0}), Person(world)
    await process.take(await person.say(process, "repeat after me tea"))
    assert {type(frame) for frame in world.frames()} >= {Ready, TextOutput}
    assert not [frame for frame in world.frames() if isinstance(frame, Pause)]


@pytest.mark.slow
async def test_an_invocation_that_ends_while_s3_hangs_leaves_the_lease_to_run_out(world, processes, s3):
    """A Lambda process must not be frozen while it waits, nor hold the session when it thaws for another turn."""
    times = {**IMPATIENT, "last_call_seconds": 1.6, "reserve_seconds": 1.5, "end_seconds": 0.5}
    process, person = processes(lease=KEPT, times=times), Person(world)
    delivery = await person.say(process, "repeat after me tea")
    process.storage.before = s3
    began = asyncio.get_running_loop().time()

    with pytest.raises((OutOfTime, StorageUnavailable)):
        await process.take(delivery, seconds=2.0)

    assert asyncio.get_running_loop().time() - began < 10.0
    attributes = await world.storage.guard.read(KEY)
    assert GuardItem.parse(attributes).held
    heir = processes(probe=None, acquire_timeout=20 * KEPT.duration)
    await heir.take(delivery, repeated=True)
    s3.end()
    await person.settle(heir)
    assert person.texts == ["tea"]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]
