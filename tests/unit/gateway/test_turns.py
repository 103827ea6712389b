"""Text of sessions without a holder: which frames go to the queue of turns, under which group and identity."""

from __future__ import annotations

import hashlib
import json

import boto3
import pytest

from gateway.turns import REPEAT_SECONDS, TurnsQueue
from segue.wire.delivery import Delivery, decode_delivery, encode_delivery
from segue.wire.frames import (
    AnswerInput,
    AudioInput,
    Bye,
    Hello,
    HistoryRequest,
    ImageInput,
    OutputAck,
    Response,
    TextInput,
    encode_frame,
)
from shared.connections import Binding
from shared.ingress.handoffs import HANDOVER_SECONDS
from tests.unit.gateway.dispatching import LEAVING

BINDING = Binding("alice/talk", "talk", "c", 1, "text")
HELLO = Hello(session="talk", client_id="c", connection=1, modality="text")


@pytest.fixture
def queue(aws):
    client = boto3.client("sqs")
    attributes = {
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "VisibilityTimeout": "0",
    }
    return client, client.create_queue(QueueName="turns.fifo", Attributes=attributes)["QueueUrl"]


@pytest.fixture
def turns(queue, clock):
    return TurnsQueue(*queue, clock)


def waiting(queue):
    client, url = queue
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
    return answer.get("Messages", [])


def send(turns, frame, binding=BINDING):
    delivery = Delivery(
        session_key=binding.session_key, connection_id="c-1", client_id=binding.client_id, counter=1, frame=frame
    )
    turns.send(binding, frame, encode_delivery(delivery))


def test_turns_takes_only_hello_text_and_history_and_only_of_text_clients(turns):
    hello = Hello(session="talk", client_id="c", connection=1, modality="text")
    voice = Binding("alice/talk", "talk", "c", 1)
    assert [turns.takes(BINDING, frame) for frame in (hello, TextInput(text="a", seq=1), HistoryRequest())] == [
        True
    ] * 3
    for frame in (AudioInput.from_pcm(b"ab", 1), Bye(), OutputAck(epoch=1, seq=1)):
        assert not turns.takes(BINDING, frame)
    assert not turns.takes(voice, TextInput(text="a", seq=1))


def test_a_message_is_a_delivery_in_the_group_of_its_session(turns, queue):
    frame = TextInput(text="My name is Alice", seq=1, last_record=4)
    send(turns, frame)
    (message,) = waiting(queue)
    delivery = decode_delivery(message["Body"].encode())
    assert (delivery.session_key, delivery.frame) == ("alice/talk", frame)
    group = message["Attributes"]["MessageGroupId"]
    assert group == hashlib.sha256(b"alice/talk").hexdigest()
    assert "alice" not in json.dumps(message["Attributes"])


@pytest.mark.slow
def test_repeats_within_seconds_are_one_message_and_later_ones_are_heard(turns, queue, clock):
    frame = TextInput(text="a", seq=1)
    send(turns, frame)
    clock.now += REPEAT_SECONDS - 1
    send(turns, frame)
    assert len(waiting(queue)) == 1
    clock.now += 1
    send(turns, frame)  # what was dropped unheard must not be dropped for the five minutes that SQS remembers
    send(turns, TextInput(text="a", seq=2))
    assert len(waiting(queue)) == 3


@pytest.mark.slow
def test_another_client_or_a_text_without_a_number_is_no_repeat(turns, queue):
    for _ in range(2):
        send(turns, TextInput(text="a"))
    send(turns, TextInput(text="a", seq=1))
    send(turns, TextInput(text="a", seq=1), Binding("alice/talk", "talk", "d", 1, "text"))
    assert len(waiting(queue)) == 4


@pytest.mark.slow
def test_a_hello_is_repeated_only_by_one_that_says_the_same(turns, queue):
    for last_record in (None, None, 3, 3):
        send(turns, Hello(session="talk", client_id="c", connection=1, modality="text", last_record=last_record))
    assert len(waiting(queue)) == 2


# --- with the rest of the message function


def say(gateway, frame):
    return gateway.router.receive("c-1", encode_frame(frame))


@pytest.fixture
def texting(gateway, turns):
    """The message function with a queue of turns, and a connection that has said hello."""
    gateway.open("c-1", "alice")
    gateway.warm(turns=turns)
    assert say(gateway, Hello(session="talk", client_id="c", connection=1, modality="text")) is None
    return gateway


def frames(queue):
    return [decode_delivery(message["Body"].encode()).frame for message in waiting(queue)]


@pytest.mark.slow
def test_text_without_a_holder_waits_for_its_turn_and_makes_no_claim(texting, queue, clock):
    assert say(texting, TextInput(text="a", seq=1)) is None
    assert say(texting, Bye()) is None
    assert [type(frame) for frame in frames(queue)] == [Hello, TextInput]
    assert texting.claims() == []


@pytest.mark.slow
def test_another_function_knows_that_the_connection_is_one_of_text(texting, queue):
    texting.warm()
    say(texting, TextInput(text="a", seq=1))
    assert TextInput(text="a", seq=1) in frames(queue)
    assert texting.claims() == []


def test_text_of_a_session_that_a_voice_worker_holds_goes_to_that_worker(texting, queue, worker):
    texting.hold("alice/talk", worker)
    say(texting, TextInput(text="a", seq=1))
    assert worker.frames == [TextInput(text="a", seq=1)]
    assert [type(frame) for frame in frames(queue)] == [Hello]


@pytest.mark.slow
def test_text_of_a_vanished_worker_is_claimed_and_then_queued(texting, queue, worker):
    texting.hold("alice/talk", worker)
    worker.stop()
    say(texting, TextInput(text="a", seq=1))
    assert TextInput(text="a", seq=1) in frames(queue)
    assert [claim.reason for claim in texting.claims()] == ["unreachable"]


@pytest.mark.slow
@pytest.mark.parametrize("frame", [HELLO, TextInput(text="a")], ids=lambda frame: type(frame).__name__)
def test_a_frame_without_a_number_waits_for_the_other_worker(texting, queue, worker, other_worker, clock, frame):
    texting.hold("alice/talk", worker)
    worker.stop()
    clock.on_sleep = lambda: texting.hold("alice/talk", other_worker, epoch=2)
    assert say(texting, frame) is None
    assert other_worker.frames == [frame]
    assert frames(queue) == [HELLO], "the queue has the first hello only"


@pytest.mark.slow
def test_a_frame_without_a_number_is_queued_if_no_worker_takes_over(texting, queue, worker):
    texting.hold("alice/talk", worker)
    worker.stop()
    assert say(texting, TextInput(text="a")) is None
    assert TextInput(text="a") in frames(queue)


def leaving(texting, worker):
    """A worker that held the session, and has just released it to a successor that is ready."""
    texting.hold("alice/talk", worker)
    say(texting, TextInput(text="a", seq=1))
    worker.answers = [LEAVING] * 2
    texting.free("alice/talk")


@pytest.mark.slow
def test_text_of_a_session_that_is_handed_over_is_left_to_the_successor(texting, queue, worker, other_worker, clock):
    leaving(texting, worker)
    for _ in range(2):  # the second finds no holder, and no refusal
        assert say(texting, TextInput(text="b", seq=2)) is None
    assert frames(queue) == [HELLO], "a turn would take the session from the successor"
    texting.hold("alice/talk", other_worker, epoch=2)
    assert say(texting, TextInput(text="b", seq=2)) is None
    assert other_worker.frames == [TextInput(text="b", seq=2)]
    assert texting.claims() == []


@pytest.mark.slow
def test_text_without_a_number_waits_for_the_successor(texting, queue, worker, other_worker, clock):
    leaving(texting, worker)
    clock.on_sleep = lambda: texting.hold("alice/talk", other_worker, epoch=2)
    assert say(texting, TextInput(text="b")) is None
    assert other_worker.frames == [TextInput(text="b")]
    assert frames(queue) == [HELLO]


@pytest.mark.slow
def test_text_is_in_the_queue_should_no_successor_come(texting, queue, worker, clock):
    leaving(texting, worker)
    assert say(texting, TextInput(text="b", seq=2)) is None
    clock.now += HANDOVER_SECONDS
    assert say(texting, TextInput(text="b", seq=2)) is None
    assert frames(queue) == [HELLO, TextInput(text="b", seq=2)]


@pytest.mark.slow
def test_a_handoff_of_long_ago_keeps_no_text_from_its_turn(texting, queue, worker, other_worker, clock):
    leaving(texting, worker)
    say(texting, TextInput(text="b", seq=2))
    clock.now += 3600
    texting.hold("alice/talk", other_worker, epoch=2)
    other_worker.stop()
    say(texting, TextInput(text="b", seq=2))
    assert frames(queue) == [HELLO, TextInput(text="b", seq=2)]
    assert [claim.reason for claim in texting.claims()] == ["unreachable"]


@pytest.mark.slow
def test_a_successor_that_took_a_frame_ends_the_handoff(texting, queue, worker, other_worker):
    leaving(texting, worker)
    say(texting, TextInput(text="b", seq=2))
    texting.hold("alice/talk", other_worker, epoch=2)
    say(texting, TextInput(text="b", seq=2))
    other_worker.stop()
    say(texting, TextInput(text="c", seq=3))
    assert frames(queue) == [HELLO, TextInput(text="c", seq=3)]
    assert [claim.reason for claim in texting.claims()] == ["unreachable"]


@pytest.mark.slow
def test_a_page_that_is_asked_for_in_the_gap_of_a_handoff_makes_no_turn(texting, queue, worker, clock):
    leaving(texting, worker)
    for _ in range(2):  # the second finds no holder, and no refusal
        assert say(texting, HistoryRequest()) is None
    assert frames(queue) == [HELLO], "a turn would take the session from the successor"
    assert texting.claims() == []
    clock.now += HANDOVER_SECONDS
    assert say(texting, HistoryRequest()) is None  # as its client does until the page comes
    assert frames(queue) == [HELLO, HistoryRequest()]


@pytest.mark.slow
def test_a_turn_that_holds_takes_no_frames_so_they_wait_behind_it(texting, queue, worker):
    texting.hold("alice/talk", worker, endpoint=None)
    say(texting, TextInput(text="a", seq=1))
    assert TextInput(text="a", seq=1) in frames(queue)
    assert worker.frames == []


@pytest.mark.slow
def test_audio_of_a_client_of_text_asks_for_a_voice_worker(texting, queue):
    say(texting, AudioInput.from_pcm(b"ab", 1))
    assert [type(frame) for frame in frames(queue)] == [Hello]
    assert len(texting.claims()) == 1


@pytest.mark.slow
def test_an_image_waits_for_a_turn_that_refuses_it(texting, queue):
    image = ImageInput(image="AAAA", media_type="image/png", part=1, parts=1, seq=1)
    for _ in range(2):
        say(texting, image)
    assert frames(queue)[1:] == [image]
    assert texting.claims() == []


def answer(seq=1):
    return AnswerInput(approval=3, responses=(Response(id="i", response=True),), seq=seq)


@pytest.mark.slow
def test_an_answer_waits_for_a_turn_once_for_each_number(texting, queue):
    for frame in (answer(1), answer(1), answer(2)):
        say(texting, frame)
    assert frames(queue)[1:] == [answer(1), answer(2)]
    assert texting.claims() == []


@pytest.mark.slow
def test_an_answer_of_a_client_of_voice_goes_to_the_turns_too(gateway, turns, queue):
    gateway.open("c-1", "alice")
    gateway.warm(turns=turns)
    say(gateway, Hello(session="talk", client_id="c", connection=1))
    gateway.claims()
    say(gateway, answer())
    assert frames(queue) == [answer()]
    assert gateway.claims() == [], "a voice worker would deny what it is an answer to"


@pytest.mark.slow
def test_an_answer_without_a_number_goes_to_the_worker_if_there_are_no_turns(gateway, worker):
    gateway.open("c-1", "alice")
    gateway.hold("alice/talk", worker)
    say(gateway, Hello(session="talk", client_id="c", connection=1))
    say(gateway, answer(None))
    assert worker.frames[-1] == answer(None)


@pytest.mark.slow
@pytest.mark.parametrize("approvals", [True, False])
def test_a_delivery_says_if_its_client_can_answer_approvals(gateway, turns, queue, approvals):
    gateway.open("c-1", "alice")
    gateway.warm(turns=turns)
    say(gateway, Hello(session="talk", client_id="c", connection=1, modality="text", approvals=approvals))
    gateway.warm()
    say(gateway, TextInput(text="a", seq=1))
    told = [decode_delivery(message["Body"].encode()).approvals for message in waiting(queue)]
    assert told == [approvals, approvals]


def test_a_client_of_voice_is_served_as_before(gateway, turns, queue):
    gateway.open("c-1", "alice")
    gateway.warm(turns=turns)
    say(gateway, Hello(session="talk", client_id="c", connection=1))
    say(gateway, TextInput(text="a", seq=1))
    assert frames(queue) == []
    assert gateway.claims()
