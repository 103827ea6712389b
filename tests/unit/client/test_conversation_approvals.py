"""Approvals of the protocol, client side."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    AnswerInput,
    Approval,
    ApprovalRequest,
    Hello,
    InputAck,
    Response,
    TextInput,
)
from tests.unit.client.conversing import conversation, greeted, hear, kinds, outgoing, ready

# --- approvals


def asked(seq, record=3, seconds=60.0, epoch=1):
    requests = (ApprovalRequest(id="i", name="approve"),)
    return Approval(epoch=epoch, seq=seq, status="asked", requests=requests, seconds=seconds, record=record)


def closed(seq, record, status="answered", of=3, epoch=1):
    return Approval(epoch=epoch, seq=seq, status=status, of=of, record=record)


def test_a_client_says_in_hello_that_it_can_answer_approvals():
    client = Conversation("s", "c", "text", ClientSettings(), approvals=True)
    client.connected(0.0)
    assert outgoing(client, 0.0) == [
        Hello(session="s", client_id="c", connection=1, modality="text", approvals=True),
    ]


def test_an_approval_is_shown_once_and_known_while_it_is_open():
    client = greeted()
    assert hear(client, asked(2)) == [asked(2)]
    assert client.approval == asked(2)
    assert hear(client, ready(1, 3), asked(4)) == [ready(1, 3)], "said again after each ready"
    assert client.approval is not None
    assert hear(client, closed(5, 4)) == [closed(5, 4)]
    assert client.approval is None


def test_an_approval_that_was_asked_before_this_client_came_is_shown_to_it():
    client = conversation()
    client.connected(0.0)
    assert hear(client, ready(head=9), asked(2), asked(3)) == [ready(head=9), asked(2)]
    assert client.last_record == 8


def test_an_answer_is_numbered_input_that_says_what_was_shown_whatever_the_modality():
    client = greeted()
    hear(client, asked(2))
    client.say(TextInput(text="a"))
    client.say(AnswerInput(approval=3, responses=(Response(id="i", response=True),)))
    text, answer = (frame for frame in outgoing(client, 0.0) if isinstance(frame, TextInput | AnswerInput))
    assert (text.seq, text.last_record) == (1, None)
    assert (answer.seq, answer.last_record) == (2, 3)
    hear(client, InputAck(epoch=1, seq=3, upto=2))
    assert client.unacknowledged == 0


def test_client_repeats_hello_after_an_approvals_deadline_until_it_is_closed():
    client = greeted(ack_delay=1e9, ping_interval=1e9)
    hear(client, asked(2, seconds=60.0), now=0.0)
    assert outgoing(client, 59.0) == []
    assert client.wakeup(59.0, 1) == pytest.approx(1.5)
    (hello,) = outgoing(client, 61.0)
    assert isinstance(hello, Hello)
    assert hello.last_record == 3
    told = [ready(3, 1, since=3), closed(2, 4, "expired", epoch=3)]
    assert hear(client, *told, now=61.5) == told
    assert client.approval is None
    assert outgoing(client, 200.0) == []


def test_a_holder_whose_clock_is_behind_says_how_long_is_left_and_is_asked_again_then():
    client = greeted(ack_delay=1e9, ping_interval=1e9)
    hear(client, asked(2, seconds=10.0), now=0.0)
    assert kinds(outgoing(client, 11.0)) == ["Hello"]
    hear(client, ready(3, 1, since=3), asked(2, seconds=5.0, epoch=3), now=12.0)
    assert outgoing(client, 17.0) == []
    assert kinds(outgoing(client, 18.0)) == ["Hello"]


def test_a_closed_approval_causes_no_hello_at_its_deadline():
    client = greeted(ack_delay=1e9, ping_interval=1e9)
    hear(client, asked(2, seconds=10.0), closed(3, 4))
    assert outgoing(client, 20.0) == []
