"""A turn, from the queue's message to what the client shows."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from segue import SessionFenced, SessionHeld
from segue.testing.offline.answers import Say
from segue.wire.claims import ClientAddress, DirectAddress
from segue.wire.frames import (
    Error,
    Hello,
    ImageInput,
    InputAck,
    Ready,
    TextInput,
    TextOutput,
    Tool,
    decode_server_frame,
)
from tests.unit.turn.conftest import KEY, Person, journal, messages
from tests.unit.turn.items import item
from turn.post import MessageOutcome
from turn.turn_outbox import TurnOutbox, Undelivered


def kinds(frames):
    return [type(frame).__name__ for frame in frames]


async def test_a_turn_is_answered_committed_and_released(world, processes):
    process, person = processes(), Person(world)
    delivery = await person.say(process, "My name is Alice")
    before = len(world.posted)
    await process.take(delivery)

    said = world.frames()[before:]
    assert kinds(said) == ["Ready", "InputAck", "TextOutput"]
    assert [frame.seq for frame in said] == [1, 2, 3]
    ready, ack, text = said
    assert isinstance(ready, Ready)
    assert 1 in ready.known
    assert ready.since == person.conversation.last_record
    assert ack == InputAck(epoch=ready.epoch, seq=2, upto=1)
    assert isinstance(text, TextOutput)
    assert text.text == "Hello Alice, nice to meet you.\n".strip()
    assert not (await item(world)).held

    await person.settle(process)
    assert person.texts == ["Hello Alice, nice to meet you."]
    assert person.conversation.unacknowledged == 0
    assert messages(await journal(world)) == [("user", "My name is Alice"), ("assistant", person.texts[0])]


async def test_turn_after_turn_needs_no_hello(world, processes):
    process, person = processes(), Person(world)
    for number, text in enumerate(("My name is Alice", "please repeat after me: tea", "What is my name?"), 1):
        await process.take(await person.say(process, text))
        person.listen()
        assert len(person.texts) == number
        assert person.outgoing() == []
    assert person.texts[-1] == "Your name is Alice."


@pytest.mark.parametrize("character", ['"', "\x01", "\n"])
async def test_an_answer_that_no_frame_holds_is_shown_cut_and_the_next_one_after_it(
    world, processes, monkeypatch, character
):
    process, person = processes(), Person(world)
    delivery = await person.say(process, "something long")
    with monkeypatch.context() as patch:
        patch.setattr("segue.testing.offline.text_model.answer", lambda _: Say(f"a{character * 30_000}"))
        await process.take(delivery)
    person.listen()
    assert person.outgoing() == [], "no hello: nothing is missing"
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert [words[:2] for words in person.texts] == [f"a{character}", "te"]
    assert person.conversation.unacknowledged == 0


async def test_a_number_is_never_used_up_without_being_sent(world):
    at = ClientAddress(client_id="c", connection_id="c-1", counter=1)
    posted = []

    def post(_, message):
        posted.append(decode_server_frame(message))
        return MessageOutcome.DELIVERED

    outbox = TurnOutbox(3, [at], post, lambda: True)
    for words in ("before", '"' * 40_000, "after"):
        outbox.queue_frame("c", TextOutput(text=words))
    await outbox.drain("c")
    assert [(frame.seq, frame.text[:6]) for frame in posted] == [(1, "before"), (2, '"' * 6), (3, "after")]


async def test_tools_are_shown_once_each_as_they_become_durable(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "Remember that I like tea"))
    await person.settle(process)

    tools = [(frame.name, frame.status) for frame in person.shown if isinstance(frame, Tool)]
    assert tools == [("remember", "started"), ("remember", "success")]
    assert person.texts == ["noted 1"]
    records = [frame.record for frame in person.shown if isinstance(frame, Tool | TextOutput)]
    assert records == sorted(set(records))


async def test_a_text_out_of_order_is_answered_once_its_client_sends_it_again(world, processes):
    process, person = processes(), Person(world)
    await person.settle(process)
    for text in ("repeat after me one", "repeat after me two"):
        person.conversation.say(TextInput(text=text))
    first, second = person.outgoing()
    for delivery in (second, first, second):
        await process.take(delivery)
    await person.settle(process)

    assert person.texts == ["one", "two"]
    assert [message for role, message in messages(await journal(world)) if role == "user"] == [
        "repeat after me one",
        "repeat after me two",
    ]


async def test_a_blank_text_has_no_effect_and_holds_nothing_up(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "   "))
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(processes())

    assert person.texts == ["tea"]
    assert person.conversation.unacknowledged == 0
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]


async def test_an_image_is_refused_and_holds_nothing_up(world, processes):
    process, person = processes(), Person(world)
    await person.settle(process)
    said = len(world.posted)
    image = ImageInput(image="AAAA", media_type="image/png", part=1, parts=1, seq=1)
    for _ in range(2):
        await process.take(person.delivery(image))
    await process.take(person.delivery(msgspec.structs.replace(image, seq=5)))
    assert kinds(world.frames()[said:]) == ["Ready", "InputAck", "Error", "Ready", "InputAck"]
    assert [frame.code for frame in world.frames() if isinstance(frame, Error)] == ["bad_image"]
    await process.take(person.delivery(TextInput(text="repeat after me tea", seq=2)))
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]


async def test_a_message_that_comes_again_has_no_second_effect(world, processes):
    process, person = processes(), Person(world)
    delivery = await person.say(process, "Remember that I like tea")
    await process.take(delivery)
    said = len(world.posted)
    await process.take(delivery, repeated=True)
    await processes().take(delivery, repeated=True)

    assert kinds(world.frames()[said:]) == 2 * ["Ready", "Tool", "Tool", "TextOutput", "InputAck"]
    await person.settle(process)
    assert person.texts == ["noted 1"]
    assert world.noted == ["I like tea"]


async def test_a_client_without_numbers_is_answered_once_by_a_turn_that_is_tried_again(world, processes):
    process, person = processes(), Person(world)
    await person.settle(process)
    delivery = person.delivery(TextInput(text="repeat after me tea"))
    world.refuse = lambda _: MessageOutcome.FAILED
    with pytest.raises(Undelivered):
        await process.take(delivery)
    world.refuse = lambda _: MessageOutcome.DELIVERED
    await processes().take(delivery, repeated=True)

    assert [frame.text for frame in world.frames() if isinstance(frame, TextOutput)] == ["tea"]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]
    await process.take(delivery)  # said again by the person, and no repeat
    assert len(messages(await journal(world))) == 4


async def test_every_client_of_the_session_hears(world, processes):
    process, person, other = processes(), Person(world), Person(world, "d", "d-1")
    await person.settle(process)
    await other.settle(process)
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    await other.settle(process)
    assert (person.texts, other.texts) == (["tea"], ["tea"])


async def test_all_frames_of_a_turn_have_the_trace_of_its_text(world, processes):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    person = Person(world)
    await processes().take(person.delivery(TextInput(text="My name is Alice.", seq=1, trace=trace)))
    assert {type(frame) for frame in world.frames()} == {Ready, InputAck, TextOutput}
    assert {frame.trace for frame in world.frames()} == {trace}


async def test_another_client_that_is_gone_or_stuck_holds_no_client_up(world, processes):
    process, person = processes(), Person(world)
    Person(world, "gone", "g-1"), Person(world, "stuck", "s-1")
    outcomes = {"g-1": MessageOutcome.GONE, "s-1": MessageOutcome.FAILED}
    world.refuse = lambda connection: outcomes.get(connection, MessageOutcome.DELIVERED)
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts == ["tea"]


async def test_hello_says_again_what_was_not_shown(world, processes):
    process, person = processes(), Person(world)
    await process.take(await person.say(process, "repeat after me tea"))
    person.listen()
    late = Person(world, "late", "l-1")
    hello = Hello(session="talk", client_id="late", connection=1, last_record=-1, modality="text")
    await process.take(late.delivery(hello))

    said = world.frames("l-1")
    assert kinds(said) == ["Ready", "TextOutput", "InputAck"]
    assert (said[0].since, said[0].history, said[0].head) == (-1, 2, (await item(world)).head)
    assert world.frames()[-1] not in said


@pytest.mark.slow
async def test_text_of_a_session_that_a_living_worker_holds_is_left_to_it(world, processes):
    voice, process, person = processes(), processes(probe=None), Person(world)
    delivery = await person.say(process, "repeat after me tea")
    held = await voice.sessions.acquire_session(KEY)
    before = len(world.posted)
    await process.take(delivery)
    assert len(world.posted) == before

    await process.take(person.delivery(TextInput(text="tea")))
    (error,) = world.frames()[before:]
    assert isinstance(error, Error)
    assert (error.code, error.retryable) == ("busy", True)

    with pytest.raises(SessionHeld):  # it may be recorded, so its client may not send it again
        await process.take(delivery, repeated=True)

    await voice.sessions.keep_session(held)
    await process.take(delivery)  # its client sent it again, and by now no process holds
    await person.settle(process)
    assert person.texts == ["tea"]


async def test_a_turn_that_was_taken_over_says_nothing_more(world, processes):
    slow, person = processes(), Person(world)
    delivery = await person.say(slow, "repeat after me tea")
    thinking, go_on = asyncio.Event(), asyncio.Event()

    async def think() -> None:
        thinking.set()
        await go_on.wait()

    slow.think = think
    turn = asyncio.create_task(slow.take(delivery))
    await thinking.wait()
    await processes().take(delivery, repeated=True)  # the probe takes the slow one for dead
    go_on.set()
    with pytest.raises(SessionFenced):
        await turn
    epochs = [frame.epoch for frame in world.frames() if isinstance(frame, TextOutput)]
    assert epochs == [(await item(world)).epoch - 1]
    await person.settle(processes())
    assert person.texts == ["tea"]
    assert messages(await journal(world)) == [("user", "repeat after me tea"), ("assistant", "tea")]


async def test_nothing_is_posted_once_the_lease_may_have_expired():
    posted, mine = [], True

    def post(connection_id, message):
        nonlocal mine
        mine = False
        posted.append(message)
        return MessageOutcome.DELIVERED

    address = ClientAddress(client_id="c", connection_id="c-1", counter=1)
    outbox = TurnOutbox(7, [address], post, lambda: mine)
    for text in ("one", "two"):
        outbox.queue_frame("c", TextOutput(text=text))
    with pytest.raises(Undelivered):
        await outbox.drain("c")
    assert [decode_server_frame(message) for message in posted] == [TextOutput(text="one", epoch=7, seq=1)]


async def test_a_client_is_told_which_process_takes_its_turn(world, processes):
    process, person = processes(holder="text-3f2a"), Person(world)
    await process.take(await person.say(process, "hello"))
    assert world.frames()[0].holder == "text-3f2a"


async def test_a_client_at_a_workers_socket_is_left_out_and_learns_from_the_journal(world, processes):
    process, person = processes(), Person(world)
    at = DirectAddress(endpoint="http://w1", socket="s", secret="hush")
    world.addresses["d"] = ClientAddress(client_id="d", connection_id="direct-s", counter=1, direct=at)
    await process.take(await person.say(process, "repeat after me tea"))
    await person.settle(process)
    assert person.texts == ["tea"]
    assert {to for to, _ in world.posted} == {"c-1"}
