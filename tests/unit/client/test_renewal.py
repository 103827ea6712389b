"""The next connection is opened beside the present one: when a worker says so, and when one does not answer."""

from __future__ import annotations

import pytest

from segue.client.conversation import Conversation
from segue.client.retries import AT_ONCE, Retries
from segue.client.settings import ClientSettings
from segue.lease.item import Known
from segue.wire.binary import encode_binary
from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Hello,
    InputAck,
    Moved,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Received,
    Reconnect,
    TextInput,
    TextOutput,
    decode_client_frame,
    encode_frame,
    error_frame,
)


def ready(epoch=1, seq=1, *, features=("direct", "binary"), window=16, since=None):
    return Ready(
        epoch=epoch,
        seq=seq,
        session="s",
        known=Known(),
        history=0,
        head=0,
        since=since,
        window=window,
        features=features,
    )


def hear(client, *frames, now, over=1):
    return [event for frame in frames for event in client.received(encode_frame(frame), now, over)]


def greeted(answer=None, **changes):
    client = Conversation("s", "c", "voice", ClientSettings(**changes), binary=True)
    client.connected(0.0)
    client.outgoing(0.0, 1)
    hear(client, answer or ready(), now=0.0)
    return client


def typed(client, now, over=1):
    client.say(TextInput(text="a"))
    return [frame.seq for frame in client.outgoing(now, over) if isinstance(frame, TextInput)]


# --- reconnect


def test_reconnect_asks_for_a_renewal_once_and_is_no_event():
    client = greeted()
    assert hear(client, Reconnect(), now=5.0) == []
    assert client.wakeup(5.0, 1) == 0.0
    assert [client.wants_renewal(5.0, 1), client.wants_renewal(5.0, 1)] == [True, False]
    assert client.wakeup(5.0, 1) > 1, "the connection is not asked over and over while the next is opened"


def test_reconnect_waits_for_its_time_and_the_earliest_counts():
    client = greeted()
    hear(client, Reconnect(after_ms=3000), Reconnect(after_ms=500), Reconnect(after_ms=2000), now=5.0)
    assert client.wakeup(5.0, 1) == 0.5
    assert not client.wants_renewal(5.4, 1)
    assert client.wants_renewal(5.5, 1)


def test_input_goes_over_the_old_connection_until_ready_comes_over_the_new_one():
    client = greeted()
    hear(client, Reconnect(), now=1.0)
    assert client.wants_renewal(1.0, 1)
    assert client.connected(1.1) == 2
    assert typed(client, 1.2) == [1]
    hear(client, ready(seq=2, since=-1), now=1.3, over=2)
    assert typed(client, 1.4, over=2) == [2]


def test_a_renewal_whose_worker_ends_too_gets_one_of_its_own():
    client = greeted()
    hear(client, Reconnect(), now=1.0)
    assert client.wants_renewal(1.0, 1)
    client.connected(1.1)
    hear(client, Reconnect(), now=1.2, over=1)
    assert not client.wants_renewal(1.2, 1), "the next is open already"
    hear(client, Reconnect(), now=1.3, over=2)
    assert client.wants_renewal(1.3, 2)


def test_reconnect_over_a_replaced_connection_means_nothing():
    client = greeted()
    client.connected(1.0)
    hear(client, ready(seq=2, since=-1), now=1.1, over=2)
    hear(client, Reconnect(), now=1.2, over=1)
    assert not client.wants_renewal(9.0, 2)


# --- silence


def test_a_direct_connection_over_which_nothing_is_confirmed_is_renewed():
    client = greeted()
    assert typed(client, 1.0) == [1]
    assert client.wakeup(1.0, 1) == 1.5
    assert not client.wants_renewal(2.4, 1)
    assert client.wants_renewal(2.5, 1)


@pytest.mark.parametrize(
    "answer",
    [Received(epoch=1, seq=2, upto=1), InputAck(epoch=1, seq=2, upto=1)],
    ids=["received", "ack"],
)
def test_input_that_is_confirmed_in_time_needs_no_renewal(answer):
    client = greeted()
    typed(client, 1.0)
    hear(client, answer, now=2.0)
    assert not client.wants_renewal(60.0, 1)


@pytest.mark.parametrize("sign", [TextOutput(epoch=1, seq=2, text="x"), error_frame("busy")], ids=["output", "error"])
def test_any_word_of_the_holder_is_a_sign_of_life(sign):
    client = greeted()
    typed(client, 1.0)
    hear(client, sign, now=2.0)
    assert not client.wants_renewal(3.4, 1)
    assert client.wants_renewal(3.5, 1)


def test_a_pong_does_not_delay_a_renewal():
    client = greeted()
    typed(client, 1.0)
    hear(client, Pong(), now=2.4)
    assert client.wants_renewal(2.5, 1)


@pytest.mark.parametrize(
    "answer", [ready(features=("binary",)), ready(window=None)], ids=["gateway", "confirms nothing"]
)
def test_silence_of_an_indirect_connection_asks_for_no_renewal(answer):
    client = greeted(answer)
    typed(client, 1.0)
    assert not client.wants_renewal(60.0, 1)


def test_silence_without_unconfirmed_input_asks_for_no_renewal():
    client = greeted()
    assert not client.wants_renewal(500.0, 1)


def test_each_silence_in_a_row_is_given_more_time():
    client = greeted()
    typed(client, 1.0)
    assert client.wants_renewal(2.5, 1)
    client.connected(2.6)
    hear(client, ready(seq=2, since=-1), now=2.7, over=2)
    assert [frame.seq for frame in client.outgoing(2.7, 2) if isinstance(frame, TextInput)] == [1]
    assert not client.wants_renewal(5.6, 2)
    assert client.wants_renewal(5.7, 2)
    hear(client, InputAck(epoch=1, seq=3, upto=1), now=5.8, over=2)
    client.connected(5.9)
    hear(client, ready(seq=4, since=-1), now=6.0, over=3)
    typed(client, 7.0, over=3)
    assert client.wants_renewal(8.5, 3), "a confirmation ends the row"


def test_input_swallowed_by_a_silent_connection_goes_at_once_over_the_next():
    client = greeted()
    typed(client, 1.0)
    assert client.wants_renewal(2.5, 1)
    client.outgoing(2.5, 1)
    client.connected(2.6)
    client.outgoing(2.6, 2)
    hear(client, ready(seq=2, since=-1), now=2.7, over=2)
    assert [frame.seq for frame in client.outgoing(2.7, 2) if isinstance(frame, TextInput)] == [1]


# --- hello


def moved(client, now=10.0):
    """Until the hello that is said when no successor says ``ready``."""
    hear(client, Moved(epoch=1, seq=2), now=now)
    at = now + client.wakeup(now, 1)
    return at, [type(frame) for frame in client.outgoing(at, 1)]


def test_a_worker_that_answers_no_hello_is_left_for_another():
    client = greeted()
    at, said = moved(client)
    assert said == [Hello, Ping], "a worker that lives answers the ping at once, whatever becomes of the hello"
    assert client.wakeup(at, 1) == 1.5
    assert not client.wants_renewal(at + 1.4, 1)
    assert client.wants_renewal(at + 1.5, 1)
    client.connected(at + 1.6)
    assert [type(frame) for frame in client.outgoing(at + 1.6, 2)] == [Hello, Ping]
    assert not client.wants_renewal(at + 4.5, 2), "the next one has more time"
    assert client.wants_renewal(at + 4.6, 2)


def test_a_client_that_only_listens_is_as_impatient_with_the_next_worker_that_hangs():
    client = greeted()
    at, _ = moved(client)
    assert client.wants_renewal(at + 1.5, 1)
    client.connected(at + 1.6)
    client.outgoing(at + 1.6, 2)
    hear(client, Pong(), ready(epoch=2, since=-1), now=at + 1.7, over=2)
    hear(client, Moved(epoch=2, seq=2), now=at + 9.0, over=2)
    again = at + 9.0 + client.wakeup(at + 9.0, 2)
    client.outgoing(again, 2)
    assert not client.wants_renewal(again + 1.4, 2)
    assert client.wants_renewal(again + 1.5, 2)


def test_a_late_answer_keeps_the_longer_patience():
    client = greeted()
    at, _ = moved(client)
    assert client.wants_renewal(at + 1.5, 1)
    client.connected(at + 1.6)
    client.outgoing(at + 1.6, 2)
    hear(client, Pong(), now=at + 3.2, over=2)
    client.outgoing(at + 4.0, 2)
    assert not client.wants_renewal(at + 6.9, 2), "the path takes so long"
    assert client.wants_renewal(at + 7.0, 2)


def test_a_worker_that_answers_pings_while_it_looks_for_a_holder_is_kept():
    client = greeted()
    at, _ = moved(client)
    hear(client, Pong(), now=at + 1.4)
    assert not client.wants_renewal(at + 1.5, 1)
    client.outgoing(at + 2.0, 1)  # the next hello
    assert not client.wants_renewal(at + 3.4, 1)
    assert client.wants_renewal(at + 3.5, 1)


def test_an_acknowledgement_before_the_hello_is_no_question_that_a_worker_leaves_unanswered():
    client = greeted()
    hear(client, TextOutput(epoch=1, seq=2, record=0, text="x"), now=9.2)
    hear(client, Moved(epoch=1, seq=3), now=10.0)
    said, left = [], []
    for now in (step / 10 for step in range(100, 160)):
        said += [(type(frame), now) for frame in client.outgoing(now, 1)]
        left += [now] * client.wants_renewal(now, 1)
        if said[-1:] == [(Ping, 12.0)]:
            hear(client, Pong(), now=now)
    assert said == [(OutputAck, 10.2), (Hello, 12.0), (Ping, 12.0), (Hello, 14.0), (Ping, 14.0)]
    assert left == [15.5], "the ping behind the second hello has no answer"


def test_a_connection_that_follows_a_broken_one_is_renewed_too():
    client = greeted()
    client.disconnected(1)
    client.connected(5.0)
    client.outgoing(5.0, 2)
    assert client.wants_renewal(6.5, 2)


@pytest.mark.parametrize("answer", [ready(features=()), None], ids=["gateway", "not known yet"])
def test_a_hello_over_an_indirect_connection_goes_alone_and_asks_for_no_renewal(answer):
    client = Conversation("s", "c", "voice", ClientSettings())
    client.connected(0.0)
    said = client.outgoing(0.0, 1)
    if answer is not None:
        hear(client, answer, now=0.0)
        at, kinds = moved(client)
        assert kinds == [Hello]
        assert not client.wants_renewal(at + 60.0, 1)
    assert [type(frame) for frame in said] == [Hello]
    assert not client.wants_renewal(60.0, 1)


# --- binary messages


def test_audio_goes_as_a_binary_message_where_the_connection_takes_it():
    client = greeted()
    audio = AudioInput.from_pcm(b"ab", seq=1)
    assert client.message(audio, 1) == encode_binary(audio)
    assert client.message(AudioInput(audio="", seq=1), 1) == encode_frame(AudioInput(audio="", seq=1))
    assert client.message(TextInput(text="a", seq=1), 1) == encode_frame(TextInput(text="a", seq=1))


def test_audio_goes_as_text_without_the_direct_feature():
    client = greeted(ready(features=()))
    audio = AudioInput.from_pcm(b"ab", seq=1)
    message = client.message(audio, 1)
    assert isinstance(message, str)
    assert decode_client_frame(message) == audio


def test_binary_audio_is_agreed_for_each_connection_by_itself():
    client = greeted()
    client.connected(1.0)
    audio = AudioInput.from_pcm(b"ab", seq=1)
    assert isinstance(client.message(audio, 1), bytes)
    assert isinstance(client.message(audio, 2), str)
    hear(client, ready(seq=2, since=-1, features=("direct",)), now=1.1, over=2)
    assert isinstance(client.message(audio, 2), str)


def test_a_binary_message_is_read_like_another():
    client = greeted()
    audio = AudioOutput(epoch=1, seq=2, audio="AAA=", rate=8000)
    assert client.received(encode_binary(audio), 1.0, 1) == [audio]
    assert client.received(encode_binary(audio), 1.0, 1) == [], "the same frame once more is a repeat"
    assert client.received(b"\x00\x09nonsense", 1.0, 1) == []


# --- pauses between attempts


@pytest.mark.parametrize("code", [1012, 1013])
def test_a_worker_that_ends_or_is_full_is_left_at_once_and_not_for_ever(code):
    retries = Retries(ClientSettings(first_backoff=8.0))
    assert [retries.pause(code) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    pauses = [retries.pause(code) for _ in range(5)]
    assert max(pauses) > 0
    retries.succeeded()
    assert retries.pause(code) == 0.0


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011])
def test_a_reconnect_after_any_other_close_code_waits(code):
    retries = Retries(ClientSettings(first_backoff=1.0, longest_backoff=4.0))
    longest = max(Retries(ClientSettings(first_backoff=1.0)).pause(code) for _ in range(50))
    assert 0.2 < longest <= 1.0
    assert retries.first
    retries.pause(code)
    assert not retries.first
