"""Input numbering: under any fault of network and holders, the journal has the input exactly once and in order."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.lease.item import Known
from segue.wire.frames import AudioInput, FrameError, TextInput
from segue.wire.receiver import Receiver
from segue.wire.sender import Sender, SenderSettings

AUDIO = AudioInput.from_pcm(b"\0\0")


# --- Receiver


@pytest.mark.slow
@settings(deadline=None)
@given(st.data(), st.integers(0, 30), st.sets(st.integers(1, 40)))
def test_any_order_with_repeats_gives_each_unknown_number_once_in_order(data, upto, beyond):
    known = Known(upto, tuple(sorted(beyond)))
    arrivals = data.draw(st.permutations(list(range(1, 50))))
    repeats = data.draw(st.lists(st.sampled_from(arrivals), max_size=20))
    for seq in repeats:
        arrivals.insert(data.draw(st.integers(0, len(arrivals))), seq)
    receiver = Receiver(known)
    delivered = list(itertools.chain.from_iterable(receiver.offer(seq, seq) for seq in arrivals))
    assert delivered == [seq for seq in range(1, 50) if seq not in known]
    assert receiver.expected >= 50
    assert receiver.beyond == ()
    assert not receiver._waiting, "repeats are not kept"
    assert not receiver._skipped


@pytest.mark.slow
@settings(deadline=None)
@given(st.data(), st.integers(0, 9), st.sets(st.integers(1, 20)))
def test_early_items_are_counted_in_bytes_and_can_be_forgotten(data, upto, beyond):
    known = Known(upto, tuple(sorted(beyond)))
    receiver = Receiver(known, size=lambda seq: 100 + seq)
    for seq in data.draw(st.lists(st.integers(1, 30), max_size=40)):
        early = receiver.is_early(seq)
        delivered = receiver.offer(seq, seq)
        assert not (early and delivered), "what is early is kept, and nothing else is"
        assert receiver.waiting_bytes == sum(100 + one for one in receiver.beyond)
        assert not any(receiver.is_early(one) for one in receiver.beyond)
    expected = receiver.expected
    receiver.forget_early()
    assert (receiver.waiting_bytes, receiver.beyond, receiver.expected) == (0, (), expected)
    delivered = [one for seq in range(1, 31) for one in receiver.offer(seq, seq)]
    assert delivered == [seq for seq in range(expected, 31) if seq not in known], "a forgotten number is taken again"


def test_the_numbers_that_wait_for_a_missing_one_are_known():
    receiver = Receiver(Known(2, (4,)))
    assert receiver.offer(7, "g") == []
    assert receiver.beyond == (7,)
    assert receiver.offer(3, "c") == ["c"]
    assert receiver.expected == 5
    assert receiver.offer(6, "f") == []
    assert receiver.offer(5, "e") == ["e", "f", "g"]


def test_a_number_beyond_the_window_is_refused_and_changes_nothing():
    receiver = Receiver(window=3)
    with pytest.raises(FrameError) as caught:
        receiver.offer(4, "d")
    assert caught.value.code == "beyond_window"
    assert receiver.offer(3, "c") == []
    assert receiver.offer(1, "a") == ["a"]
    assert receiver.offer(4, "d") == []
    assert receiver.offer(2, "b") == ["b", "c", "d"]


def test_known_numbers_beyond_the_window_are_only_repeats():
    receiver = Receiver(Known(0, (500,)), window=3)
    assert receiver.offer(500, "late") == []


# --- Both, with a network between them and holders that die


class World:
    """One client, a network with random faults, and a session whose holders come and go.

    A holder's memory is its receiver and what it has taken but not committed; only the journal survives it.
    """

    def __init__(self, window):
        self.now = 0.0
        self.sender = Sender(SenderSettings(rate=1000.0, burst=7))
        self.network = []
        self.journal = []
        self.window = window
        self.said = 0
        self.takeover(0)

    def known(self):
        return Known().adding(tuple(seq for seq, _ in self.journal))

    def say(self, choice):
        self.said += 1
        self.sender.add(TextInput(text=str(self.said)) if choice % 3 else AUDIO)

    def send(self, _):
        self.network += self.sender.due(self.now)

    def wait(self, choice):
        self.now += choice % 40 / 4

    def arrive(self, choice):
        if self.network:
            self.take(self.network.pop(choice % len(self.network)))

    def double(self, choice):
        if self.network:
            self.network.append(self.network[choice % len(self.network)])

    def lose(self, choice):
        if self.network:
            self.network.pop(choice % len(self.network))

    def take(self, frame):
        with contextlib.suppress(FrameError):  # beyond the window
            self.taken += [(taken.seq, taken) for taken in self.receiver.offer(frame.seq, frame)]

    def commit(self, choice):
        """Some of the taken frames become durable; text may become so before the audio in front of it."""
        if not self.taken:
            return
        texts = [index for index, (_, frame) in enumerate(self.taken) if isinstance(frame, TextInput)]
        if texts and choice % 2:
            # The first text only, past the audio before it: that audio's turn is not durable yet.
            self.journal.append(self.taken.pop(texts[0]))
        else:
            count = choice % len(self.taken) + 1
            self.journal += self.taken[:count]
            del self.taken[:count]

    def acknowledge(self, _):
        known = self.known()
        self.sender.ack(known.upto, known.beyond, now=self.now)

    def takeover(self, _):
        """The holder is gone with its memory; a successor starts from the journal and says ``Ready``."""
        self.taken = []
        self.receiver = Receiver(self.known(), self.window)
        self.sender.resend_all()
        self.acknowledge(0)

    def reconnect(self, _):
        """Break the socket, with the frames in flight; the holder stays the same."""
        self.network.clear()
        self.sender.resend_all()

    def settle(self):
        """Run without losses from here on."""
        for _ in range(2000):
            if not self.sender.unacknowledged:
                return
            self.now += self.sender.wakeup(self.now) or 0.0
            self.send(0)
            while self.network:
                self.arrive(0)
            while self.taken:
                self.commit(0)
            self.acknowledge(0)
        raise AssertionError("the network is kind and still something is unacknowledged")


ACTIONS = ["say", "say", "send", "send", "wait", "arrive", "arrive", "arrive", "double", "lose", "commit"]
ACTIONS += ["acknowledge", "takeover", "reconnect"]
STEP = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1000))
# Left alone, hypothesis draws a handful of steps, and what goes wrong needs dozens.
STEPS = st.lists(STEP, max_size=40) | st.lists(STEP, min_size=100, max_size=250)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from([4, 256]))
def test_reordering_loss_repeats_reconnects_and_takeovers_give_the_input_once_in_order(steps, window):
    world = World(window)
    for action, choice in steps:
        getattr(world, action)(choice)
    world.settle()
    seqs = [seq for seq, _ in world.journal]
    assert sorted(seqs) == list(range(1, world.said + 1)), "each exactly once"
    for kind in (TextInput, AudioInput):
        of_kind = [seq for seq, frame in world.journal if isinstance(frame, kind)]
        assert of_kind == sorted(of_kind), f"{kind.__name__} in order"
