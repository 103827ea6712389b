"""Clients' accounts of what they have played: they shorten an answer that was cut once more, and nothing else."""

from __future__ import annotations

import pytest
from strands.bidi.types.events import BidiBargeInEvent, BidiResponseStartEvent

from segue.wire import frames
from segue.wire.frames import AudioOutput, BargeIn, OutputAck, Played, Ready
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import address, delivery, speech
from worker.conversation.barge_in import KEPT_SOUNDS, SentSound

TENTH = b"\1\0" * 1600
"""A tenth of a second at the model's rate."""


def ack(seq: int, played: int | None = None, ms: int = 0, epoch: int = 1) -> OutputAck:
    return OutputAck(epoch=epoch, seq=seq, played=None if played is None else Played(seq=played, ms=ms))


@pytest.fixture
def sound() -> SentSound:
    """Three frames of a second, of which the second was dropped, and a barge-in with the number 5."""
    sound = SentSound()
    sound.sent(2, 1.0)
    sound.dropped(1.0)
    sound.sent(4, 1.0)
    sound.cut()
    sound.cut_sent(5)
    return sound


@pytest.mark.parametrize(
    ("report", "unplayed"),
    [
        (ack(5, 4, 1000), 0.0),
        (ack(5, 4, 400), 0.6),
        (ack(5, 4, 90_000), 0.0),  # no more than the frame has
        (ack(9, 4, 0), 1.0),
        (ack(5, 3, 500), 2.0),  # no sound: what was before it was played whole
        (ack(5, 2, 250), 2.75),
        (ack(5, 0, 0), 3.0),
        (ack(9, 7, 10), 0.0),  # of the next answer
        (ack(4, 4, 400), None),  # said before it knew of the barge-in
        (ack(5), None),
    ],
)
def test_unplayed_seconds_before_the_barge_in_follow_from_the_report(sound, report, unplayed):
    assert sound.unplayed(report) == (None if unplayed is None else pytest.approx(unplayed))


def test_no_account_is_taken_while_the_barge_in_waits_or_after_it_is_over(sound):
    sound.cut()
    assert sound.unplayed(ack(9, 4, 0)) is None
    sound.cut_sent(9)
    assert sound.unplayed(ack(9, 4, 0)) == 1.0
    sound.forget_barge_in()
    assert sound.unplayed(ack(9, 4, 0)) is None


def test_the_remembered_sound_is_bounded():
    sound = SentSound()
    for number in range(1, KEPT_SOUNDS + 3):
        sound.sent(number, 1.0)
    sound.cut()
    sound.cut_sent(KEPT_SOUNDS + 3)
    assert sound.unplayed(ack(KEPT_SOUNDS + 3, 1, 0)) == KEPT_SOUNDS


@pytest.fixture
async def talking(host, clients):
    """Sessions whose clients have been sent half a second of an answer, and a barge-in."""

    async def make(*who: str):
        hosting = await host(who=tuple(address(client_id=one, connection_id=f"k-{one}") for one in who))
        hosting.shortened = []
        hosting.model.shorten = hosting.shortened.append
        hosting.model.emit([BidiResponseStartEvent("r1"), *(speech(TENTH) for _ in range(5))])
        for one in who:
            await eventually(lambda at=f"k-{one}": len(clients.of(at, AudioOutput)) == 5)
        hosting.model.emit([BidiBargeInEvent()])
        for one in who:
            await eventually(lambda at=f"k-{one}": clients.of(at, BargeIn))

        def report(who: str, *, pieces: int, ms: int, epoch: int = hosting.session.epoch) -> None:
            number = clients.of(f"k-{who}", AudioOutput)[pieces].seq
            said = ack(clients.of(f"k-{who}", BargeIn)[-1].seq, number, ms, epoch)
            hosting.session.deliver(delivery(said, client_id=who, connection_id=f"k-{who}"))

        hosting.report = report
        return hosting

    return make


async def test_the_only_clients_report_counts_at_once(talking):
    hosting = await talking("c1")
    hosting.report("c1", pieces=2, ms=50)
    assert hosting.shortened == [pytest.approx(0.25)]
    hosting.report("c1", pieces=0, ms=0)
    assert len(hosting.shortened) == 1, "one report of a client"


async def test_the_furthest_of_several_clients_counts(talking):
    hosting = await talking("c1", "c2")
    hosting.report("c1", pieces=1, ms=0)
    assert hosting.shortened == []
    hosting.report("c2", pieces=3, ms=0)
    assert hosting.shortened == [pytest.approx(0.2)]


@pytest.mark.slow
async def test_a_client_that_does_not_report_is_left_out_after_a_second(talking):
    hosting = await talking("c1", "old")
    hosting.report("c1", pieces=3, ms=0)
    await eventually(lambda: hosting.shortened)
    assert hosting.shortened == [pytest.approx(0.2)]


async def test_a_report_of_an_older_epoch_is_ignored_and_one_that_played_all_changes_nothing(talking):
    hosting = await talking("c1")
    hosting.report("c1", pieces=0, ms=0, epoch=hosting.session.epoch - 1)
    hosting.report("c1", pieces=4, ms=100)
    hosting.report("c1", pieces=0, ms=0)
    assert hosting.shortened == []


async def test_played_is_announced_only_where_a_model_can_be_told(host, clients, monkeypatch):
    hosting = await host()
    hosting.model.shorten = lambda _: None
    hosting.session.deliver(delivery(frames.Hello(session="talk", client_id="c1", connection=1)))
    await eventually(lambda: len(clients.of("k1", Ready)) == 2)
    assert ["played" in ready.features for ready in clients.of("k1", Ready)] == [False, True]
    hosting.model.emit([speech(TENTH), BidiBargeInEvent()])
    await eventually(lambda: clients.of("k1", BargeIn))
