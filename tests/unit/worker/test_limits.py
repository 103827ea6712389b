"""Limits of the protocol that the holder enforces: the length of a piece of audio, and the rate of frames."""

from __future__ import annotations

import pytest

from segue.lease.item import Known
from segue.wire.frames import AudioInput, Bye, Error, FrameError, InputAck, Ready
from segue.wire.rate import FRAME_BURST, FRAMES_PER_SECOND
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import PIECE_SAMPLES, address, audio, delivery, hello, text

RATE = 16_000
SHORT = AudioInput.from_pcm(b"\1\0" * (PIECE_SAMPLES - 1)).audio
LONG = AudioInput.from_pcm(b"\1\0" * (RATE // 4 + 1)).audio


def piece(content: str, seq: int | None) -> AudioInput:
    return AudioInput(audio=content, seq=seq)


def codes(clients):
    return [error.code for error in clients.of("k1", Error)]


@pytest.fixture
def paced(monkeypatch):
    """The worker's sessions settle at once."""
    monkeypatch.setattr("worker.conversation.session.SETTLE_SECONDS", 0.01)


async def test_audio_that_is_too_long_is_refused_and_acknowledged(host, clients, paced):
    hosting = await host()
    hosting.session.deliver(delivery(piece(LONG, 1)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 1)
    assert codes(clients) == ["bad_audio"]
    assert hosting.model.audio == []
    assert hosting.manager.inputs["c1"] == Known(1)


async def test_only_the_last_piece_of_an_utterance_may_be_short(host, clients):
    hosting = await host()
    for seq, frame in enumerate([audio().audio, SHORT, audio().audio, SHORT, SHORT, audio().audio], start=1):
        hosting.session.deliver(delivery(piece(frame, seq)))
    hosting.session.deliver(delivery(text("hello", 7)))
    await eventually(lambda: hosting.model.texts == ["hello"])
    assert codes(clients) == ["bad_audio"]
    assert len(hosting.model.audio) == 5


async def test_pieces_are_judged_in_the_order_of_their_numbers(host, clients):
    hosting = await host()
    frames = [piece(SHORT, 1), piece(audio().audio, 2), piece(SHORT, 3)]
    for frame in (frames[0], frames[2], frames[1], frames[2]):
        hosting.session.deliver(delivery(frame))
    await eventually(lambda: len(hosting.model.audio) == 3)
    assert codes(clients) == []


async def test_a_refused_image_does_not_hold_back_later_input(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(text("second", 2)))
    hosting.session.deliver(delivery(piece(LONG, 1)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 2)
    assert hosting.model.texts == ["second"]


async def test_audio_without_a_number_has_the_same_limits(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(piece(LONG, None)))
    await eventually(lambda: codes(clients) == ["bad_audio"])
    assert hosting.manager.inputs == {}


async def test_blank_text_is_acknowledged_although_nothing_follows(host, clients, paced):
    hosting = await host()
    hosting.session.deliver(delivery(text(" ", 1)))
    await eventually(lambda: clients.of("k1", InputAck) and clients.of("k1", InputAck)[-1].upto == 1)


async def test_frames_of_one_client_that_come_too_fast_are_refused_and_may_come_again(host, clients, monkeypatch):
    hosting = await host(who=(address("c1", "k1"), address("c2", "k2")))
    hosting.session._rate._clock = lambda: now
    now = 0.0
    for seq in range(1, FRAME_BURST + 1):
        hosting.session.deliver(delivery(text(str(seq), seq)))
    for frame in (text("too much", FRAME_BURST + 1), hello()):
        with pytest.raises(FrameError) as refused:
            hosting.session.deliver(delivery(frame))
        assert refused.value.code == "too_fast"
    hosting.session.deliver(delivery(text("of another", 1), client_id="c2", connection_id="k2"))
    now = 1 / FRAMES_PER_SECOND
    hosting.session.deliver(delivery(text("in time", FRAME_BURST + 1)))
    await eventually(lambda: len(hosting.model.texts) == FRAME_BURST + 2)
    assert "too much" not in hosting.model.texts


async def test_a_clients_own_pace_of_resending_fits_beside_its_speech(host):
    """100 frames a second, 25 at once, and 10 pieces of audio a second."""
    hosting = await host()
    now = 0.0
    hosting.session._rate._clock = lambda: now
    for _ in range(25):
        hosting.session.deliver(delivery(hello()))
    for tick in range(500):
        now = tick / 100
        hosting.session.deliver(delivery(hello()))
        if tick % 10 == 0:
            hosting.session.deliver(delivery(hello()))
    assert hosting.session.open


async def test_good_bye_is_never_too_fast(host, clients):
    hosting = await host()
    hosting.session._rate._clock = lambda: 0.0
    for _ in range(FRAME_BURST):
        hosting.session.deliver(delivery(hello()))
    hosting.session.deliver(delivery(Bye()))
    assert hosting.session.clients == ()
    assert clients.of("k1", Ready)
