"""Audio that is kept for a replay, the time for which it is kept, and its use."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strands.bidi import BidiAgent
from strands.bidi.models import ConnectionTimeoutError

from segue.testing.offline import OfflineVoiceModel, speak
from segue.wire.audio import QUIET_PEAK, is_loud
from segue.wire.frames import AudioInput, InputAck, Ready, Restart, Transcript
from segue.wire.memory import kept_bytes
from tests.support.memory_manager import MemorySessionManager
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly, within
from tests.unit.worker.stand_ins import address, audio, delivery
from tests.unit.worker.worlds import LEASE
from worker.conversation.input.unanswered_audio import (
    ENDED_SECONDS,
    SILENCE_SECONDS,
    UNANSWERED_SECONDS,
    UnansweredAudio,
)
from worker.conversation.model_start import ModelStart
from worker.conversation.parts import ConversationParts
from worker.conversation.session import HostedSession

LOUD = 9000
TENTH = 0.1


def quiet(seq: int | None) -> AudioInput:
    return audio(seq, sample=3)


def loud(seq: int | None) -> AudioInput:
    return audio(seq, sample=LOUD)


def test_silence_is_settled_after_a_few_seconds():
    kept = UnansweredAudio()
    kept.add("a", quiet(1), 0.0, TENTH)
    kept.add("a", quiet(2), 1.0, TENTH)
    assert kept.settled(SILENCE_SECONDS) == {}
    assert kept.settled(SILENCE_SECONDS + 0.5) == {"a": [1]}
    assert kept.settled(SILENCE_SECONDS + 0.5) == {}


def test_kept_audio_is_bounded_in_bytes_and_the_oldest_is_settled(monkeypatch):
    size = kept_bytes(loud(1))
    monkeypatch.setattr("worker.conversation.input.unanswered_audio.UNANSWERED_BYTES", 10 * size)
    kept = UnansweredAudio()
    for seq in range(1, 31):
        kept.add("ab"[seq % 2], loud(seq), 0.0, TENTH)
    kept.add("a", loud(None), 0.0, TENTH)
    assert kept._bytes <= 10 * size
    assert kept.settled(0.1) == {"b": list(range(1, 22, 2)), "a": list(range(2, 22, 2))}
    assert kept.settled(0.1) == {}
    assert [given.frame.seq for given in kept.take_audio()] == [*range(22, 31), None]
    assert kept._bytes == 0


def test_the_bytes_are_counted_whatever_becomes_of_them():
    kept = UnansweredAudio()
    for seq in range(1, 6):
        kept.add("a", quiet(seq), float(seq), TENTH)
    kept.settled(2.5 + SILENCE_SECONDS)
    assert kept._bytes == sum(kept_bytes(given.frame) for given in kept._kept) > 0
    kept.answered()
    assert kept._bytes == 0


def test_audio_that_may_be_speech_is_kept_with_the_pauses_after_it():
    kept = UnansweredAudio()
    for seq, frame in enumerate((quiet, loud, quiet, quiet), start=1):
        kept.add("a", frame(seq), float(seq), TENTH)
    assert kept.settled(ENDED_SECONDS + 2.0) == {"a": [1]}
    assert kept.answered() == {"a": [2, 3, 4]}


def test_one_client_in_silence_does_not_wait_for_another_that_speaks():
    kept = UnansweredAudio()
    kept.add("a", loud(1), 0.0, TENTH)
    kept.add("b", quiet(1), 0.0, TENTH)
    assert kept.settled(10.0) == {"b": [1]}


def test_nothing_is_kept_for_longer_than_could_be_sent_again():
    kept = UnansweredAudio()
    kept.add("a", loud(1), 0.0, TENTH)
    kept.add("a", quiet(2), 1.0, TENTH)
    kept.add("a", loud(3), UNANSWERED_SECONDS, TENTH)
    assert kept.settled(UNANSWERED_SECONDS) == {}
    assert kept.settled(UNANSWERED_SECONDS + 0.5) == {"a": [1, 2]}


def test_audio_that_ended_long_ago_without_a_transcript_is_settled():
    kept = UnansweredAudio()
    kept.add("a", loud(1), 0.0, TENTH)
    for second in range(1, 12):
        kept.add("a", quiet(second + 1), float(second), TENTH)
    assert kept.settled(ENDED_SECONDS) == {}
    assert kept.settled(ENDED_SECONDS + 0.5) == {"a": list(range(1, 9))}


def test_a_transcript_answers_all_clients_that_were_heard():
    kept = UnansweredAudio()
    kept.add("b", loud(7), 0.0, TENTH)
    kept.add("a", loud(1), 0.0, TENTH)
    kept.add("a", loud(2), 0.0, TENTH)
    kept.add("a", loud(None), 0.0, TENTH)
    assert list(kept.answered().items()) == [("a", [1, 2]), ("b", [7])]
    assert kept.answered() == {}


def test_silence_that_comes_all_at_once_is_as_old_as_it_is_long():
    kept = UnansweredAudio()
    for seq in range(40):
        kept.add("a", quiet(seq), 0.0, TENTH)
    assert kept.settled(0.0) == {"a": list(range(9))}, "all but the last three seconds"


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=60))
def test_every_frame_is_settled_or_answered_exactly_once(steps):
    kept, accounted, now = UnansweredAudio(), [], 0.0
    for seq, (client_id, is_speech, look) in enumerate(steps):
        kept.add(client_id, (loud if is_speech else quiet)(seq), now, TENTH)
        now += 1.0
        if look:
            accounted += [(one, seq) for one, seqs in kept.settled(now).items() for seq in seqs]
    accounted += [(one, seq) for one, seqs in kept.answered().items() for seq in seqs]
    assert sorted(accounted) == sorted((client_id, seq) for seq, (client_id, _, _) in enumerate(steps))


@pytest.mark.parametrize(
    ("sample", "expected"), [(0, False), (QUIET_PEAK, False), (QUIET_PEAK + 1, True), (-500, True)]
)
def test_samples_above_the_threshold_are_loud(sample, expected):
    assert is_loud(sample.to_bytes(2, "little", signed=True) * 160) is expected


async def test_an_open_microphone_in_silence_is_acknowledged_for_good(host, clients, monkeypatch):
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 0.01)
    monkeypatch.setattr("worker.conversation.input.unanswered_audio.SILENCE_SECONDS", 0.05)
    hosting = await host()
    for seq in range(1, 6):
        hosting.session.deliver(delivery(audio(seq, sample=0)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 5)
    await hosting.session.stop()
    await host(who=(address(connection_id="k2"),))
    assert clients.of("k2", Ready)[0].known.upto == 5, "a successor waits for none of it"


async def test_two_people_are_both_credited_with_what_one_transcript_answers(host, clients):
    hosting = await host(who=(address("c1", "k1"), address("c2", "k2")))
    for seq in (1, 2):
        hosting.session.deliver(delivery(audio(seq, sample=LOUD), client_id="c1", connection_id="k1"))
    hosting.session.deliver(delivery(audio(1, sample=LOUD), client_id="c2", connection_id="k2"))
    await eventually(lambda: len(hosting.model.audio) == 3)
    hosting.model.emit(spoken("We both spoke", role="user"))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k2", InputAck))
    assert (clients.of("k1", InputAck)[-1].upto, clients.of("k2", InputAck)[-1].upto) == (2, 1)
    await hosting.session.stop()
    await host(who=(address("c1", "k3"), address("c2", "k4")))
    assert (clients.of("k3", Ready)[0].known.upto, clients.of("k4", Ready)[0].known.upto) == (2, 1)


async def test_a_new_connection_hears_what_the_old_one_did_not_answer(host, clients):
    hosting = await host()
    model = hosting.model
    for seq in (1, 2):
        hosting.session.deliver(delivery(audio(seq, sample=LOUD + seq)))
    await eventually(lambda: len(model.audio) == 2)
    model.emit(spoken("One and two", role="user"))
    await eventually(lambda: clients.of("k1", InputAck))
    for seq in (3, 4):
        hosting.session.deliver(delivery(audio(seq, sample=LOUD + seq)))
    await eventually(lambda: len(model.audio) == 4)
    model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: len(model.started_with) == 2)
    hosting.session.deliver(delivery(audio(5, sample=LOUD + 5)))
    await eventually(lambda: len(model.audio) == 7)
    frames = [audio(seq, sample=LOUD + seq).pcm for seq in range(1, 6)]
    assert model.audio == [*frames[:4], frames[2], frames[3], frames[4]]
    model.emit(spoken("Three to five", role="user", content_id="c2"))
    await eventually(lambda: clients.of("k1", InputAck)[-1].upto == 5)
    assert len(clients.of("k1", Restart)) == 1


@pytest.mark.slow
async def test_speech_that_a_restart_cuts_is_understood_whole(storage, clients):
    """The model of this test hears: it understands what was said, once."""
    manager = MemorySessionManager(storage=storage, durability="gate", lease=LEASE, acquire_timeout=0.0)
    await manager.open()
    model = OfflineVoiceModel(pace=0)
    agent = BidiAgent(model=model, session_manager=manager)
    session = HostedSession(ConversationParts.wire(manager, ModelStart(agent), clients))
    await session.start((address(),))
    pcm = speak("My name is Alice", 16000) + bytes(2 * 16000)
    pieces = [pcm[at : at + 3200] for at in range(0, len(pcm), 3200)]
    cut = len(pieces) // 3
    try:
        for seq, piece in enumerate(pieces, start=1):
            session.deliver(delivery(AudioInput.from_pcm(piece, seq)))
            if seq == cut:
                await eventually(lambda: len(session._input._audio.unanswered._kept) == cut)
                model._line.drop("as a provider does after eight minutes")
        await eventually(lambda: any(one.final and one.role == "user" for one in clients.of("k1", Transcript)))
        assert [(one.kind, one.text) for one in model.heard] == [("speech", "My name is Alice")]
        assert len(clients.of("k1", Restart)) == 1
        said = [one.text for one in clients.of("k1", Transcript) if one.final and one.role == "user"]
        assert said == ["My name is Alice"]
    finally:
        await session.stop()


async def test_audio_that_waits_for_the_new_connection_follows_the_replayed_audio(host):
    hosting = await host()
    model = hosting.model
    hosting.session.deliver(delivery(audio(1, sample=LOUD)))
    await eventually(lambda: len(model.audio) == 1)
    model.free.clear()
    hosting.session.deliver(delivery(audio(2, sample=LOUD + 2)))
    await asyncio.sleep(0)
    await eventually(lambda: hosting.session._input._audio._sending is not None)
    model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: len(model.started_with) == 2)
    model.free.set()
    await eventually(lambda: len(model.audio) == 3)
    first, second = audio(1, sample=LOUD).pcm, audio(2, sample=LOUD + 2).pcm
    assert model.audio == [first, first, second]


async def test_a_restart_during_a_replay_keeps_the_order(host, monkeypatch):
    monkeypatch.setattr("worker.conversation.input.audio_feed.REPLAY_SPEED", 0.5)
    hosting = await host()
    model = hosting.model
    start, heard_before = model.start, []

    async def noted(*arguments, **options):
        heard_before.append(len(model.audio))
        await start(*arguments, **options)

    model.start = noted
    frames = [audio(seq, sample=LOUD + seq) for seq in (1, 2, 3)]
    for frame in frames:
        hosting.session.deliver(delivery(frame))
    await eventually(lambda: len(model.audio) == 3)
    model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: len(model.audio) > 3)
    model.emit([ConnectionTimeoutError("and again, while the second frame waits for its time")])
    whole = [frame.pcm for frame in frames]
    await eventually(lambda: len(heard_before) == 2 and len(model.audio) == heard_before[1] + 3)
    assert model.audio[heard_before[1] :] == whole
    cut_short = model.audio[3 : heard_before[1]]
    assert cut_short == whole[: len(cut_short)]


async def test_stopping_the_feeding_during_a_restart_does_not_wait(host):
    hosting = await host()
    model, session = hosting.model, hosting.session
    model.free.clear()
    session.deliver(delivery(audio(1, sample=LOUD)))
    await eventually(lambda: session._input._audio._sending is not None)
    session._input._audio._sending = None  # as ``take_again`` does
    session.lifecycle._feeding.cancel()
    async with within(2):
        await session.lifecycle.stop_feeding()


async def test_a_connection_that_refuses_audio_just_before_it_is_replaced_breaks_nothing(host):
    hosting = await host()
    model = hosting.model
    model.refusal = ConnectionResetError("closed by the provider")
    hosting.session.deliver(delivery(audio(1, sample=LOUD)))
    await eventually(lambda: hosting.session._input._audio._refused)
    model.refusal = None
    model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: model.audio == [audio(1, sample=LOUD).pcm])
    assert hosting.session.open


async def test_a_connection_that_refuses_audio_and_is_not_replaced_ends_the_conversation(host, monkeypatch):
    monkeypatch.setattr("worker.conversation.input.audio_feed.RESTART_SECONDS", 0.02)
    hosting = await host()
    hosting.model.refusal = ConnectionResetError("gone for good")
    hosting.session.deliver(delivery(audio(1, sample=LOUD)))
    await promptly(hosting.session.ended.wait(), 5)
