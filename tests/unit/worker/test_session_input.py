"""One hosted conversation's input: exactly once, in order, and acknowledged when it is durable."""

from __future__ import annotations

import asyncio

import pytest

from segue.wire.frames import (
    Error,
    FrameError,
    InputAck,
    Ready,
    Received,
    Resume,
)
from segue.wire.rate import FrameRate
from tests.support.memory_manager import Latch
from tests.support.scripted_model import answered, spoken
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, finals, text, turns
from worker.conversation.input.intake import QUEUE_FRAMES
from worker.conversation.input.receipts import CONFIRMED_FRAMES, INPUT_WINDOW


async def test_text_reaches_the_agent_once_and_in_order(host, clients):
    hosting = await host()
    for seq, words in ((2, "two"), (1, "one"), (2, "two"), (1, "one"), (4, "four"), (3, "three"), (3, "three")):
        hosting.session.deliver(delivery(text(words, seq)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 4)
    assert hosting.model.texts == ["one", "two", "three", "four"]


async def test_an_acknowledgement_waits_until_the_text_is_durable(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.session.deliver(delivery(text("hello", 1)))
    await latch.reached.wait()
    await eventually(lambda: hosting.model.texts == ["hello"])  # the agent runs ahead of the journal
    assert not clients.of("k1", InputAck)
    latch.go.set()
    await eventually(lambda: clients.of("k1", InputAck))
    assert clients.of("k1", InputAck)[0].upto == 1


@pytest.mark.slow
async def test_received_tells_arrived_and_missing_numbers_before_they_are_durable(host, clients, storage):
    hosting = await host()
    assert clients.of("k1", Ready)[-1].window == INPUT_WINDOW
    storage.before = latch = Latch("commit")
    for seq in (1, *range(3, CONFIRMED_FRAMES)):
        hosting.session.deliver(delivery(text("hello", seq)))
    await eventually(lambda: clients.of("k1", Received))
    assert (clients.of("k1", Received)[0].upto, clients.of("k1", Received)[0].beyond) == (
        1,
        tuple(range(3, CONFIRMED_FRAMES)),
    )
    for seq in (2, *range(CONFIRMED_FRAMES, 2 * CONFIRMED_FRAMES)):
        hosting.session.deliver(delivery(text("hello", seq)))
    await eventually(lambda: clients.of("k1", Received)[-1].upto == 2 * CONFIRMED_FRAMES - 1)
    assert not clients.of("k1", InputAck)
    latch.go.set()


async def test_a_repeat_of_what_is_durable_is_acknowledged_again_and_has_no_effect(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: len(clients.of("k1", InputAck)) == 1)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: len(clients.of("k1", InputAck)) == 2)
    assert hosting.model.texts == ["hello"]


async def test_a_successor_knows_what_was_taken(host, clients):
    first = await host()
    first.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    await first.session.stop()
    second = await host(who=(address(connection_id="k2"),))
    assert clients.of("k2", Ready)[0].known.upto == 1
    assert clients.of("k2", Ready)[0].history == 1
    second.session.deliver(delivery(text("hello", 1), connection_id="k2"))
    second.session.deliver(delivery(text("again", 2), connection_id="k2"))
    await eventually(lambda: len(second.model.texts) > 1)
    assert second.model.texts == ["hello", "again"], "what had no answer is asked by the successor, not recorded"


@pytest.mark.slow
async def test_a_last_text_that_breaks_the_model_does_not_end_every_successor(host, clients):
    first = await host()
    first.session.deliver(delivery(text("poison", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    await first.session.stop()
    second = await host(start=False)
    second.model.refusal = broken = RuntimeError("the provider's client broke")
    await second.session.start((address(connection_id="k2"),))
    await eventually(lambda: broken.__traceback__)  # raised
    assert second.session.open
    second.model.refusal = None
    second.session.deliver(delivery(text("again", 2), connection_id="k2"))
    await eventually(lambda: second.model.texts == ["again"])


async def test_audio_is_acknowledged_when_the_transcript_it_led_to_is_durable(host, clients, storage):
    hosting = await host()
    for seq in (1, 2, 3):
        hosting.session.deliver(delivery(audio(seq, sample=seq)))
    await eventually(lambda: len(hosting.model.audio) == 3)
    assert hosting.model.audio == [audio(seq, sample=seq).pcm for seq in (1, 2, 3)]
    assert not clients.of("k1", InputAck)
    storage.before = latch = Latch("commit")
    hosting.model.emit(spoken("what's my name", role="user"))
    await latch.reached.wait()
    assert not clients.of("k1", InputAck)
    latch.go.set()
    await eventually(lambda: clients.of("k1", InputAck))
    assert clients.of("k1", InputAck)[0].upto == 3
    hosting.session.deliver(delivery(audio(4)))
    hosting.model.emit(answered("Alice", content_id="c2"))
    await eventually(lambda: finals(clients) == ["what's my name", "Alice"])
    assert clients.of("k1", InputAck)[-1].upto == 3, "an assistant's transcript answers no audio"


async def test_text_typed_while_speaking_is_acknowledged_beyond_the_audio(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(audio(1)))
    hosting.session.deliver(delivery(text("typed", 2)))
    await eventually(lambda: clients.of("k1", InputAck))
    assert clients.of("k1", InputAck)[0].upto == 0
    assert clients.of("k1", InputAck)[0].beyond == (2,)


async def test_frames_without_numbers_are_taken_as_they_come(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text("plain")))
    hosting.session.deliver(delivery(audio()))
    await eventually(lambda: hosting.model.texts == ["plain"] and len(hosting.model.audio) == 1)
    assert hosting.manager.inputs == {}


async def test_the_model_is_not_asked_for_its_rate_with_every_frame(host, clients):
    hosting = await host()
    asked = 0
    asking = hosting.model.get_audio_config

    def count():
        nonlocal asked
        asked += 1
        return asking()

    hosting.model.get_audio_config = count
    for seq in range(1, 6):
        hosting.session.deliver(delivery(audio(seq)))
    await eventually(lambda: len(hosting.model.audio) == 5)
    assert asked == 1


async def test_blank_text_is_not_given_to_the_model_and_leaves_no_hole(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text(" \n", 1)))
    hosting.session.deliver(delivery(text("hello", 2)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 2)
    assert hosting.model.texts == ["hello"]


async def test_input_that_the_model_refuses_is_answered_and_the_conversation_goes_on(host, clients):
    hosting = await host()
    hosting.model.refusal = ValueError("too long for this provider")
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: clients.of("k1", Error))
    assert "provider" not in clients.of("k1", Error)[0].message
    hosting.model.refusal = None
    hosting.session.deliver(delivery(text("again", 2)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 2)
    assert hosting.session.open


@pytest.mark.slow
async def test_a_full_queue_refuses_and_forgets_nothing(host, clients):
    hosting = await host()
    hosting.session._rate = FrameRate(lambda: 0.0, burst=2 * QUEUE_FRAMES)
    hosting.model.free.clear()
    seq = 0
    with pytest.raises(FrameError, match="too much") as refused:
        for seq in range(1, QUEUE_FRAMES + 10):
            hosting.session.deliver(delivery(text(str(seq), seq)))
            await asyncio.sleep(0)
    assert refused.value.code == "busy"
    assert seq > QUEUE_FRAMES
    hosting.model.free.set()
    await eventually(lambda: len(hosting.model.texts) == seq - 1)
    hosting.session.deliver(delivery(text(str(seq), seq)))
    await eventually(lambda: len(hosting.model.texts) == seq)
    assert hosting.model.texts == [str(number) for number in range(1, seq + 1)]


@pytest.mark.slow
async def test_only_a_refused_client_is_asked_again_and_once(host, clients, monkeypatch):
    hosting = await host(who=(address(), address("c2", "k2")))
    send = hosting.model.send

    async def send_as_over_a_network(content):
        await asyncio.sleep(0)
        await send(content)

    monkeypatch.setattr(hosting.model, "send", send_as_over_a_network)
    hosting.session._rate = FrameRate(lambda: 0.0, burst=3 * QUEUE_FRAMES)
    hosting.model.free.clear()
    hosting.session.deliver(delivery(text("a while", 1)))
    await turns()  # it is with the model
    for seq in range(2, QUEUE_FRAMES + 2):
        hosting.session.deliver(delivery(text(str(seq), seq)))
    for seq in (QUEUE_FRAMES + 2, QUEUE_FRAMES + 3):
        with pytest.raises(FrameError, match="too much"):
            hosting.session.deliver(delivery(text(str(seq), seq)))
    with pytest.raises(FrameError, match="too much"):
        hosting.session.deliver(delivery(text("without a number"), client_id="c2", connection_id="k2"))
    await turns()
    assert not clients.of("k1", Resume), "there is no room yet"
    given = []
    clients.on_delivered = lambda frame: isinstance(frame, Resume) and given.append(len(hosting.model.texts))
    hosting.model.free.set()
    await eventually(lambda: len(hosting.model.texts) == QUEUE_FRAMES + 1)
    (resume,) = clients.of("k1", Resume)
    (what_has_come,) = [frame for frame in clients.of("k1", Received) if frame.seq == resume.seq + 1]
    assert what_has_come.upto == QUEUE_FRAMES + 1
    for seq in (QUEUE_FRAMES + 2, QUEUE_FRAMES + 3):
        hosting.session.deliver(delivery(text(str(seq), seq)))
    await eventually(lambda: len(hosting.model.texts) == QUEUE_FRAMES + 3)
    assert [QUEUE_FRAMES // 2 <= count <= QUEUE_FRAMES for count in given] == [True], (given, "half of it is enough")
    assert not clients.of("k2", Resume)
