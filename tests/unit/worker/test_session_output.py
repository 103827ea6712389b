"""One hosted conversation's output: shown only when it is durable, and corrected to what was heard."""

from __future__ import annotations

import asyncio
import base64

import pytest
from strands.bidi.hooks.events import BidiBeforeConnectionRestartEvent
from strands.bidi.models import ConnectionTimeoutError
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiResponseStartEvent,
    BidiTextDeltaEvent,
    BidiTextStartEvent,
    BidiTextStopEvent,
)
from strands.hooks import MessageUpdatedEvent

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire import frames
from segue.wire.frames import (
    AudioOutput,
    BargeIn,
    Hello,
    InputAck,
    Restart,
    TextOutput,
    Tool,
    Transcript,
    encode_frame,
)
from shared.conversation.record_positions import AFTER_THE_MANAGER, BEFORE_THE_MANAGER
from tests.support.memory_manager import Latch
from tests.support.scripted_model import answered, calling, spoken
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery, finals, hello, said, speech, text
from worker.providers import AnswerCut
from worker.providers.speech.truncation import NOTHING, AnswerPlayback, Spoken


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
    assert not any(isinstance(frame, Hello) for frame in caller.outgoing(10.0, number)), "the client misses no frame"


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


async def test_the_heard_part_of_an_answer_corrects_its_transcript(host, clients):
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


async def test_the_heard_one_of_two_equal_answers_is_corrected(host, clients):
    talk = AnswerPlayback(lambda: 0.0)
    first, second = (
        [*begun, BidiAudioDeltaEvent(base64.b64encode(bytes(32000)).decode(), "pcm", 16000, 1, "a"), ended]
        for *begun, ended in (spoken("One two."), spoken("Three four.", content_id="c2"))
    )
    hosting = await host()
    earlier = [*answered("Zero.", content_id="c0"), AnswerCut("Zero.", NOTHING)]
    events = [*first, *second, BidiBargeInEvent(), Spoken("One two."), Spoken("Three four.")]
    hosting.model.emit([*earlier, *(one for event in events for one in talk.pass_event(event))])
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
