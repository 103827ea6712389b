"""Real processes on one session: stopped past their lease, killed at any point, at it at the same time."""

from __future__ import annotations

import fcntl
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Shelf
from tests.integration.writer import SHORT_LEASE, Place, Writer
from tests.support.stage import Stage

pytestmark = pytest.mark.timeout(600)

Start = Callable[..., Writer]
Read = Callable[..., Any]

KILLS = int(os.environ.get("SEGUE_TEST_KILLS", "35"))
"""Number of writers of one session that are killed. More are for a separate run: SEGUE_TEST_KILLS=500."""

KILLED = [pytest.param("s3", marks=pytest.mark.emulator, id=f"s3-{number}") for number in range(2)] + [
    pytest.param("file", id=f"file-{number}") for number in range(4)
]
"""Storage of the sessions: 210 kills in all. The directory is quicker; a longer session would take longer to restore
each time."""

ACKNOWLEDGEMENTS = (1, 2, 5, 20)
"""Messages of which one is drawn as those that a writer is told are durable before it is killed. All writers of a
session together fill a few pages: some die while they fold one, and others fold what a dead one left."""


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.emulator), "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Either storage."""
    if request.param == "file":
        return {"storage_dir": str(tmp_path)}
    emulated: Stage = request.getfixturevalue("emulated")
    return emulated.options


def stop(victim: Writer, place: Place) -> None:
    """Stop a writer. On a directory between two of its writes: in the middle of one it would keep the lock."""
    for _ in range(500):
        victim.signal(signal.SIGSTOP)
        victim.process.join(0.01)  # until all of its threads have noticed
        if "storage_dir" not in place or _unlocked(Path(place["storage_dir"], "guard", "default", "talk.lock")):
            return
        victim.signal(signal.SIGCONT)
    pytest.fail("it was always in the middle of a write")


def _unlocked(path: Path) -> bool:
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def numbered(texts: list[str], tag: str) -> list[int]:
    """The numbers of one writer's messages, in the order in which the session has them."""
    return [int(text.split()[1]) for text in texts if text.split()[0] == tag]


async def test_a_writer_stopped_past_its_lease_is_fenced_and_nothing_is_lost(
    writer: Start, read: Read, place: Place
) -> None:
    first = writer("first")
    first.until("acknowledged", times=5)
    stop(first, place)

    second = writer("second", messages=20)
    second.until("done")
    before = await read()
    first.signal(signal.SIGCONT)
    first.until("fenced")
    first.finish()
    second.finish()

    after = await read()
    assert after == before, "a fenced writer commits nothing"
    assert numbered(after, "second") == list(range(20))
    acknowledged = len(first.acknowledged)
    assert numbered(after, "first") in (list(range(acknowledged)), list(range(acknowledged + 1)))
    assert "done" not in dict(first.reports)


async def test_a_stopped_writer_knows_at_once_that_it_may_not_speak(writer: Start, place: Place) -> None:
    first = writer("first", options={"durability": "gate"})
    first.until("acknowledged", times=5)
    stop(first, place)
    second = writer("second", messages=3)
    second.until("done")
    first.signal(signal.SIGCONT)

    assert first.until("lost") is False, "its lease is not fresh by its own clock"
    first.until("fenced")


async def test_a_writer_keeps_its_session_as_long_as_it_lives_and_no_longer(
    writer: Start, shelf: Shelf, place: Place
) -> None:
    holder = writer("holder", idle_after=1)
    holder.until("acknowledged")
    waiting = writer("waiting", acquire_timeout=2 * SHORT_LEASE.duration, messages=1)

    assert waiting.until("held") == "holder", "an idle writer keeps its session by its heartbeat"
    stop(holder, place)
    waiting.until("acknowledged")

    assert shelf.item().epoch > holder.until("opened")[0]
    holder.signal(signal.SIGKILL)


@pytest.mark.parametrize("place", KILLED, indirect=True)
async def test_every_acknowledged_message_is_there_once_in_order_whenever_writers_are_killed(
    writer: Start, read: Read, shelf: Shelf
) -> None:
    seed = int(os.environ.get("SEGUE_TEST_SEED", random.randrange(1_000_000)))
    print(f"SEGUE_TEST_SEED={seed} SEGUE_TEST_KILLS={KILLS}")
    choice = random.Random(seed)
    acknowledged: dict[str, int] = {}
    epoch = 0
    for number in range(KILLS):
        victim = writer(f"w{number}", takeover=True)
        opened_at, restored = victim.until("opened")
        assert opened_at > epoch, "epochs only grow"
        assert restored >= sum(acknowledged.values())
        epoch = opened_at
        victim.until("acknowledged", times=choice.choice(ACKNOWLEDGEMENTS))
        victim.process.join(choice.uniform(0, 0.03))  # anywhere within a commit
        victim.signal(signal.SIGKILL)
        victim.finish()
        acknowledged[f"w{number}"] = len(victim.acknowledged)

    texts = await read()
    assert len(texts) == len(set(texts)), "no text is recorded twice"
    assert [text.split()[0] for text in texts] == sorted(
        (text.split()[0] for text in texts), key=lambda tag: int(tag[1:])
    )
    for tag, count in acknowledged.items():
        assert numbered(texts, tag) in (list(range(count)), list(range(count + 1))), tag
    item = shelf.item()
    assert item.pages > 0
    assert len(item.tail) <= 64


async def test_two_processes_at_one_session_lose_and_double_nothing(writer: Start, read: Read) -> None:
    both = [writer(tag, messages=40, at_a_time=3, acquire_timeout=30.0) for tag in ("left", "right")]
    for each in both:
        each.until("done", seconds=120)
        each.finish()

    texts = await read()
    assert sorted(texts) == sorted(f"{tag} {number}" for tag in ("left", "right") for number in range(40))
    for each, tag in zip(both, ("left", "right"), strict=True):
        assert numbered(texts, tag) == list(range(40))
        assert each.acknowledged == [f"{tag} {number}" for number in range(40)]


async def test_two_processes_that_take_the_session_from_each_other_lose_and_double_nothing(
    writer: Start, read: Read
) -> None:
    # Each is sure that the other is dead, and wrong: what the fence is for.
    both = [writer(tag, messages=25, at_a_time=4, takeover=True) for tag in ("left", "right")]
    for each in both:
        each.until("done", seconds=120)
        each.finish()

    texts = await read()
    assert len(texts) == len(set(texts))
    for tag in ("left", "right"):
        assert numbered(texts, tag) == list(range(25))
