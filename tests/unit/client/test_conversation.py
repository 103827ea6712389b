"""The client's side without I/O, against a model of a session whose network and holders do what they like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.client.conversation import Conversation
from segue.client.errors import SessionRefused
from segue.client.settings import ClientSettings
from segue.item import Known
from segue.wire.frames import (
    AudioOutput,
    Error,
    FrameError,
    Hello,
    InputAck,
    Moved,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Resume,
    TextInput,
    TextOutput,
    Transcript,
    decode_client_frame,
    encode_frame,
    error_frame,
)
from segue.wire.output import OutputNumbering
from segue.wire.sequence import Receiver, SenderSettings

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'
AUDIO = AudioOutput(audio="AAAA", rate=8000)


def conversation(**changes):
    return Conversation("s", "c", "voice", ClientSettings(**changes))


def ready(epoch=1, seq=1, *, known=None, head=0, since=None):
    return Ready(epoch=epoch, seq=seq, session="s", known=known or Known(), history=0, head=head, since=since)


def hear(client, *frames, now=0.0):
    return [event for frame in frames for event in client.received(encode_frame(frame), now)]


def greeted(**changes):
    client = conversation(**changes)
    client.connected(0.0)
    client.outgoing(0.0)
    hear(client, ready())
    return client


def kinds(frames):
    return [type(frame).__name__ for frame in frames]


# --- hello


def test_hello_comes_first_and_input_waits_for_ready():
    client = conversation()
    assert client.say(TextInput(text="a")) == 1
    assert client.outgoing(0.0) == []
    client.connected(0.0)
    assert client.outgoing(0.0) == [Hello(session="s", client_id="c", connection=1)]
    assert client.outgoing(0.1) == []
    assert hear(client, ready()) == [ready()]
    assert client.outgoing(0.2) == [TextInput(text="a", seq=1)]


def test_hello_is_repeated_until_ready():
    client = conversation(hello_interval=2.0, longest_hello_interval=4.0)
    client.connected(0.0)
    said, now = [], 0.0
    for _ in range(5):
        assert kinds(client.outgoing(now)) == ["Hello"]
        said.append(now)
        now += client.wakeup(now)
    assert said == [0.0, 2.0, 5.0, 9.0, 13.0]
    hear(client, ready(), now=now)
    assert client.wakeup(now) > 100


def test_each_connection_has_a_higher_counter_and_says_what_was_shown():
    client = greeted()
    hear(client, TextOutput(epoch=1, seq=2, text="x", record=0))
    client.disconnected()
    assert client.wakeup(5.0) is None
    client.connected(5.0)
    (hello,) = [frame for frame in client.outgoing(5.0) if isinstance(frame, Hello)]
    assert (hello.connection, hello.last_record) == (2, 0)
    assert client.counter == 2


def test_on_a_new_connection_only_an_answer_to_hello_ends_it():
    """A claim may make the same holder say ready unasked, while what the old connection has lost is still missing."""
    client = greeted(hello_interval=2.0)
    client.disconnected()
    client.connected(1.0)
    assert kinds(client.outgoing(1.0)) == ["Hello"]
    hear(client, ready(seq=2), now=1.1)
    assert kinds(client.outgoing(3.0)) == ["Hello"]
    hear(client, ready(seq=3, since=-1), now=3.1)
    assert client.outgoing(9.0) == []


def test_hello_first_makes_hello_due_but_not_in_a_tight_loop():
    client = greeted(shortest_hello_interval=0.25)
    hear(client, error_frame("hello_first"), now=0.0)
    assert client.outgoing(0.0) == []
    assert kinds(client.outgoing(0.25)) == ["Hello"]
    for _ in range(5):
        hear(client, error_frame("hello_first"), now=0.3)
    assert client.outgoing(0.4) == []


@pytest.mark.parametrize("code", ["bad_session", "already_bound", "superseded"])
def test_refusals_that_last_end_the_conversation(code):
    client = conversation()
    client.connected(0.0)
    assert kinds(hear(client, error_frame(code))) == ["Error"]
    assert isinstance(client.failure, SessionRefused)
    assert client.failure.code == code


def test_an_unknown_connection_is_renewed():
    client = greeted()
    hear(client, error_frame("unknown_connection"))
    assert client.must_reconnect
    client.disconnected()
    client.connected(1.0)
    assert not client.must_reconnect


def test_a_ready_that_waited_since_the_last_connection_does_not_answer_for_this_one():
    client = conversation(gap_patience=0.5)
    client.connected(0.0)
    client.outgoing(0.0)
    assert hear(client, ready(seq=2)) == []
    client.disconnected()
    client.connected(0.3)
    assert kinds(client.tick(0.6)) == ["Ready"]
    assert kinds(client.outgoing(0.6)) == ["Hello"]


# --- input


def test_unacknowledged_input_is_said_again_to_a_new_holder_and_on_resume():
    client = greeted()
    for text in "abc":
        client.say(TextInput(text=text))
    assert [frame.seq for frame in client.outgoing(0.0)] == [1, 2, 3]
    hear(client, InputAck(epoch=1, seq=2, upto=1))
    hear(client, Resume(epoch=1, seq=3))
    assert [frame.seq for frame in client.outgoing(0.1)] == [2, 3]
    hear(client, ready(epoch=2, known=Known(2)))
    assert [frame.seq for frame in client.outgoing(0.2) if isinstance(frame, TextInput)] == [3]
    hear(client, InputAck(epoch=2, seq=2, upto=3))
    assert client.unacknowledged == 0


def test_a_second_ready_of_the_same_holder_does_not_double_the_traffic():
    client = greeted()
    client.say(TextInput(text="a"))
    client.outgoing(0.0)
    hear(client, ready(seq=2, since=-1))
    assert client.outgoing(0.0) == []


def test_moved_holds_input_back_until_somebody_is_ready():
    client = greeted(hello_interval=2.0)
    hear(client, Moved(epoch=1, seq=2), now=1.0)
    client.say(TextInput(text="a"))
    assert client.outgoing(1.0) == []
    assert not client.greeted
    assert kinds(client.outgoing(3.0)) == ["Hello"]
    hear(client, ready(epoch=2), now=3.1)
    assert "TextInput" in kinds(client.outgoing(3.1))


def test_a_busy_server_gets_a_pause():
    client = greeted(busy_pause=1.0)
    client.say(TextInput(text="a"))
    hear(client, error_frame("busy"), now=1.0)
    assert client.outgoing(1.5) == []
    assert kinds(client.outgoing(2.0)) == ["TextInput"]


def test_what_is_too_large_is_refused_before_it_has_a_number():
    client = greeted()
    with pytest.raises(FrameError):
        client.say(TextInput(text="x" * 40_000))
    assert client.say(TextInput(text="x")) == 1


def test_a_quiet_connection_is_kept_open():
    client = greeted(ping_interval=240.0)
    assert client.outgoing(239.0) == []
    assert client.wakeup(239.0) == pytest.approx(1.0)
    assert client.outgoing(240.0) == [Ping()]
    assert hear(client, Pong()) == []
    assert client.outgoing(241.0) == []


# --- output


def test_what_is_not_protocol_is_ignored():
    client = greeted()
    for message in (JUNK, "", "[]", b"\xff", '{"type":"dance","epoch":99,"seq":1}'):
        assert client.received(message, 0.0) == []
    assert client.epoch == 1


def test_nothing_of_an_old_epoch_counts():
    client = greeted()
    client.say(TextInput(text="a"))
    client.outgoing(0.0)
    hear(client, ready(epoch=2))
    late = [
        InputAck(epoch=1, seq=2, upto=1),
        AudioOutput(epoch=1, seq=3, audio="AAAA", rate=8000),
        Moved(epoch=1, seq=4),
    ]
    assert hear(client, *late) == []
    assert client.unacknowledged == 1
    assert client.greeted


def test_a_gap_is_repaired_by_hello():
    client = greeted(gap_patience=0.5, ack_delay=9.0)
    hear(client, TextOutput(epoch=1, seq=2, text="0", record=0))
    assert hear(client, TextOutput(epoch=1, seq=4, text="2", record=2), now=1.0) == []
    assert client.wakeup(1.0) == pytest.approx(0.5)
    assert client.tick(1.5) == []
    (hello,) = [frame for frame in client.outgoing(1.5) if isinstance(frame, Hello)]
    assert (hello.connection, hello.last_record) == (1, 0)
    said_again = [TextOutput(epoch=1, seq=6 + record, text=str(record), record=record) for record in range(3)]
    shown = hear(client, ready(seq=5, since=0, head=3), *said_again, now=1.6)
    assert [frame.record for frame in shown if isinstance(frame, TextOutput)] == [1, 2]


def test_a_new_holder_is_asked_for_what_the_old_one_did_not_say():
    client = greeted()
    hear(client, TextOutput(epoch=1, seq=2, text="0", record=0))
    hear(client, ready(epoch=2, head=2), now=1.0)
    (hello,) = [frame for frame in client.outgoing(1.0) if isinstance(frame, Hello)]
    assert hello.last_record == 0
    shown = hear(
        client, ready(epoch=2, seq=2, since=0, head=2), TextOutput(epoch=2, seq=3, text="1", record=1), now=1.1
    )
    assert [frame.record for frame in shown if isinstance(frame, TextOutput)] == [1]
    assert [frame for frame in client.outgoing(1.2) if isinstance(frame, Hello)] == []


def test_there_is_nothing_to_acknowledge_in_an_epoch_that_has_just_begun():
    client = greeted(ack_delay=1.0)
    hear(client, TextOutput(epoch=1, seq=2, text="x", record=0), now=0.0)
    hear(client, AudioOutput(epoch=2, seq=2, audio="AAAA", rate=8000), now=0.9)
    assert "OutputAck" not in kinds(client.outgoing(1.0))


def test_journal_content_that_was_shown_is_acknowledged_once_for_all():
    client = greeted(ack_delay=1.0)
    hear(client, Transcript(epoch=1, seq=2, role="user", text="x", final=True, record=0), now=0.0)
    hear(client, TextOutput(epoch=1, seq=3, text="y", record=1), now=0.5)
    hear(client, AudioOutput(epoch=1, seq=4, audio="AAAA", rate=8000), now=0.6)
    assert client.outgoing(0.9) == []
    assert client.outgoing(1.0) == [OutputAck(epoch=1, seq=4)]
    assert client.outgoing(3.0) == []


# --- the whole, against a model


def pick(choice, frames):
    """The one that arrives next: mostly the oldest."""
    return choice % len(frames) if choice % 4 == 3 else 0


class Holder:
    """Who has the session: its memory dies with it, the journal does not."""

    def __init__(self, world, epoch):
        self.world = world
        self.numbering = OutputNumbering(epoch)
        self.receiver = Receiver(world.known())
        self.taken = []
        self.met = False

    def take(self, frame):
        if isinstance(frame, Hello):
            self.greet(frame.last_record)
        elif not self.met:
            self.greet()  # whoever speaks is greeted first
        if isinstance(frame, TextInput):
            self.taken += self.receiver.offer(frame.seq, frame)
            if frame.seq in self.world.known():
                self.acknowledge()  # a repeat of what is durable: the acknowledgement was lost

    def greet(self, since=None):
        self.met = True
        head = len(self.world.journal)
        self.post(Ready(session="s", known=self.world.known(), history=0, head=head, since=since))
        if since is not None:
            for record in range(max(since, 0), head):
                self.post(self.world.frame(record))

    def commit(self, *, tell=True):
        if not self.taken:
            return
        first = len(self.world.journal)
        self.world.journal += [("user", self.taken[0].seq), ("agent", self.taken[0].seq)]
        del self.taken[0]
        if tell and self.met:
            self.acknowledge()
            self.post(self.world.frame(first))
            self.post(AUDIO)
            self.post(self.world.frame(first + 1))

    def acknowledge(self):
        known = self.world.known()
        self.post(InputAck(upto=known.upto, beyond=known.beyond))

    def post(self, frame):
        self.world.to_client.append(encode_frame(self.numbering.stamp("c", frame)))


class World:
    """One client, one session, a network, and holders that come and go."""

    def __init__(self):
        self.now = 0.0
        self.client = Conversation("s", "c", "voice", ClientSettings(sender=SenderSettings(rate=1000.0, burst=9)))
        self.journal = []
        self.said = 0
        self.shown = []
        self.to_server = []
        self.to_client = []
        self.epoch = 1
        self.holder = Holder(self, 1)
        self.client.connected(0.0)

    def known(self):
        return Known().adding(tuple(seq for role, seq in self.journal if role == "user"))

    def frame(self, record):
        role, seq = self.journal[record]
        if role == "user":
            return Transcript(role="user", text=str(seq), final=True, record=record)
        return TextOutput(text=str(seq), record=record)

    # what may happen

    def say(self, _):
        self.said += 1
        self.client.say(TextInput(text=str(self.said)))

    def send(self, _):
        self.to_server += [encode_frame(frame) for frame in self.client.outgoing(self.now)]

    def wait(self, choice):
        self.now += choice % 20 / 8
        self.shown += self.client.tick(self.now)

    def reach_server(self, choice):
        if self.to_server:
            self.holder.take(decode_client_frame(self.to_server.pop(pick(choice, self.to_server))))

    def reach_client(self, choice):
        if self.to_client:
            self.shown += self.client.received(self.to_client.pop(pick(choice, self.to_client)), self.now)

    def flow(self, _):
        """Everything arrives, in order."""
        self.send(0)
        while self.to_server:
            self.reach_server(0)
        while self.to_client:
            self.reach_client(0)

    def lose(self, choice):
        network = self.to_server if choice % 2 else self.to_client
        if network:
            network.pop(choice % len(network))

    def double(self, choice):
        network = self.to_server if choice % 2 else self.to_client
        if network:
            network.append(network[choice % len(network)])

    def junk(self, _):
        self.to_client.append(JUNK)

    def commit(self, choice):
        """Sometimes the holder dies between its commit and telling."""
        dies = choice % 4 == 0
        self.holder.commit(tell=not dies)
        if dies:
            self.takeover(choice // 4)

    def speak(self, _):
        if self.holder.met:
            self.holder.post(AUDIO)

    def move(self, _):
        if self.holder.met:
            self.holder.post(Moved())

    def welcome(self, _):
        """A late claim names this client once more."""
        self.holder.greet()

    def takeover(self, choice):
        self.epoch += 1 + choice % 2
        self.holder = Holder(self, self.epoch)
        if choice % 3:
            self.holder.greet()  # the claim named this client

    def reconnect(self, _):
        self.client.disconnected()
        self.to_server.clear()
        self.to_client.clear()
        self.client.connected(self.now)

    def settle(self):
        """From here on the network is kind, and there is always some audio on the way."""
        for _ in range(400):
            if not self.client.unacknowledged and self.records() and self.records()[-1] == len(self.journal) - 1:
                return
            if not self.client.unacknowledged and not self.journal:
                return
            self.now += 0.3
            self.shown += self.client.tick(self.now)
            self.flow(0)
            while self.holder.taken:
                self.holder.commit()
            self.speak(0)
            self.flow(0)
        raise AssertionError("the network is kind and still something is missing")

    def records(self):
        return [event.record for event in self.shown if getattr(event, "record", None) is not None]


# Noise hides faults: whoever asks again after every lost frame never misses what a takeover left unsaid. So also calm.
CALM = ["say", "say", "flow", "flow", "flow", "commit", "commit", "takeover", "welcome", "reconnect", "move"]
NOISY = ["say", "send", "send", "commit", "speak", "wait", "lose", "double", "junk", "move", "flow"]
NOISY += ["reach_server", "reach_client"] * 3 + ["takeover", "welcome", "reconnect"]


def steps_of(actions, **size):
    return st.lists(st.tuples(st.sampled_from(actions), st.integers(0, 1000)), **size)


# Left alone, hypothesis draws a handful of steps, and what goes wrong needs dozens.
STEPS = steps_of(NOISY, max_size=40) | steps_of(NOISY, min_size=150, max_size=300) | steps_of(CALM, max_size=80)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens_input_takes_effect_once_and_journal_content_is_shown_once_in_order(steps):
    world = World()
    for action, choice in steps:
        getattr(world, action)(choice)
    world.settle()
    assert [seq for role, seq in world.journal if role == "user"] == list(range(1, world.said + 1))
    assert world.records() == list(range(len(world.journal)))
    for event in world.shown:
        if getattr(event, "record", None) is not None:
            assert event.text == str(world.journal[event.record][1])
    places = [(event.epoch, event.seq) for event in world.shown if event.epoch is not None]
    assert places == sorted(set(places))
    assert not any(isinstance(event, Error) for event in world.shown)


def test_a_client_of_text_says_with_each_text_what_it_has_shown():
    client = Conversation("s", "c", "text", ClientSettings())
    client.connected(0.0)
    assert client.outgoing(0.0) == [Hello(session="s", client_id="c", connection=1, modality="text")]
    hear(client, ready(head=4))
    client.say(TextInput(text="a"))
    assert client.outgoing(0.1) == [TextInput(text="a", seq=1, last_record=3)]
    hear(client, ready(epoch=9, seq=1, head=6, since=3), TextOutput(text="b", record=5, epoch=9, seq=2))
    (again,) = [frame for frame in client.outgoing(0.2) if isinstance(frame, TextInput)]
    assert again == TextInput(text="a", seq=1, last_record=5)
