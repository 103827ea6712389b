"""Input of the protocol, client side: sent to a holder that is ready, again to the next one, within its window."""

from __future__ import annotations

import pytest

from segue.lease.item import Known
from segue.wire.frames import (
    AudioInput,
    FrameError,
    Hello,
    InputAck,
    Moved,
    Received,
    Resume,
    TextInput,
    error_frame,
)
from segue.wire.sender import SenderSettings
from tests.unit.client.conversing import AUDIO_1_3, conversation, greeted, hear, kinds, outgoing, ready

# --- input


def test_unacknowledged_input_is_said_again_to_a_new_holder_and_on_resume():
    client = greeted()
    for text in "abc":
        client.say(TextInput(text=text))
    assert [frame.seq for frame in outgoing(client, 0.0)] == [1, 2, 3]
    hear(client, InputAck(epoch=1, seq=2, upto=1))
    hear(client, Resume(epoch=1, seq=3))
    assert [frame.seq for frame in outgoing(client, 0.1)] == [2, 3]
    hear(client, ready(epoch=2, known=Known(2)))
    assert [frame.seq for frame in outgoing(client, 0.2) if isinstance(frame, TextInput)] == [3]
    hear(client, InputAck(epoch=2, seq=2, upto=3))
    assert client.unacknowledged == 0


def test_a_second_ready_of_the_same_holder_does_not_double_the_traffic():
    client = greeted()
    client.say(TextInput(text="a"))
    outgoing(client, 0.0)
    hear(client, ready(seq=2, since=-1))
    assert outgoing(client, 0.0) == []


def spoken_to(count, **changes):
    """A conversation whose holder tells what it receives, and has been sent so many pieces of audio."""
    client = conversation(**changes)
    client.connected(0.0)
    outgoing(client, 0.0)
    hear(client, ready(window=3))
    client.say(*(AudioInput.from_pcm(bytes(2)) for _ in range(count)))
    outgoing(client, 0.0)
    return client


def test_a_window_bounds_what_is_on_its_way_and_what_was_received_opens_it():
    client = spoken_to(5)
    assert outgoing(client, 0.1) == []
    hear(client, Received(epoch=1, seq=2, upto=1))
    assert [frame.seq for frame in outgoing(client, 0.2)] == [4]


def test_received_frames_take_their_number_and_leave_no_gap():
    client = spoken_to(1)
    received = Received(epoch=1, seq=2, upto=1)
    assert hear(client, received, AUDIO_1_3) == [received, AUDIO_1_3]
    client.tick(9.0)
    assert not [frame for frame in outgoing(client, 9.0) if isinstance(frame, Hello)]


def test_a_new_connection_to_the_same_holder_repeats_only_what_has_not_arrived():
    client = spoken_to(3)
    hear(client, Received(epoch=1, seq=2, upto=2))
    client.disconnected(client.counter)
    client.connected(1.0)
    outgoing(client, 1.0)
    hear(client, ready(seq=3, since=-1, window=3), now=1.0)
    assert [frame.seq for frame in outgoing(client, 1.0)] == [3]


@pytest.mark.parametrize(
    "first",
    [Moved(epoch=1, seq=3), Resume(epoch=1, seq=3), ready(epoch=2, window=3)],
    ids=["moved", "resume", "ready of the next"],
)
def test_input_received_by_an_earlier_holder_is_sent_again_to_the_next(first):
    client = spoken_to(3)
    hear(client, Received(epoch=1, seq=2, upto=3), first, ready(epoch=first.epoch, seq=4, window=3))
    assert [frame.seq for frame in outgoing(client, 1.0) if isinstance(frame, AudioInput)] == [1, 2, 3]


def test_only_refused_input_is_sent_again_after_the_pause_within_the_window():
    client = greeted(sender=SenderSettings(burst=50))
    hear(client, ready(seq=2, window=4))
    client.say(*(TextInput(text=str(number)) for number in range(20)))
    taken = [frame.seq for frame in outgoing(client, 0.0)]
    assert taken == [1, 2, 3, 4]
    hear(client, Received(epoch=1, seq=3, upto=4), now=0.1)
    assert [frame.seq for frame in outgoing(client, 0.1)] == [5, 6, 7, 8]
    hear(client, *[error_frame("busy")] * 4, now=0.2)
    hear(client, Resume(epoch=1, seq=4), Received(epoch=1, seq=5, upto=4), now=0.3)
    assert outgoing(client, 1.0) == [], "busy is a pause of a second"
    assert [frame.seq for frame in outgoing(client, 1.2)] == [5, 6, 7, 8]
    assert outgoing(client, 1.3) == [], "no more than the window allows in flight"
    hear(client, Received(epoch=1, seq=6, upto=8), now=1.4)
    assert [frame.seq for frame in outgoing(client, 1.4)] == [9, 10, 11, 12]


def test_received_of_another_epoch_does_not_open_the_window():
    client = spoken_to(5)
    hear(client, Received(epoch=2, seq=1, upto=3))
    assert outgoing(client, 0.1) == []


def test_moved_holds_input_back_until_a_holder_is_ready():
    client = greeted(hello_interval=2.0)
    hear(client, Moved(epoch=1, seq=2), now=1.0)
    client.say(TextInput(text="a"))
    assert outgoing(client, 1.0) == []
    assert not client.greeted
    assert kinds(outgoing(client, 3.0)) == ["Hello"]
    hear(client, ready(epoch=2), now=3.1)
    assert "TextInput" in kinds(outgoing(client, 3.1))


@pytest.mark.parametrize("code", ["busy", "too_fast"])
def test_a_busy_server_gets_a_pause(code):
    client = greeted(busy_pause=1.0)
    client.say(TextInput(text="a"))
    hear(client, error_frame(code), now=1.0)
    assert outgoing(client, 1.5) == []
    assert kinds(outgoing(client, 2.0)) == ["TextInput"]


def test_an_oversize_frame_is_refused_before_it_has_a_number():
    client = greeted()
    with pytest.raises(FrameError):
        client.say(TextInput(text="x" * 40_000))
    with pytest.raises(FrameError):
        client.say(TextInput(text="x", trace="no trace"))
    client.say(TextInput(text="x"))
    assert outgoing(client, 0.0) == [TextInput(text="x", seq=1)]
