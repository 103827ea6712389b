"""Connections of the protocol, client side: silence, renewals beside the present one, credentials, no room."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    Hello,
    Ping,
    Pong,
    TextInput,
    TextOutput,
    error_frame,
)
from segue.wire.sender import SenderSettings
from tests.unit.client.conversing import AUDIO_1_3, JUNK, conversation, greeted, hear, kinds, outgoing, ready


def test_a_quiet_connection_is_kept_open():
    client = greeted(ping_interval=240.0)
    assert outgoing(client, 239.0) == []
    assert client.wakeup(239.0, client.counter) == pytest.approx(1.0)
    assert outgoing(client, 240.0) == [Ping()]
    assert hear(client, Pong()) == []
    assert outgoing(client, 241.0) == []


# --- liveness


def test_silence_after_a_word_is_asked_about_and_then_taken_for_death():
    client = greeted(silence_timeout=10.0, pong_timeout=5.0, sender=SenderSettings(text_timeout=60.0))
    client.say(TextInput(text="a"))
    assert kinds(outgoing(client, 100.0)) == ["TextInput"]
    assert client.wakeup(100.0, 1) == pytest.approx(10.0)
    assert outgoing(client, 110.0) == [Ping()]
    assert client.wakeup(110.0, 1) == pytest.approx(2.5)
    assert outgoing(client, 112.5) == [Ping()], "a pong is posted once and may be lost"
    assert outgoing(client, 112.6) == []
    assert client.wakeup(112.5, 1) == pytest.approx(2.5)
    client.tick(114.9)
    assert not client.link(1).lost
    client.tick(115.0)
    assert client.link(1).lost


def test_an_answer_to_the_second_question_is_one_to_both():
    client = greeted(silence_timeout=10.0, pong_timeout=5.0, sender=SenderSettings(text_timeout=60.0))
    client.say(TextInput(text="a"))
    outgoing(client, 100.0)
    assert [outgoing(client, at) for at in (110.0, 112.5)] == [[Ping()], [Ping()]]
    hear(client, Pong(), now=113.0)
    client.tick(130.0)
    assert not client.link(1).lost
    outgoing(client, 130.0)
    assert Ping() in outgoing(client, 140.0), "and the next silence is asked about anew"


def test_any_word_is_a_sign_of_life():
    client = greeted(silence_timeout=10.0, pong_timeout=5.0, sender=SenderSettings(text_timeout=60.0))
    client.say(TextInput(text="a"))
    outgoing(client, 100.0)
    outgoing(client, 110.0)
    client.received(JUNK, 114.0, 1)
    client.tick(130.0)
    assert not client.link(1).lost


def test_no_answer_is_due_when_everything_is_acknowledged():
    client = greeted(silence_timeout=10.0, ping_interval=240.0)
    hear(client, TextOutput(epoch=1, seq=2, text="x", record=0))
    assert kinds(outgoing(client, 1.0)) == ["OutputAck"]
    assert outgoing(client, 100.0) == []
    assert client.wakeup(100.0, 1) == pytest.approx(141.0)


# --- renewal


def renewing(**changes):
    client = greeted(**changes)
    hear(client, TextOutput(epoch=1, seq=2, text="0", record=0))
    assert client.connected(1.0) == 2
    return client


def test_hello_goes_over_the_new_connection_and_input_over_the_old_one_until_ready():
    client = renewing()
    client.say(TextInput(text="a"))
    assert kinds(outgoing(client, 1.0, 1)) == ["TextInput", "OutputAck"]
    (hello,) = outgoing(client, 1.0, 2)
    assert (hello.connection, hello.last_record) == (2, 0)
    assert kinds(hear(client, AUDIO_1_3, link=1)) == ["AudioOutput"]
    hear(client, ready(seq=4, since=0), now=1.2, link=2)
    assert client.link(1) is None
    client.say(TextInput(text="b"))
    assert outgoing(client, 1.3, 1) == []
    assert outgoing(client, 1.3, 2) == [TextInput(text="b", seq=2)], "a is on its way and not sent again at once"
    assert outgoing(client, 1.9, 2) == []


def test_output_that_both_connections_deliver_is_shown_once():
    client = renewing()
    shown = hear(client, AUDIO_1_3, link=1)
    shown += hear(client, AUDIO_1_3, ready(seq=4, since=0), TextOutput(epoch=1, seq=5, text="0", record=0), link=2)
    shown += hear(client, TextOutput(epoch=1, seq=6, text="1", record=1), link=1)
    assert kinds(shown) == ["AudioOutput", "Ready", "TextOutput"]


def test_a_renewal_that_breaks_leaves_the_old_connection_as_it_was():
    client = renewing()
    client.disconnected(2)
    assert client.greeted
    client.say(TextInput(text="a"))
    assert "TextInput" in kinds(outgoing(client, 2.0, 1))
    assert client.connected(3.0) == 3


def test_renewal_goes_on_when_the_old_connection_breaks():
    client = renewing()
    client.say(TextInput(text="a"))
    outgoing(client, 1.0, 1)
    client.disconnected(1)
    assert not client.greeted
    hear(client, ready(seq=3, since=0), now=1.5, link=2)
    assert "TextInput" in kinds(outgoing(client, 1.5, 2)), "the old connection may have swallowed it"


def test_a_renewal_that_is_greeted_unasked_still_asks():
    """A claim may name the new connection before its hello is heard: what waited for the old one is gone."""
    client = renewing(shortest_hello_interval=0.25)
    hear(client, ready(seq=3), now=1.1, link=2)
    assert client.link(1) is None
    assert kinds(outgoing(client, 1.5, 2)) == ["Hello", "OutputAck"]


def test_the_old_connection_may_be_told_that_it_is_superseded():
    client = renewing()
    assert hear(client, error_frame("superseded"), link=1) == []
    assert client.failure is None
    hear(client, ready(seq=3, since=0), link=2)
    assert hear(client, error_frame("superseded"), error_frame("unknown_connection"), link=1) == []
    assert client.failure is None
    hear(client, error_frame("superseded"), link=2)
    assert client.failure.code == "superseded"


def test_superseded_after_the_newer_connection_broke_loses_the_old_one_too():
    client = renewing()
    client.disconnected(2)
    assert hear(client, error_frame("superseded"), link=1) == []
    assert client.failure is None
    assert client.link(1).lost


def test_a_successor_that_greets_the_replaced_connection_is_told_of_the_present_one():
    client = renewing()
    hear(client, ready(seq=3, since=0), link=2)
    outgoing(client, 9.0, 2)
    hear(client, ready(epoch=2, head=1), now=10.0, link=1)
    assert not client.greeted
    (hello,) = [frame for frame in outgoing(client, 10.0, 2) if isinstance(frame, Hello)]
    assert hello.connection == 2


# --- credentials and admission


def test_expired_credentials_that_cannot_be_renewed_end_the_client():
    client = greeted()
    hear(client, error_frame("expired"))
    assert (client.failure.code, client.link(1).lost) == ("expired", False)


def test_expired_credentials_that_can_be_renewed_lead_to_a_new_connection():
    client = Conversation("s", "c", "voice", ClientSettings(), renewable=True)
    client.connected(0.0)
    hear(client, ready())
    hear(client, error_frame("expired"))
    assert client.failure is None
    assert client.link(1).lost
    client.disconnected(1)
    client.connected(1.0)
    hear(client, error_frame("unauthorized"))
    assert client.failure.code == "unauthorized"


def test_credentials_that_expire_before_a_holder_is_ready_are_replaced():
    client = Conversation("s", "c", "voice", ClientSettings(), renewable=True)
    client.connected(0.0)
    hear(client, ready())
    client.connected(1.0)  # beside the first, with the same token: it has not ended yet
    client.disconnected(1)
    hear(client, error_frame("expired"), link=2)
    hear(client, error_frame("expired"), link=2)
    assert (client.failure, client.link(2).lost) == (None, True)
    client.disconnected(2)
    client.connected(2.0)
    hear(client, ready(epoch=2), link=3)
    assert client.greeted


def test_credentials_that_are_old_whenever_they_are_got_end_the_client():
    client = Conversation("s", "c", "voice", ClientSettings(), renewable=True)
    for number in (1, 2, 3):
        assert client.failure is None
        client.connected(float(number))
        hear(client, error_frame("expired"), link=number)
        client.disconnected(number)
    assert client.failure.code == "expired"


def test_hello_after_too_many_sessions_waits_the_longest_interval():
    client = conversation(hello_interval=2.0, longest_hello_interval=6.0)
    client.connected(0.0)
    outgoing(client, 0.0)
    hear(client, error_frame("too_many_sessions"), now=0.5)
    assert client.last_error.code == "too_many_sessions"
    assert outgoing(client, 6.4) == []
    assert kinds(outgoing(client, 6.5)) == ["Hello"]
    hear(client, ready())
    assert client.last_error is None
