"""Silence that clients mark: given in real time, while no client sends audio, and 300 ms late."""

from __future__ import annotations

import pytest
from strands.bidi.models import ConnectionTimeoutError

from segue.wire.frames import AudioInput, Ready
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, audio, delivery
from worker.conversation.input.marked_silence import MARKED_SECONDS, MarkedSilence
from worker.conversation.input.unanswered_audio import SILENCE_SECONDS, UnansweredAudio

PIECE = bytes(2 * 1600)
"""100 ms at the model's rate."""


def marker(seq: int) -> AudioInput:
    return AudioInput(audio="", seq=seq, silence=True)


class Room:
    """Marked silence, and the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.silence = MarkedSilence(lambda: self.now)

    def given(self, seconds: float) -> float:
        """Seconds of silence that are given in so many seconds."""
        end, pieces = self.now + seconds, 0
        while (due := self.silence.due()) is not None and self.now + due <= end + 1e-6:
            self.now += due
            pieces += self.silence.take_piece()
        self.now = end
        return pytest.approx(pieces / 10)


@pytest.fixture
def room() -> Room:
    return Room()


def test_silence_is_given_in_real_time_and_late_by_what_a_client_keeps(room):
    room.silence.marked("a")
    assert room.given(2.0) == 1.7
    room.silence.marked("a")
    assert room.given(2.0) == 2.0


def test_audio_ends_silence_and_late_silence_is_not_given(room):
    room.silence.marked("a")
    assert room.given(1.0) == 0.7
    room.silence.sounded("a")
    assert room.silence.due() is None
    assert room.given(3.0) == 0
    room.silence.marked("a")
    assert room.given(1.0) == 0.7


def test_silence_ends_when_markers_stop(room):
    room.silence.marked("a")
    assert room.given(20.0) == MARKED_SECONDS - 0.3
    room.silence.marked("a")
    assert room.given(1.0) == 0.7


def test_silence_ends_with_its_client(room):
    room.silence.marked("a")
    room.silence.drop_client("a")
    assert room.silence.due() is None
    room.silence.marked("a")
    room.silence.clear()
    assert room.silence.due() is None


def test_silence_held_up_by_a_delay_is_left_out(room):
    room.silence.marked("a")
    room.now += 4.0
    assert room.given(0.0) == 1.0


def test_no_silence_is_given_while_another_client_speaks(room):
    room.silence.marked("a")
    given = 0.0
    for _ in range(20):
        room.silence.sounded("b")
        given += room.given(0.2).expected
    assert given == 0
    room.silence.marked("a")
    assert room.given(0.8) == 0, "the next piece of b may be under way"
    room.given(0.2)
    assert room.given(1.0) == 1.0


def test_silence_goes_on_at_once_when_the_other_client_marks_it_too(room):
    room.silence.marked("a")
    room.silence.sounded("b")
    room.silence.marked("b")
    assert room.given(1.0) == 0.7, "once, not for each"


def test_a_marker_is_settled_as_silence_is():
    kept = UnansweredAudio()
    kept.add("a", marker(1), 0.0, 0.0)
    assert kept.settled(SILENCE_SECONDS) == {}
    assert kept.settled(SILENCE_SECONDS + 0.5) == {"a": [1]}


@pytest.mark.slow
async def test_the_model_is_given_silence_and_then_the_callers_audio(host, clients):
    hosting = await host()
    hosting.session.deliver(delivery(marker(1)))
    await eventually(lambda: len(hosting.model.audio) >= 2)
    hosting.session.deliver(delivery(audio(2, sample=9)))
    await eventually(lambda: audio(2, sample=9).pcm in hosting.model.audio)
    assert set(hosting.model.audio) == {PIECE, audio(2, sample=9).pcm}
    assert "silence" in clients.of("k1", Ready)[0].features


@pytest.mark.slow
async def test_a_marker_has_its_turn_and_two_clients_are_one_silence(host, clients):
    hosting = await host(who=(address(), address(client_id="c2", connection_id="k2")))
    hosting.session.deliver(delivery(marker(2)))
    hosting.session.deliver(delivery(marker(1), client_id="c2", connection_id="k2"))
    hosting.session.deliver(delivery(audio(1, sample=9)))
    await eventually(lambda: len(hosting.model.audio) >= 3)
    assert hosting.model.audio[0] == audio(1, sample=9).pcm
    assert set(hosting.model.audio[1:]) == {PIECE}


@pytest.mark.slow
async def test_silence_that_a_lost_connection_refuses_ends_no_conversation(host, clients):
    hosting = await host()
    hosting.model.refusal = ConnectionError("lost")
    tried, send = [], hosting.model.send

    async def trying(content):
        tried.append(content)
        await send(content)

    hosting.model.send = trying
    hosting.session.deliver(delivery(marker(1)))
    await eventually(lambda: tried)
    hosting.model.refusal = None
    hosting.model.emit([ConnectionTimeoutError("eight minutes")])
    await eventually(lambda: len(hosting.model.started_with) == 2 and PIECE in hosting.model.audio)
    assert hosting.session.open
