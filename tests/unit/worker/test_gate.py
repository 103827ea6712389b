"""The gate lets nothing out that the journal could still lose, and nothing out of order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from segue import SessionFenced, StorageUnavailable
from segue.lease.item import Known
from segue.wire.frames import InputAck, Ready, TextOutput, Transcript
from tests.simulation.loop import VirtualLoop
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import turns
from worker.conversation import output_gate
from worker.conversation.output_gate import OutputGate


class Journal:
    """Commits when told."""

    def __init__(self) -> None:
        self.head = 0
        self.failures: list[Exception] = []
        self._moved = asyncio.Event()

    def commit(self, head: int) -> None:
        self.head = head
        self._moved.set()

    async def durable(self, position: int | None = None) -> None:
        while position is not None and position > self.head:
            if self.failures:
                raise self.failures.pop(0)
            self._moved.clear()
            await self._moved.wait()


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def out():
    return []


@pytest.fixture
def stalls():
    return []


@pytest.fixture
def seconds():
    """The gate's own pauses, by name: a test parametrizes it with others."""
    return {}


@pytest.fixture
async def the_gate(journal, out, stalls, seconds):
    made = OutputGate(journal, lambda frame, client_id: out.append((frame, client_id)), stalls.append, **seconds)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def final(words: str) -> Transcript:
    return Transcript(role="assistant", text=words, final=True)


def partial(words: str) -> Transcript:
    return Transcript(role="assistant", text=words, final=False)


def words(out: list[Any]) -> list[str]:
    return [frame.text for frame, _ in out]


async def test_output_of_a_durable_record_passes_the_gate_at_once(the_gate, journal, out):
    journal.commit(5)
    the_gate.put(final("now"), 5)
    assert words(out) == ["now"]


async def test_a_frame_waits_for_its_own_position(the_gate, journal, out):
    the_gate.put(final("later"), 2)
    journal.commit(1)
    await turns()
    assert out == []
    journal.commit(2)
    await eventually(lambda: words(out) == ["later"])


async def test_order_is_kept_whatever_is_durable_first(the_gate, journal, out):
    the_gate.put(final("first"), 3)
    the_gate.put(partial("second"), None)
    the_gate.put(final("third"), 1)
    journal.commit(1)
    await turns()
    assert out == []
    journal.commit(3)
    await eventually(lambda: words(out) == ["first", "second", "third"])


async def test_a_partial_passes_an_empty_gate_at_once(the_gate, out):
    the_gate.put(partial("now"), None)
    assert words(out) == ["now"]


async def test_a_frame_for_one_client_goes_to_that_client(the_gate, out):
    the_gate.put(InputAck(upto=1), None, "c1")
    assert out == [(InputAck(upto=1), "c1")]


@pytest.mark.parametrize("seconds", [{"retry_seconds": 0.001}], ids=repr)
async def test_storage_that_fails_is_asked_again_and_complained_of_once(the_gate, journal, out, stalls):
    journal.failures = [StorageUnavailable("down"), StorageUnavailable("down")]
    the_gate.put(TextOutput(text="late"), 1)
    await eventually(lambda: not journal.failures)
    journal.commit(1)
    await eventually(lambda: words(out) == ["late"])
    assert stalls == [True, False]


@pytest.mark.parametrize("seconds", [{"pause_seconds": 0.05}], ids=repr)
async def test_a_pause_of_storage_is_reported_at_its_start_and_end(the_gate, journal, out, stalls):
    for number in (1, 2, 3):
        the_gate.put(TextOutput(text=f"{number}"), number)
    await eventually(lambda: stalls == [True])
    assert out == []
    journal.commit(3)
    await eventually(lambda: words(out) == ["1", "2", "3"])
    assert stalls == [True, False]


def test_no_pause_is_reported_if_storage_answers_in_time_or_the_gate_ends(journal, out, stalls):
    async def run() -> None:
        made = OutputGate(journal, lambda frame, client_id: out.append(frame), stalls.append)
        running = asyncio.create_task(made.run())
        made.put(final("saved"), 1)
        await asyncio.sleep(0.9 * output_gate.PAUSE_SECONDS)
        journal.commit(1)
        await made.emptied()
        made.put(final("never"), 2)
        await turns()
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(2 * output_gate.PAUSE_SECONDS)  # of virtual time: a notice would have come

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    assert stalls == []
    assert [frame.text for frame in out] == ["saved"]


async def test_a_fenced_journal_ends_the_gate(journal, out):
    journal.failures = [SessionFenced(1, "other")]
    made = OutputGate(journal, lambda frame, client_id: out.append(frame), lambda _: None)
    made.put(final("never"), 1)
    with pytest.raises(SessionFenced):
        await made.run()
    assert out == []


async def test_a_closed_gate_lets_nothing_out(the_gate, journal, out):
    the_gate.put(final("waiting"), 1)
    await asyncio.sleep(0)
    the_gate.close()
    the_gate.put(final("late"), None)
    journal.commit(1)
    await the_gate.emptied()
    await turns()
    assert out == []


async def test_emptied_waits_until_held_frames_are_out(the_gate, journal, out):
    the_gate.put(final("waiting"), 1)
    emptied = asyncio.create_task(the_gate.emptied())
    await turns()
    assert not emptied.done()
    journal.commit(1)
    await promptly(emptied, 5)
    assert words(out) == ["waiting"]


async def test_the_latest_greeting_of_a_client_that_waits_is_known(the_gate, journal, out):
    def ready(since: int | None) -> Ready:
        return Ready(session="s", known=Known(), history=0, head=0, since=since)

    for since, client_id in ((None, "c1"), (3, "c1"), (5, "c2")):
        the_gate.put(ready(since), 1, client_id)
    the_gate.put(InputAck(upto=1), 1, "c1")
    assert the_gate.greeting("c1") == ready(3)
    assert the_gate.greeting("c3") is None
    journal.commit(1)
    await the_gate.emptied()
    assert the_gate.greeting("c1") is None
