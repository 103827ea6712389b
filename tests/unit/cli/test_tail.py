"""Following a live session: the follower on storage in memory, the command as a process."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from segue.cli.follow import Follower
from segue.cli.transcript import TranscriptLine, record_line
from segue.errors import JournalCorrupt, SessionNotFound, StorageUnavailable
from segue.journal.records import Record
from segue.lease.lease import Lease
from segue.session.runtime import HeartbeatSchedule, Runtime
from segue.session.session import Session
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.testing import ManualClock

KEY = "default/talk"


class PassingClock(ManualClock):
    """A clock on which every wait is over at once, and counts; ``meanwhile`` happens during the next one."""

    def __init__(self) -> None:
        super().__init__(1_790_000_000.0)
        self.slept: list[float] = []
        self.meanwhile = None

    async def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 100
        self.slept.append(seconds)
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            await happening()
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> PassingClock:
    return PassingClock()


@pytest.fixture
def memory() -> Stores:
    return Stores(MemoryGuard(), MemoryObjects())


@pytest.fixture
async def session(memory, clock):
    lease = Lease(memory.guard, KEY, holder="test", clock=clock)
    session = Session(lease, memory, HeartbeatSchedule(asyncio.get_running_loop(), clock), clock)
    await session.open(timeout=0.0)
    return session


def numbered(*numbers: int) -> list[Record]:
    return [Record(kind="state", data={"n": number}) for number in numbers]


async def commit(session, *numbers):
    session.append(*numbered(*numbers))
    await session.durable()
    while session.live._committer._cleanups:
        await asyncio.sleep(0)


async def test_tail_begins_a_little_before_the_head_and_goes_on(session, memory, clock):
    await commit(session, 0, 1, 2)
    await commit(session, 3)
    follower = Follower(memory, KEY, clock, 0.5)

    await follower.start_before_head(back=2)
    assert await follower.more() == [(2, numbered(2)[0]), (3, numbered(3)[0])]

    clock.meanwhile = lambda: commit(session, 4, 5)
    assert [number for number, _ in await follower.more()] == [4, 5]
    assert clock.slept == [0.5]


async def test_nothing_is_missed_or_repeated_when_pages_are_folded(session, memory, clock):
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=0)
    seen = []
    for number in range(0, 200, 2):
        await commit(session, number, number + 1)
        if number % 31 == 0 or number == 198:
            seen += await follower.more()

    assert [(number, record.data["n"]) for number, record in seen] == [(number, number) for number in range(200)]
    assert memory.guard.items[KEY]["pages"] >= 1


async def test_a_follower_reads_only_new_objects(session, memory, clock, monkeypatch):
    for number in range(120):
        await commit(session, number)
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=1)
    asked = []
    real = memory.objects.get

    async def get(key):
        asked.append(key)
        return await real(key)

    monkeypatch.setattr(memory.objects, "get", get)
    await follower.more()

    assert len(asked) == 1


async def test_a_fold_between_two_steps_is_followed(session, memory, clock, monkeypatch):
    for number in range(48):
        await commit(session, number)
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=48)
    real, folded = memory.objects.get, []

    async def get(key):
        if not folded:
            folded.append(key)
            await commit(session, 48)
        return await real(key)

    monkeypatch.setattr(memory.objects, "get", get)

    assert [number for number, _ in await follower.more()] == list(range(49))
    assert folded[0] not in memory.objects.objects


async def test_the_end_of_a_session_ends_the_follower(session, memory, clock):
    await commit(session, 0)
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=1)
    await follower.more()

    clock.meanwhile = session.delete

    assert await follower.more() is None
    with pytest.raises(SessionNotFound):
        await Follower(memory, KEY, clock, 0.5).start_before_head(back=0)


async def test_a_session_that_begins_anew_is_another(session, memory, clock):
    await commit(session, 0)
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=0)
    await session.delete()
    lease = Lease(memory.guard, KEY, holder="next", clock=clock)
    anew = Session(lease, memory, HeartbeatSchedule(asyncio.get_running_loop(), clock), clock)
    await anew.open(timeout=0.0)
    await commit(anew, 1, 2)

    assert await follower.more() is None


async def test_storage_may_stumble_but_not_fall(session, memory, clock, monkeypatch):
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=0)
    await commit(session, 0)
    real, failures = memory.guard.read, iter([True] * 4 + [False])

    async def read(key):
        if next(failures, True):
            raise StorageUnavailable("throttled")
        return await real(key)

    monkeypatch.setattr(memory.guard, "read", read)
    assert len(await follower.more()) == 1
    with pytest.raises(StorageUnavailable):
        await follower.more()


async def test_a_missing_object_is_damage(session, memory, clock):
    follower = Follower(memory, KEY, clock, 0.5)
    await follower.start_before_head(back=0)
    await commit(session, 0)
    memory.objects.objects.clear()

    with pytest.raises(JournalCorrupt, match="not there"):
        await follower.more()


Tail = Callable[..., tuple[subprocess.Popen[str], Callable[[], str]]]


@pytest.fixture
def tail(directory) -> Iterator[Tail]:
    """Run the command, and read its output line by line."""
    processes = []

    def started(*options):
        command = [sys.executable, "-m", "segue.cli", "sessions", "tail", "talk", "--interval", "0.2", *options]
        environment = {**os.environ, "SEGUE_DIRECTORY": str(directory)}
        # A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
        return process, lambda: lines.get(timeout=30)

    yield started
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_tail_prints_what_is_committed_until_the_session_ends(keep, tail, said):
    session = keep(KEY, [said("first")], stay=True)
    process, line = tail()
    assert line() == "12:00:00      #0  user       first\n"

    session.append(
        said("second"), Record(kind="tool", data={"tool_use_id": "t", "name": "weather", "phase": "started"})
    )

    assert line() == "12:00:00      #1  user       second\n"
    assert line() == "00:00:00      #2  tool       weather started\n"
    Runtime.shared().run_sync(session.delete())
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors == "default/talk has ended\n"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"status": "asked", "requests": {"i": "approve", "j": "pay"}, "seconds": 300.0},
            "asked for 300 s: approve, pay",
        ),
        ({"status": "answered", "requests": {"i": "approve"}, "of": 3}, "answered: approve"),
        ({"status": "expired", "requests": {"i": "pay"}, "of": 3, "why": "too late"}, "expired: pay (too late)"),
        ({"status": "refused", "code": "approval_open"}, "an input was refused, approval_open"),
        ({"requests": 5}, "cannot be shown: run 'segue sessions verify'"),
    ],
)
def test_an_approval_record_is_one_transcript_line(data, line):
    assert list(record_line(Record(kind="approval", data=data, at=0))) == [TranscriptLine("approval", line)]


@pytest.mark.slow
def test_ctrl_c_ends_tail_quietly(keep, tail, said):
    keep(KEY, [said("first")])
    process, line = tail("--json", "--lines", "1")
    assert json.loads(line()) == {
        "record": 0,
        "at": "2026-09-29T12:00:00.000Z",
        "agent": "default",
        "kind": "message",
        "data": {"message": {"role": "user", "content": [{"text": "first"}], "tracking_id": "first"}},
    }

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert errors == ""
