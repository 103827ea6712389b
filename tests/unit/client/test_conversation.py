"""Hello and Ready of the protocol, client side: what is said first, to which connection, and after which refusals."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.errors import SessionRefused
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    Hello,
    TextInput,
    TextOutput,
    error_frame,
)
from tests.unit.client.conversing import conversation, greeted, hear, kinds, outgoing, ready

# --- hello


def test_hello_comes_first_and_input_waits_for_ready():
    client = conversation()
    assert client.say(TextInput(text="a")) == 0
    assert outgoing(client, 0.0) == []
    client.connected(0.0)
    assert outgoing(client, 0.0) == [Hello(session="s", client_id="c", connection=1)]
    assert outgoing(client, 0.1) == []
    assert hear(client, ready()) == [ready()]
    assert outgoing(client, 0.2) == [TextInput(text="a", seq=1)]


def test_hello_is_repeated_until_ready():
    client = conversation(hello_interval=2.0, longest_hello_interval=4.0, silence_timeout=99.0)
    client.connected(0.0)
    said, now = [], 0.0
    for _ in range(5):
        assert kinds(outgoing(client, now)) == ["Hello"]
        said.append(now)
        now += client.wakeup(now, client.counter)
    assert said == [0.0, 2.0, 5.0, 9.0, 13.0]
    hear(client, ready(), now=now)
    assert client.wakeup(now, client.counter) > 100


def test_each_connection_has_a_higher_counter_and_says_what_was_shown():
    client = greeted()
    hear(client, TextOutput(epoch=1, seq=2, text="x", record=0))
    client.disconnected(client.counter)
    assert client.wakeup(5.0, client.counter) is None
    client.connected(5.0)
    (hello,) = [frame for frame in outgoing(client, 5.0) if isinstance(frame, Hello)]
    assert (hello.connection, hello.last_record) == (2, 0)
    assert client.counter == 2


def test_hello_on_a_new_connection_is_repeated_until_answered():
    """A claim may make the same holder say ready unasked, while what the old connection has lost is still missing."""
    client = greeted(hello_interval=2.0)
    client.disconnected(client.counter)
    client.connected(1.0)
    assert kinds(outgoing(client, 1.0)) == ["Hello"]
    hear(client, ready(seq=2), now=1.1)
    assert kinds(outgoing(client, 3.0)) == ["Hello"]
    hear(client, ready(seq=3, since=-1), now=3.1)
    assert outgoing(client, 9.0) == []


def test_hello_first_makes_hello_due_but_not_in_a_tight_loop():
    client = greeted(shortest_hello_interval=0.25)
    hear(client, error_frame("hello_first"), now=0.0)
    assert outgoing(client, 0.0) == []
    assert kinds(outgoing(client, 0.25)) == ["Hello"]
    for _ in range(5):
        hear(client, error_frame("hello_first"), now=0.3)
    assert outgoing(client, 0.4) == []


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
    assert client.link(1).lost
    assert outgoing(client, 9.0) == []
    client.disconnected(1)
    client.connected(1.0)
    assert client.link(1) is None
    assert not client.link(2).lost


def test_a_ready_that_waited_since_the_last_connection_does_not_answer_for_this_one():
    client = conversation(gap_patience=0.5)
    client.connected(0.0)
    outgoing(client, 0.0)
    assert hear(client, ready(seq=2)) == []
    client.disconnected(client.counter)
    client.connected(0.3)
    assert kinds(client.tick(0.6)) == ["Ready"]
    assert kinds(outgoing(client, 0.6)) == ["Hello"]


@pytest.mark.parametrize(("session", "client_id"), [("", "c"), ("a/b", "c"), ("..", "c"), ("s", "c d"), ("s", "")])
def test_invalid_ids_are_refused_before_anything_is_sent(session, client_id):
    with pytest.raises(ValueError, match=r"session id|regex"):
        Conversation(session, client_id, "text", ClientSettings())
