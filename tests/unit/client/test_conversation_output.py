"""Output of the protocol, client side: junk, old epochs, gaps, and what is acknowledged."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    AudioOutput,
    Hello,
    InputAck,
    Moved,
    OutputAck,
    TextInput,
    TextOutput,
    Transcript,
)
from tests.unit.client.conversing import JUNK, greeted, hear, kinds, outgoing, ready

# --- output


def test_messages_that_are_no_frames_are_ignored():
    client = greeted()
    for message in (JUNK, "", "[]", b"\xff", '{"type":"dance","epoch":99,"seq":1}'):
        assert client.received(message, 0.0, 1) == []
    assert client.epoch == 1


def test_nothing_of_an_old_epoch_counts():
    client = greeted()
    client.say(TextInput(text="a"))
    outgoing(client, 0.0)
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
    assert client.wakeup(1.0, client.counter) == pytest.approx(0.5)
    assert client.tick(1.5) == []
    (hello,) = [frame for frame in outgoing(client, 1.5) if isinstance(frame, Hello)]
    assert (hello.connection, hello.last_record) == (1, 0)
    said_again = [TextOutput(epoch=1, seq=6 + record, text=str(record), record=record) for record in range(3)]
    shown = hear(client, ready(seq=5, since=0, head=3), *said_again, now=1.6)
    assert [frame.record for frame in shown if isinstance(frame, TextOutput)] == [1, 2]


def test_a_new_holder_is_asked_for_what_the_old_one_did_not_say():
    client = greeted()
    hear(client, TextOutput(epoch=1, seq=2, text="0", record=0))
    hear(client, ready(epoch=2, head=2), now=1.0)
    (hello,) = [frame for frame in outgoing(client, 1.0) if isinstance(frame, Hello)]
    assert hello.last_record == 0
    shown = hear(
        client, ready(epoch=2, seq=2, since=0, head=2), TextOutput(epoch=2, seq=3, text="1", record=1), now=1.1
    )
    assert [frame.record for frame in shown if isinstance(frame, TextOutput)] == [1]
    assert [frame for frame in outgoing(client, 1.2) if isinstance(frame, Hello)] == []


def test_there_is_nothing_to_acknowledge_in_an_epoch_that_has_just_begun():
    client = greeted(ack_delay=1.0)
    hear(client, TextOutput(epoch=1, seq=2, text="x", record=0), now=0.0)
    hear(client, AudioOutput(epoch=2, seq=2, audio="AAAA", rate=8000), now=0.9)
    assert "OutputAck" not in kinds(outgoing(client, 1.0))


def test_journal_content_that_was_shown_is_acknowledged_once_for_all():
    client = greeted(ack_delay=1.0)
    hear(client, Transcript(epoch=1, seq=2, role="user", text="x", final=True, record=0), now=0.0)
    hear(client, TextOutput(epoch=1, seq=3, text="y", record=1), now=0.5)
    hear(client, AudioOutput(epoch=1, seq=4, audio="AAAA", rate=8000), now=0.6)
    assert outgoing(client, 0.9) == []
    assert outgoing(client, 1.0) == [OutputAck(epoch=1, seq=4)]
    assert outgoing(client, 3.0) == []


def test_a_client_of_text_says_with_each_text_what_it_has_shown():
    client = Conversation("s", "c", "text", ClientSettings())
    client.connected(0.0)
    assert outgoing(client, 0.0) == [Hello(session="s", client_id="c", connection=1, modality="text")]
    hear(client, ready(head=4))
    client.say(TextInput(text="a"))
    assert outgoing(client, 0.1) == [TextInput(text="a", seq=1, last_record=3)]
    hear(client, ready(epoch=9, seq=1, head=6, since=3), TextOutput(text="b", record=5, epoch=9, seq=2))
    (again,) = [frame for frame in outgoing(client, 0.2) if isinstance(frame, TextInput)]
    assert again == TextInput(text="a", seq=1, last_record=5)
