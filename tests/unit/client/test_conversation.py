"""The client's side without I/O, against a model of a session whose network and holders do what they like."""

import pytest

from segue.client.conversation import Conversation
from segue.client.errors import SessionRefused
from segue.client.settings import ClientSettings
from segue.lease.item import Known
from segue.wire.frames import (
    AnswerInput,
    Approval,
    ApprovalRequest,
    AudioInput,
    AudioOutput,
    FrameError,
    Hello,
    InputAck,
    Moved,
    OutputAck,
    Ping,
    Pong,
    Ready,
    Received,
    Response,
    Resume,
    TextInput,
    TextOutput,
    Transcript,
    encode_frame,
    error_frame,
)
from segue.wire.sender import SenderSettings

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'
AUDIO_1_3 = AudioOutput(epoch=1, seq=3, audio="AAAA", rate=8000)


def conversation(**changes):
    return Conversation("s", "c", "voice", ClientSettings(**changes))


def ready(epoch=1, seq=1, *, known=None, head=0, since=None, window=None):
    known = known or Known()
    return Ready(epoch=epoch, seq=seq, session="s", known=known, history=0, head=head, since=since, window=window)


def hear(client, *frames, now=0.0, link=None):
    return [event for frame in frames for event in client.received(encode_frame(frame), now, link or client.counter)]


def outgoing(client, now, link=None):
    return client.outgoing(now, link or client.counter)


def greeted(**changes):
    client = conversation(**changes)
    client.connected(0.0)
    outgoing(client, 0.0)
    hear(client, ready())
    return client


def kinds(frames):
    return [type(frame).__name__ for frame in frames]


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


def test_on_a_new_connection_only_an_answer_to_hello_ends_it():
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


def test_what_was_received_has_its_place_in_the_order_and_leaves_no_gap():
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


@pytest.mark.parametrize("first", [Moved(epoch=1, seq=3), Resume(epoch=1, seq=3), ready(epoch=2, window=3)])
def test_what_a_holder_had_received_is_said_again_to_one_that_may_not_have_it(first):
    client = spoken_to(3)
    hear(client, Received(epoch=1, seq=2, upto=3), first, ready(epoch=first.epoch, seq=4, window=3))
    assert [frame.seq for frame in outgoing(client, 1.0) if isinstance(frame, AudioInput)] == [1, 2, 3]


def test_what_was_refused_is_said_again_after_the_pause_within_the_window_and_nothing_else():
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
    assert outgoing(client, 1.3) == [], "no more than may be on its way"
    hear(client, Received(epoch=1, seq=6, upto=8), now=1.4)
    assert [frame.seq for frame in outgoing(client, 1.4)] == [9, 10, 11, 12]


def test_what_another_holder_has_received_is_no_news_of_this_one():
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


def test_what_is_too_large_is_refused_before_it_has_a_number():
    client = greeted()
    with pytest.raises(FrameError):
        client.say(TextInput(text="x" * 40_000))
    with pytest.raises(FrameError):
        client.say(TextInput(text="x", trace="no trace"))
    client.say(TextInput(text="x"))
    assert outgoing(client, 0.0) == [TextInput(text="x", seq=1)]


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


def test_what_both_connections_bring_is_shown_once():
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


def test_when_the_old_connection_breaks_its_renewal_goes_on():
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


def test_superseded_by_a_connection_of_its_own_that_has_broken_a_client_needs_a_newer_one():
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


def test_expired_credentials_are_an_end_without_new_ones():
    client = greeted()
    hear(client, error_frame("expired"))
    assert (client.failure.code, client.link(1).lost) == ("expired", False)


def test_with_new_credentials_they_are_a_new_connection_unless_those_are_refused_too():
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


def test_where_there_is_no_room_hello_is_said_no_more_often_than_must_be():
    client = conversation(hello_interval=2.0, longest_hello_interval=6.0)
    client.connected(0.0)
    outgoing(client, 0.0)
    hear(client, error_frame("too_many_sessions"), now=0.5)
    assert client.last_error.code == "too_many_sessions"
    assert outgoing(client, 6.4) == []
    assert kinds(outgoing(client, 6.5)) == ["Hello"]
    hear(client, ready())
    assert client.last_error is None


@pytest.mark.parametrize(("session", "client_id"), [("", "c"), ("a/b", "c"), ("..", "c"), ("s", "c d"), ("s", "")])
def test_ids_that_are_none_are_refused_before_anything_is_said(session, client_id):
    with pytest.raises(ValueError, match=r"session id|regex"):
        Conversation(session, client_id, "text", ClientSettings())


# --- output


def test_what_is_not_protocol_is_ignored():
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


def test_when_the_time_of_an_approval_is_over_hello_is_said_until_it_is_answered():
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


def test_an_approval_that_was_answered_meanwhile_causes_no_hello():
    client = greeted(ack_delay=1e9, ping_interval=1e9)
    hear(client, asked(2, seconds=10.0), closed(3, 4))
    assert outgoing(client, 20.0) == []
