"""Slow and lossy paths, and changes of the holder: all input arrives, and no path is filled."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segue.wire.frames import AudioInput
from segue.wire.receiver import Receiver
from segue.wire.sender import Sender

STEP = 0.05
FRAME_EVERY = 2
SPEAKING = 200
WINDOW = 32
AUDIO = AudioInput.from_pcm(bytes(2))


@dataclass
class Path:
    """First in, first out: so many frames a second, each after so many seconds, but for so many of 50 that are lost."""

    per_second: float
    seconds: float
    lost: frozenset[int]
    under_way: deque[tuple[float, int]] = field(default_factory=deque)
    sent: int = 0
    most: int = 0
    free_at: float = 0.0

    def send(self, seq: int, now: float) -> None:
        self.sent += 1
        # No period: repeats have one, too, and a frame could be lost each time that it is sent.
        if zlib.crc32(self.sent.to_bytes(4, "big")) % 50 in self.lost:
            return
        self.free_at = max(self.free_at, now) + 1 / self.per_second
        self.under_way.append((self.free_at + self.seconds, seq))
        self.most = max(self.most, len(self.under_way))

    def arrive(self, now: float) -> list[int]:
        arrived = []
        while self.under_way and self.under_way[0][0] <= now:
            arrived.append(self.under_way.popleft()[1])
        return arrived


def play(path: Path, changes: dict[int, bool], most_steps: int) -> int:
    """Speak for a while, and change holders meanwhile.

    Args:
        path: What carries it.
        changes: The steps, each with whether what is in flight is lost then, because no holder was there to take it.
        most_steps: More have to be enough.

    Returns:
        How many steps it took until the last holder has it all.
    """
    sender, holder = Sender(), Receiver[int]()
    sender.window = WINDOW
    count = SPEAKING // FRAME_EVERY
    told_at = 0.0
    for step in range(most_steps):
        now = step * STEP
        if step < SPEAKING and step % FRAME_EVERY == 0:
            sender.add(AUDIO)
        if step in changes:
            holder = Receiver[int]()
            sender.resend_all()
            if changes[step]:
                path.under_way.clear()
        for frame in sender.due(now):
            assert frame.seq is not None
            path.send(frame.seq, now)
        for seq in path.arrive(now):
            holder.offer(seq, seq)
        if now - told_at >= (0.3 if holder.beyond else 1.0):
            told_at = now
            sender.arrived(holder.expected - 1, holder.beyond, now=now)
        if step >= SPEAKING and holder.expected > count:
            return step
    raise AssertionError(f"{holder.expected - 1} of {count} have arrived")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    per_second=st.sampled_from([12.0, 15.0, 30.0, 1000.0]),
    seconds=st.sampled_from([0.02, 0.5, 3.0]),
    lost=st.frozensets(st.integers(0, 49), max_size=4),
    changes=st.dictionaries(st.integers(10, SPEAKING), st.booleans(), max_size=6),
)
@example(per_second=15.0, seconds=0.02, lost=frozenset({0, 1, 2}), changes={83: False, 129: False, 134: True})
def test_all_input_arrives_over_a_slow_path(per_second, seconds, lost, changes):
    play(Path(per_second, seconds, lost), changes, most_steps=8000)


def test_a_path_that_carries_little_more_than_is_said_is_never_filled():
    """Each new holder has to be sent all of it; without a window the path would have twice as much to carry."""
    path = Path(12.0, 0.05, frozenset())
    play(path, {60: False, 130: False}, most_steps=2000)
    assert path.most <= 2 * WINDOW


def test_without_trouble_only_the_lowest_is_sent_twice_to_probe_for_a_holder():
    path = Path(1000.0, 0.05, frozenset())
    play(path, {}, most_steps=400)
    assert path.sent == SPEAKING // FRAME_EVERY + 1
