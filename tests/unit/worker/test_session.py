"""One hosted conversation: input exactly once and in order, output only when durable, silence when lost."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import pytest
from strands.bidi.hooks.events import BidiAgentStopEvent, BidiBeforeConnectionRestartEvent
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiConnectionStopEvent,
    BidiResponseStartEvent,
    BidiTextDeltaEvent,
    BidiTextStartEvent,
    BidiTextStopEvent,
    BidiTranscriptStartEvent,
)
from strands.hooks import MessageUpdatedEvent

from segue import LeaseSettings, SessionFenced, SessionHeld
from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire import frames
from segue.wire.frames import (
    AudioOutput,
    BargeIn,
    Bye,
    Error,
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    OutputAck,
    Ready,
    Received,
    Restart,
    Resume,
    TextOutput,
    Tool,
    Transcript,
    encode_frame,
)
from segue.wire.rate import FrameRate
from shared.record_positions import AFTER_THE_MANAGER, BEFORE_THE_MANAGER
from tests.support.memory_manager import Latch, MemorySessionManager
from tests.support.scripted_model import answered, calling, spoken
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, hello, text, turns
from worker.conversation.intake import QUEUE_FRAMES
from worker.conversation.receipts import CONFIRMED_FRAMES, INPUT_WINDOW
from worker.conversation.session import SessionMoved
from worker.providers import AnswerCut
from worker.providers.errors import ERRORS, Kind
from worker.providers.heard import NOTHING, AnswerPlayback, Spoken


def speech(samples: bytes = b"\1\0" * 80) -> BidiAudioDeltaEvent:
    return BidiAudioDeltaEvent(base64.b64encode(samples).decode(), "pcm", 16000, 1, "a1")


def finals(clients: Any, connection_id: str = "k1") -> list[str]:
    return [frame.text for frame in clients.of(connection_id, Transcript) if frame.final]


def said(hosting: Any, words: str) -> bool:
    """Return true if the agent's history has these words."""
    return any(block.get("text") == words for message in hosting.agent.messages for block in message["content"])


# -- input -----------------------------------------------------------------------------------------------


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


async def test_what_has_come_is_told_before_it_is_durable_and_so_is_what_is_missing(host, clients, storage):
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


# -- output ----------------------------------------------------------------------------------------------


async def test_a_final_transcript_waits_for_the_journal_and_audio_does_not(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.model.emit([BidiResponseStartEvent("r1"), *spoken("The answer.", pieces=2), speech()])
    await latch.reached.wait()
    await eventually(lambda: clients.of("k1", AudioOutput))
    assert finals(clients) == []
    assert [frame.text for frame in clients.of("k1", Transcript)] == ["The an", "The answer."]
    latch.go.set()
    await eventually(lambda: finals(clients))
    final = clients.of("k1", Transcript)[-1]
    assert final.text == "The answer."
    assert final.record == hosting.manager.record_of(hosting.agent.messages[-1]["tracking_id"])
    assert hosting.manager.head > final.record


async def test_a_partial_does_not_overtake_the_final_before_it(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.model.emit([*spoken("First.", pieces=1), *spoken("Second.", content_id="c2", pieces=1)])
    await latch.reached.wait()
    await eventually(lambda: said(hosting, "Second."))
    latch.go.set()
    await eventually(lambda: finals(clients) == ["First.", "Second."])
    shown = [(frame.text, frame.final) for frame in clients.of("k1", Transcript)]
    assert shown == [("First.", False), ("First.", True), ("Second.", False), ("Second.", True)]


async def test_texts_and_tools_wait_for_the_journal_and_carry_records(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.model.emit([BidiTextStartEvent("t1"), BidiTextDeltaEvent("Let me look.", "t1"), BidiTextStopEvent("t1")])
    hosting.model.emit(calling("weather", "u1", city="Bern"))
    await latch.reached.wait()
    assert not clients.of("k1", TextOutput)
    assert not clients.of("k1", Tool)
    latch.go.set()
    await eventually(lambda: len(clients.of("k1", Tool)) == 2)
    assert [(frame.name, frame.status) for frame in clients.of("k1", Tool)] == [
        ("weather", "started"),
        ("weather", "success"),
    ]
    records = [frame.record for frame in (*clients.of("k1", TextOutput), *clients.of("k1", Tool))]
    assert None not in records
    assert records == sorted(set(records))


@pytest.mark.parametrize("character", ['"', "\x01", "\n"])
async def test_an_answer_that_no_frame_holds_is_shown_cut_and_the_next_one_after_it(host, clients, character):
    hosting = await host()
    caller = Conversation("talk", "c1", "voice", ClientSettings())
    number = caller.connected(0.0)
    hosting.model.emit(answered(character * 30_000))
    hosting.model.emit(answered("the next one", "r2", "c2"))
    await eventually(lambda: finals(clients)[-1:] == ["the next one"])
    shown = [event for frame in clients.posted["k1"] for event in caller.received(encode_frame(frame), 0.0, number)]
    shown += caller.tick(10.0)
    texts = [frame.text for frame in shown if isinstance(frame, Transcript) and frame.final]
    assert [words[:1] for words in texts] == [character, "t"]
    assert not any(isinstance(frame, Hello) for frame in caller.outgoing(10.0, number)), "nothing is missing"


@pytest.mark.parametrize(
    "restart",
    [ConnectionTimeoutError("eight minutes"), BidiConnectionRestartEvent("scheduled")],
    ids=["lost: the manager waits", "due: the gate waits"],
)
async def test_a_restart_is_told_only_when_all_that_was_said_before_it_is_durable(host, clients, storage, restart):
    """Neither what is being committed nor what waits behind it makes a frame that could keep the restart back."""
    hosting = await host()
    begun = []
    saw = hosting.session.turn.saw
    hosting.session.turn.saw = lambda event: (begun.append(event), saw(event))
    hosting.agent.hooks.add_callback(BidiBeforeConnectionRestartEvent, begun.append, order=BEFORE_THE_MANAGER)

    async def all_has_left_that_may(times):
        hosting.session.say_moved()  # waits for no journal
        await eventually(lambda: len(clients.of("k1", frames.Moved)) == times)

    storage.before = first = Latch("commit")
    hosting.session.deliver(delivery(text("one")))
    await first.reached.wait()
    storage.before = second = Latch("commit")
    hosting.session.deliver(delivery(text("two")))
    await eventually(lambda: hosting.model.texts == ["one", "two"])
    hosting.model.emit([restart])
    await eventually(lambda: begun)
    await all_has_left_that_may(1)
    assert not clients.of("k1", Restart)
    first.go.set()
    await second.reached.wait()
    await all_has_left_that_may(2)
    assert hosting.manager.head > 0
    assert not clients.of("k1", Restart)
    assert len(hosting.model.started_with) == 1
    second.go.set()
    await eventually(lambda: clients.of("k1", Restart))
    assert hosting.manager.head == hosting.manager.position


async def test_barge_in_drops_the_audio_that_waits(host, clients):
    hosting = await host()
    slow = clients.hold("k1")
    hosting.model.emit([BidiResponseStartEvent("r1"), *(speech() for _ in range(20))])
    await eventually(lambda: clients.of("k1", AudioOutput) and hosting.model._events.empty())
    hosting.model.emit([BidiBargeInEvent(), *spoken("stop", role="user")])
    await eventually(lambda: said(hosting, "stop") and hosting.model._events.empty())
    slow.set()
    await eventually(lambda: finals(clients) == ["stop"])
    assert len(clients.of("k1", AudioOutput)) == 1, "only what was under way"
    kinds = clients.kinds("k1")
    assert kinds.index("BargeIn") == kinds.index("AudioOutput") + 1
    assert clients.of("k1", BargeIn)


async def test_what_was_heard_of_an_answer_corrects_its_transcript(host, clients):
    hosting = await host()
    hosting.model.emit([*answered("One. Two. Three."), BidiBargeInEvent(), AnswerCut("One. Two. Three.", "One.")])
    await eventually(lambda: finals(clients) == ["One. Two. Three.", "One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    first, second = [frame for frame in clients.of("k1", Transcript) if frame.final]
    assert second.replaces == first.record is not None
    assert second.record > first.record
    assert [block["text"] for block in hosting.agent.messages[-1]["content"]] == ["One."]
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["One."])
    hosting.model.emit([AnswerCut("a hook took it out", "of the history"), *answered("Four.", content_id="c4")])
    await eventually(lambda: finals(clients, "k2") == ["One.", "Four."])


async def test_of_answers_that_say_the_same_the_one_that_was_heard_is_corrected(host, clients):
    talk = AnswerPlayback(lambda: 0.0)
    first, second = (
        [*begun, BidiAudioDeltaEvent(base64.b64encode(bytes(32000)).decode(), "pcm", 16000, 1, "a"), ended]
        for *begun, ended in (spoken("One two."), spoken("Three four.", content_id="c2"))
    )
    hosting = await host()
    earlier = [*answered("Zero.", content_id="c0"), AnswerCut("Zero.", NOTHING)]
    events = [*first, *second, BidiBargeInEvent(), Spoken("One two."), Spoken("Three four.")]
    hosting.model.emit([*earlier, *(one for event in events for one in talk.of(event))])
    await eventually(lambda: len(finals(clients)) == 8)
    texts = ["".join(block["text"] for block in message["content"]) for message in hosting.agent.messages]
    assert texts == [NOTHING, "One two.", "Three four."]


async def test_a_correction_takes_nothing_from_what_was_recorded_before_it_and_comes_after_it(host, clients):
    hosting = await host()
    hosting.model.emit([*calling("weather", "u1", city="Rome"), *answered("One. Two.")])
    await eventually(lambda: finals(clients) == ["One. Two."] and len(clients.of("k1", Tool)) == 2)
    recorded = asyncio.Event()

    async def wait(event):  # until Strands' reader has recorded what follows the correction
        if event.message["content"] == [{"text": "One."}]:
            await recorded.wait()

    def note(event):
        if event.message["content"] == [{"text": "stop"}]:
            recorded.set()

    hosting.agent.hooks.add_callback(MessageUpdatedEvent, wait, order=BEFORE_THE_MANAGER)
    hosting.agent.hooks.add_callback(MessageUpdatedEvent, note, order=AFTER_THE_MANAGER)
    *begun, ended = spoken("stop", role="user", content_id="c2")
    hosting.model.emit([*begun, AnswerCut("One. Two.", "One."), ended])
    await eventually(lambda: len(finals(clients)) == 3)
    user, correction = [frame for frame in clients.of("k1", Transcript) if frame.final][1:]
    assert (user.text, correction.text) == ("stop", "One.")
    assert user.record is not None
    assert user.record < correction.record


async def test_a_correction_while_a_transcript_is_being_recorded_loses_no_acknowledgement(host, clients):
    hosting = await host()
    hosting.model.emit(answered("One. Two."))
    hosting.session.deliver(delivery(audio(1)))
    await eventually(lambda: finals(clients) and hosting.model.audio)
    recording, corrected = asyncio.Event(), asyncio.Event()

    async def meet(event):
        if event.message["content"] == [{"text": "One."}]:
            await recording.wait()

    async def stay(event):
        if event.message["content"] == [{"text": "stop"}]:
            recording.set()
            await corrected.wait()
        else:
            corrected.set()

    hosting.agent.hooks.add_callback(MessageUpdatedEvent, meet, order=BEFORE_THE_MANAGER - 1)
    hosting.agent.hooks.add_callback(MessageUpdatedEvent, stay, order=AFTER_THE_MANAGER - 1)
    *begun, ended = spoken("stop", role="user", content_id="c2")
    hosting.model.emit([*begun, AnswerCut("One. Two.", "One."), ended])
    await eventually(lambda: len(finals(clients)) == 3)
    await eventually(lambda: clients.of("k1", InputAck))
    assert clients.of("k1", InputAck)[0].upto == 1


async def test_a_correction_that_a_client_missed_says_what_it_replaces_after_a_handoff_too(host, clients):
    first = await host()
    first.model.emit([*answered("One. Two. Three."), AnswerCut("One. Two. Three.", "One."), AnswerCut("One.", "…")])
    await eventually(lambda: finals(clients) == ["One. Two. Three.", "One.", "…"])
    await first.session.spoken()  # or else what is on its way goes over the next connection, too
    shown, *corrections = [frame for frame in clients.of("k1", Transcript) if frame.final]
    assert [frame.replaces for frame in corrections] == [shown.record, shown.record], "not one that a client may miss"
    first.session.deliver(delivery(hello(shown.record, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["…"])
    await first.session.stop()
    second = await host(who=(address(connection_id="k3"),))
    second.session.deliver(delivery(hello(shown.record, connection=3), connection_id="k3", counter=3))
    await eventually(lambda: finals(clients, "k3") == ["…"])
    for connection_id in ("k2", "k3"):
        (again,) = [frame for frame in clients.of(connection_id, Transcript) if frame.final]
        assert (again.record, again.replaces) == (corrections[-1].record, shown.record)


@pytest.mark.slow
async def test_a_slow_client_does_not_hold_up_the_agent_or_another_client(host, clients):
    hosting = await host(who=(address(), address("c2", "k2")))
    clients.hold("k1")
    hosting.model.emit([*(speech() for _ in range(50)), *answered("Done.")])
    await eventually(lambda: finals(clients, "k2") == ["Done."])
    assert len(clients.of("k2", AudioOutput)) == 50
    assert len(clients.of("k1", AudioOutput)) <= 1
    assert clients.most_at_once == 1


async def test_frames_of_a_client_are_numbered_from_one_without_a_hole(host, clients):
    hosting = await host(who=(address(), address("c2", "k2")))
    hosting.session.deliver(delivery(text("hi", 1)))
    hosting.model.emit([speech(), *answered("Hello.")])
    await eventually(lambda: finals(clients) and finals(clients, "k2") and clients.of("k1", InputAck))
    for connection_id in ("k1", "k2"):
        frames = clients.posted[connection_id]
        assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
        assert {frame.epoch for frame in frames} == {hosting.session.epoch}


# -- clients come and go ---------------------------------------------------------------------------------


async def test_a_reconnecting_client_is_told_again_what_it_missed(host, clients):
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    seen = clients.of("k1", Transcript)[-1].record
    clients.gone.add("k1")
    hosting.model.emit(answered("Two.", content_id="c2"))
    hosting.model.emit(calling("weather", "u1", city="Bern"))
    await eventually(lambda: hosting.session.clients == ())
    hosting.session.deliver(delivery(hello(seen, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["One.", "Two."] and len(clients.of("k2", Tool)) == 2)
    first = clients.posted["k2"][0]
    assert isinstance(first, Ready)
    assert first.since == seen
    assert first.seq > clients.posted["k1"][-1].seq, "numbering goes on"


async def test_what_all_clients_hear_in_a_moment_is_not_said_again(host, clients):
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too

    def reconnect(_: MessageUpdatedEvent[Any]) -> None:
        """Just when a message is recorded and its event has not come out yet."""
        hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))

    hosting.agent.hooks.add_callback(MessageUpdatedEvent, reconnect, order=2_000_000)
    hosting.model.emit(answered("Two.", content_id="c2"))
    await eventually(lambda: hosting.session.turn.at_boundary and "Two." in finals(clients, "k2"))
    await hosting.session.spoken()
    assert finals(clients, "k2") == ["One.", "Two."]


async def test_what_is_said_again_is_durable(host, clients, storage):
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    storage.before = latch = Latch("commit")
    hosting.model.emit(answered("Two.", content_id="c2"))
    await latch.reached.wait()
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await asyncio.sleep(0)
    assert clients.posted["k2"] == []
    latch.go.set()
    await eventually(lambda: finals(clients, "k2") == ["One.", "Two."])


async def test_hellos_that_come_while_storage_hangs_are_answered_once(host, clients, storage):
    """A client says hello until it is answered. Each answer says the missed part of the history again."""
    hosting = await host()
    hosting.model.emit(answered("One."))
    await eventually(lambda: finals(clients) == ["One."])
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    storage.before = latch = Latch("commit")
    hosting.model.emit(answered("Two.", content_id="c2"))
    await latch.reached.wait()
    hosting.session.deliver(delivery(text("x", 9), connection_id="k2", counter=2))  # of a hello that was overtaken
    for _ in range(20):
        hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    assert len(hosting.session._output.gate._waiting) < 8
    latch.go.set()
    await eventually(lambda: len(clients.of("k2", Ready)) == 2)
    await hosting.session.spoken()
    assert [ready.since for ready in clients.of("k2", Ready)] == [None, -1]
    assert finals(clients, "k2")[-2:] == ["One.", "Two."]

    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(clients.of("k2", Ready)) == 3)


async def test_what_is_said_again_is_bounded_in_bytes_and_says_from_where_on(host, clients, monkeypatch):
    hosting = await host()
    for number in range(6):
        hosting.model.emit(answered(f"{number}." + "x" * 1000, content_id=f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 6)
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    records = [frame.record for frame in clients.of("k1", Transcript) if frame.final]
    monkeypatch.setattr("worker.conversation.output.RETOLD_BYTES", 4000)
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(finals(clients, "k2")) == 3)
    await hosting.session.spoken()
    assert [frame.record for frame in clients.of("k2", Transcript)] == records[3:]
    assert clients.of("k2", Ready)[-1].since == records[3]

    monkeypatch.setattr("worker.conversation.output.RETOLD_BYTES", 10)
    hosting.session.deliver(delivery(hello(records[0], connection=3), connection_id="k3", counter=3))
    await eventually(lambda: finals(clients, "k3"))
    await hosting.session.spoken()
    assert [frame.record for frame in clients.of("k3", Transcript)] == records[5:], "one of any size is said"


async def test_bye_frees_what_waits_for_a_missing_number(host, clients):
    hosting = await host()
    intake = hosting.session._input._intake
    for seq in (1, 3, 4):
        hosting.session.deliver(delivery(text(f"{seq}", seq)))
    for part in ImageInput.split(bytes(50_000), "image/png")[:1]:
        hosting.session.deliver(delivery(part))
    await eventually(lambda: hosting.session._input._images._bytes)
    hosting.session.deliver(delivery(Bye(), connection_id="k0"))
    assert intake.progress("c1") == (1, (3, 4)), "the client is here on a newer connection"
    hosting.session.deliver(delivery(Bye()))
    assert intake.progress("c1") == (1, ())
    assert hosting.session._input._images._bytes == 0
    await eventually(lambda: hosting.model.texts == ["1"])


async def test_bye_frees_it_also_when_the_connection_was_found_to_be_gone_before(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text("3", 3)))
    clients.gone.add("k1")
    hosting.model.emit(answered("One."))
    await eventually(lambda: hosting.session.clients == ())
    hosting.session.deliver(delivery(Bye()))
    assert hosting.session._input._intake.progress("c1") == (0, ())


async def test_a_successor_says_again_what_its_predecessor_recorded(host, clients):
    first = await host()
    first.model.emit(answered("One."))
    first.model.emit(calling("weather", "u1", city="Bern"))
    await eventually(lambda: len(clients.of("k1", Tool)) == 2)
    shown = [frame for frame in clients.posted["k1"] if getattr(frame, "record", None) is not None]
    await first.session.stop()
    second = await host(who=())
    second.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: len(clients.of("k2", Tool)) == 2)
    again = [frame for frame in clients.posted["k2"] if getattr(frame, "record", None) is not None]
    assert [(type(a), a.record) for a in again] == [(type(a), a.record) for a in shown]


async def test_what_is_said_again_is_bounded_and_ready_says_from_where(host, clients, monkeypatch):
    monkeypatch.setattr("worker.conversation.output.RETOLD_FRAMES", 2)
    hosting = await host()
    for number in range(4):
        hosting.model.emit(answered(f"Number {number}.", content_id=f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 4)
    await hosting.session.spoken()  # or else what is on its way goes over the next connection, too
    records = [frame.record for frame in clients.of("k1", Transcript) if frame.final]
    hosting.session.deliver(delivery(hello(-1, connection=2), connection_id="k2", counter=2))
    await eventually(lambda: finals(clients, "k2") == ["Number 2.", "Number 3."])
    assert clients.of("k2", Ready)[0].since == records[2]


async def test_after_a_reconnect_nothing_more_goes_to_the_old_connection(host, clients):
    hosting = await host()
    slow = clients.hold("k1")
    hosting.model.emit(speech() for _ in range(5))
    await eventually(lambda: clients.of("k1", AudioOutput) and hosting.model._events.empty())
    hosting.session.deliver(delivery(hello(connection=2), connection_id="k2", counter=2))
    await eventually(lambda: clients.of("k2", Ready))
    slow.set()
    hosting.model.emit([speech()])
    await eventually(lambda: clients.posted["k2"] and clients.posted["k2"][-1].seq == 8)
    assert len(clients.of("k1", AudioOutput)) == 1
    audio_on = [frame.seq for key in ("k1", "k2") for frame in clients.of(key, AudioOutput)]
    assert sorted(set(audio_on)) == [2, 3, 4, 5, 6, 8], "what waited for the old connection goes over the new one"


async def test_a_farewell_on_an_old_connection_does_not_end_the_new_one(host, clients):
    hosting = await host(who=(address(counter=2, connection_id="new"),))
    hosting.session.deliver(delivery(Bye(), connection_id="old", counter=1))
    assert hosting.session.clients == (address(counter=2, connection_id="new"),)


async def test_an_older_connection_does_not_replace_a_newer_one(host, clients):
    hosting = await host(who=(address(counter=2, connection_id="new"),))
    with pytest.raises(FrameError) as refused:
        hosting.session.deliver(delivery(hello(connection=1), connection_id="old", counter=1))
    assert refused.value.code == "superseded"
    hosting.session.deliver(delivery(text("late", 1), connection_id="old", counter=1))
    await eventually(lambda: hosting.model.texts == ["late"])
    assert hosting.session.clients == (address(counter=2, connection_id="new"),)


async def test_a_client_that_was_not_announced_is_greeted_at_its_first_frame(host, clients):
    hosting = await host(who=())
    hosting.session.deliver(delivery(text("hi", 1), client_id="c9", connection_id="k9"))
    await eventually(lambda: clients.of("k9", InputAck))
    assert isinstance(clients.posted["k9"][0], Ready)


async def test_nothing_is_heard_before_ready(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    hosting.session.deliver(delivery(text("hi", 1)))
    await latch.reached.wait()
    hosting.session.deliver(delivery(hello(client_id="c2"), client_id="c2", connection_id="k2"))
    hosting.model.emit([speech()])
    await eventually(lambda: clients.of("k1", AudioOutput))
    assert clients.posted["k2"] == [], "its ready shows input that is not durable yet"
    latch.go.set()
    await eventually(lambda: clients.of("k2", Ready))
    assert isinstance(clients.posted["k2"][0], Ready)


async def test_a_claim_for_a_session_held_here_adds_its_clients(host, clients):
    hosting = await host()
    hosting.session.welcome((address("c2", "k2"), address()))
    await eventually(lambda: clients.of("k2", Ready) and len(clients.of("k1", Ready)) == 2)
    assert {client.client_id for client in hosting.session.clients} == {"c1", "c2"}


async def test_bye_and_gone_connections_leave_no_client(host, clients):
    hosting = await host(who=(address(), address("c2", "k2")))
    left = []
    hosting.session.on_clients = left.append
    hosting.session.deliver(delivery(Bye()))
    assert left == [True]
    clients.gone.add("k2")
    hosting.model.emit([speech()])
    await eventually(lambda: left[-1] is False)
    hosting.session.deliver(delivery(Bye(), connection_id="another"))
    assert hosting.session.clients == ()


async def test_a_client_that_vanished_silently_is_found_out(host, clients, monkeypatch):
    monkeypatch.setattr("worker.conversation.audience.QUIET_SECONDS", 0.02)
    hosting = await host(who=(address(), address("c2", "k2")))
    clients.gone.add("k1")
    await eventually(lambda: hosting.session.clients == (address("c2", "k2"),))
    assert clients.kinds("k1") == ["Ready"], "nothing had to be posted for that"


async def test_ready_says_how_the_agent_hears_and_speaks(host, clients):
    await host()
    formats = clients.of("k1", Ready)[0].audio
    assert (formats.input.rate, formats.output.rate, formats.output.format) == (16000, 24000, "pcm")


async def test_a_hello_while_the_agent_starts_is_answered_after_it(host, clients):
    hosting = await host(start=False)
    starting = asyncio.create_task(hosting.session.start(()))
    hosting.session.deliver(delivery(hello(-1)))
    hosting.session.deliver(delivery(text("early", 1)))
    await starting
    await eventually(lambda: hosting.model.texts == ["early"] and clients.of("k1", Ready))
    assert clients.of("k1", Ready)[0].since == -1


async def test_acknowledgements_of_output_need_no_answer(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(OutputAck(epoch=1, seq=1)))
    hosting.session.deliver(delivery(text("hi", 1)))
    await eventually(lambda: clients.of("k1", InputAck))
    assert not clients.of("k1", Error)


# -- endings ---------------------------------------------------------------------------------------------


async def taken_over(storage: Any) -> MemorySessionManager:
    async def dead(_: Any) -> bool:
        return True

    other = MemorySessionManager(storage=storage, holder="other", probe=dead, acquire_timeout=5.0)
    await other.open()
    return other


async def test_a_fenced_session_is_silent_at_once(host, clients, storage):
    hosting = await host()
    other = await taken_over(storage)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(hosting.session.ended.is_set)
    hosting.model.emit([speech(), *answered("Too late.")])
    await turns()
    assert clients.kinds("k1") == ["Ready"]
    assert hosting.session.lost
    with pytest.raises(SessionMoved):
        hosting.session.deliver(delivery(text("hello", 2)))
    assert other.lease_is_fresh()
    await other.close()


async def test_an_idle_session_that_was_taken_over_ends_by_itself(host, clients, storage):
    hosting = await host(lease=LeaseSettings(duration=2.0, heartbeat=0.1, margin=0.2))
    other = await taken_over(storage)
    await eventually(hosting.session.ended.is_set)
    assert hosting.session.lost
    await other.close()


async def test_losing_the_lease_breaks_off_what_is_being_posted(host, clients, storage):
    hosting = await host()
    clients.hold("k1")
    hosting.model.emit([speech(), speech(), speech()])
    await eventually(lambda: len(clients.of("k1", AudioOutput)) == 1)
    other = await taken_over(storage)
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(hosting.session.ended.is_set)
    await turns()
    assert len(clients.of("k1", AudioOutput)) == 1
    assert not clients.under_way["k1"]
    await other.close()


async def test_nothing_is_posted_when_the_lease_may_have_run_out(host, clients, monkeypatch):
    hosting = await host()
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)
    assert clients.kinds("k1") == ["Ready"]
    assert hosting.session.lost


async def test_what_is_settled_for_a_handoff_does_not_take_a_session_again_that_has_ended(
    host, clients, storage, monkeypatch
):
    hosting = await host()
    hosting.session.deliver(delivery(audio(1)))
    await eventually(lambda: hosting.model.audio)
    monkeypatch.setattr("worker.conversation.audio_replay.SILENCE_SECONDS", -1.0)
    monkeypatch.setattr("worker.conversation.audio_replay.ENDED_SECONDS", -1.0)
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.model.emit([speech()])
    await eventually(hosting.session.ended.is_set)
    await hosting.session.settle()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item, "held by a process that does not host it"


@pytest.mark.slow
async def test_sessions_that_begin_together_do_not_commit_together(host, monkeypatch):
    """Forty sessions of one handoff would, every 2.5 s, and all callers of the worker would hear a gap of 60 ms."""
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 1.0)
    settled = []
    monkeypatch.setattr("worker.conversation.input.Input.settle", lambda one: settled.append((one, time.monotonic())))
    hostings = [await host(start=False, session_id=f"talk-{number}") for number in range(8)]
    await asyncio.gather(*(hosting.session.start((address(f"k{hosting.manager.session_id}"),)) for hosting in hostings))
    await eventually(lambda: len({one for one, _ in settled}) == len(hostings))
    first = dict(reversed(settled)).values()
    assert max(first) - min(first) > 0.05, "at random over a second: all within 50 ms once in a hundred million"


async def test_stopping_flushes_posts_and_releases(host, clients, storage):
    hosting = await host()
    hosting.model.emit([BidiTranscriptStartEvent("assistant", "c1"), *answered("All of it.", content_id="c2")])
    await eventually(lambda: said(hosting, "All of it.") and hosting.session.turn.at_boundary)
    await hosting.session.stop()
    assert finals(clients) == ["All of it."]
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
    assert not hosting.model.running
    with pytest.raises(SessionMoved):
        hosting.session.deliver(delivery(text("hello", 1)))


async def test_what_becomes_durable_by_stopping_is_posted_still(host, clients, storage):
    hosting = await host()
    storage.before = latch = Latch("commit")
    slow = clients.hold("k1")
    hosting.model.emit(answered("The end."))
    await latch.reached.wait()
    await eventually(lambda: said(hosting, "The end.") and hosting.session.turn.at_boundary)
    stopping = asyncio.create_task(hosting.session.stop())
    latch.go.set()
    await eventually(lambda: not hosting.manager.lease_is_fresh())
    await turns()
    assert finals(clients) == []
    slow.set()
    await stopping
    assert finals(clients) == ["The end."]


async def test_a_broken_agent_tells_its_clients_and_releases(host, clients, storage):
    hosting = await host()
    hosting.model.emit([RuntimeError("secret of the provider")])
    await eventually(hosting.session.ended.is_set)
    (error,) = clients.of("k1", Error)
    assert error.code == "internal"
    assert error.retryable
    assert "secret" not in error.message
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item


async def test_a_hook_that_fails_at_the_end_does_not_keep_the_session(host, clients, storage):
    hosting = await host()

    def fail(_: BidiAgentStopEvent) -> None:
        raise RuntimeError("a mistake in a user's hook")

    hosting.agent.hooks.add_callback(BidiAgentStopEvent, fail)
    await hosting.session.stop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item


async def test_an_agent_may_end_its_conversation(host, clients):
    hosting = await host()
    hosting.model.emit([*answered("Bye."), BidiConnectionStopEvent("x", "user_request")])
    await eventually(hosting.session.ended.is_set)
    assert finals(clients) == ["Bye."]
    assert not hosting.session.lost


async def test_a_session_whose_agent_does_not_start_is_released(host, storage, clients):
    hosting = await host(start=False)
    hosting.model.start_failure = RuntimeError("no such model")
    with pytest.raises(RuntimeError, match="no such model"):
        await hosting.session.start((address(),))
    await hosting.session.drop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
    assert clients.posted["k1"] == []


async def test_a_model_that_does_not_connect_is_given_up(host, monkeypatch):
    monkeypatch.setattr("worker.conversation.model_start.START_SECONDS", 0.05)
    hosting = await host(start=False)

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hosting.model, "start", hang)
    with pytest.raises(TimeoutError):
        await hosting.session.start((address(),))


async def test_ending_twice_at_once_ends_once(host, clients):
    hosting = await host()
    ended = []
    hosting.session.on_ended = lambda: ended.append(1)
    await asyncio.gather(hosting.session.stop(), hosting.session.stop(), hosting.session.drop())
    assert ended == [1]
    assert hosting.model.stops == 1


async def test_half_a_surrogate_pair_is_shown_as_a_replacement_and_ends_nothing(host, clients):
    """Deltas that are cut in the wrong place give them, and no message can carry them; two that meet are whole."""
    hosting = await host()
    for number, words in enumerate(("half \ud83d", "whole \ud83d\ude00")):
        hosting.model.emit(answered(words, f"r{number}", f"c{number}"))
    await eventually(lambda: len(finals(clients)) == 2)
    assert finals(clients) == ["half \N{REPLACEMENT CHARACTER}", "whole \N{GRINNING FACE}"]
    hosting.session.deliver(delivery(hello(-1)))
    await eventually(lambda: len(finals(clients)) == 4)
    assert hosting.session.open


async def is_free(storage: Any) -> bool:
    """Return true if another manager gets the session at once."""
    other = MemorySessionManager(storage=storage, acquire_timeout=0.0)
    try:
        await other.open()
    except SessionHeld:
        return False
    await other.close()
    return True


async def test_a_session_that_is_lost_while_it_leaves_is_stopped_and_released(host, storage, monkeypatch):
    hosting = await host()
    monkeypatch.setattr(hosting.manager, "lease_is_fresh", lambda: False)
    hosting.session.refuse_frames()
    hosting.session._lose()
    await hosting.session.stop()
    assert hosting.session.ended.is_set()
    assert not hosting.model.running
    assert await is_free(storage)


async def test_a_session_that_ends_and_is_lost_in_the_same_moment_is_stopped_and_released(host, storage):
    hosting = await host()
    hosting.session._soon(hosting.session.stop())
    hosting.session._lose()
    await hosting.session.ended.wait()
    assert hosting.model.stops == 1
    assert await is_free(storage)


async def test_a_session_that_is_stopped_while_it_opens_is_released(host, storage, monkeypatch):
    hosting = await host(start=False)
    starting, connected, start = asyncio.Event(), asyncio.Event(), hosting.model.start

    async def slow(*args: Any, **options: Any) -> None:
        starting.set()
        await connected.wait()
        await start(*args, **options)

    monkeypatch.setattr(hosting.model, "start", slow)
    opening = asyncio.create_task(hosting.session.start((address(),)))
    await starting.wait()
    await hosting.session.stop()
    connected.set()
    with pytest.raises(SessionFenced):
        await opening
    await hosting.session.drop()
    assert not hosting.model.running
    assert await is_free(storage)


async def test_a_session_ends_even_if_stopping_its_agent_breaks(host, monkeypatch):
    hosting = await host()

    async def broken() -> bool:
        raise TypeError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(hosting.session._hold, "stop", broken)
        with pytest.raises(TypeError):
            await hosting.session.stop()
    assert hosting.session.ended.is_set()


async def test_what_the_provider_said_no_to_is_told_with_whether_to_try_again(host, clients):
    hosting = await host()
    hosting.model.emit([ConnectionRefusedError("secret of the provider")])
    await eventually(hosting.session.ended.is_set)
    (error,) = clients.of("k1", Error)
    assert (error.code, error.retryable) == ("model_unavailable", True)
    assert "secret" not in error.message


async def test_a_trouble_that_the_conversation_survives_is_told(host, clients):
    hosting = await host(start=False)
    hosting.model.on_trouble = None
    await hosting.session.start((address(),))
    await eventually(lambda: clients.of("k1", Ready))
    hosting.model.on_trouble(ERRORS[Kind.THROTTLED])
    await eventually(lambda: clients.of("k1", Error))
    (error,) = clients.of("k1", Error)
    assert (error.code, error.retryable) == ("model_throttled", True)
    assert hosting.session.open


@pytest.mark.parametrize(
    "error", [RuntimeError("it hangs up"), asyncio.CancelledError()], ids=["fails", "is cancelled"]
)
async def test_a_model_that_does_not_stop_cleanly_keeps_no_session(host, storage, error):
    hosting = await host()

    async def stop():
        raise error

    hosting.model.stop = stop
    await hosting.session.stop()
    item = await storage.guard.read("default/talk")
    assert item is not None
    assert "acquire_id" not in item
