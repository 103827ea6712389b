"""Output numbering: order, epochs and gaps as a client sees them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.lease.item import Known
from segue.wire.frames import Approval, AudioOutput, InputAck, Pause, Pong, Ready, TextOutput, Tool, Transcript
from segue.wire.memory import kept_bytes
from segue.wire.output import GAP, JournalCursor, OutputNumbering, OutputOrder


def ack(epoch, seq):
    return InputAck(epoch=epoch, seq=seq, upto=0)


def ready(epoch, seq, since=None, head=0):
    return Ready(epoch=epoch, seq=seq, session="s", known=Known(), history=0, head=head, since=since)


def place(item):
    return "gap" if item is GAP else (item.epoch, item.seq)


# --- OutputNumbering


def test_every_client_has_its_own_numbers():
    numbering = OutputNumbering(epoch=5)
    first = numbering.stamp("a", AudioOutput(audio="AAAA", rate=8000))
    assert (first.epoch, first.seq, first.audio) == (5, 1, "AAAA")
    assert numbering.stamp("a", Pong()).seq == 2
    assert numbering.stamp("b", Pong()).seq == 1
    numbering.forget("a")
    numbering.forget("never seen")
    assert numbering.stamp("a", Pong()).seq == 1


def test_a_pause_uses_up_no_number():
    numbering = OutputNumbering(epoch=5)
    assert numbering.stamp("a", Pong()).seq == 1
    paused = numbering.stamp("a", Pause(active=True, reason="storage"))
    assert (paused.epoch, paused.seq) == (5, None)
    assert numbering.stamp("a", Pong()).seq == 2


# --- OutputOrder


def test_in_order_frames_pass_at_once():
    order = OutputOrder()
    assert [place(order.offer(ack(1, seq), 0.0)[0]) for seq in (1, 2, 3)] == [(1, 1), (1, 2), (1, 3)]
    assert (order.epoch, order.released) == (1, 3)
    assert order.wakeup(0.0) is None


def test_a_frame_that_overtook_waits_for_the_one_before_it():
    order = OutputOrder()
    assert order.offer(ack(1, 2), 0.0) == []
    assert order.offer(ack(1, 1), 0.1) == [ack(1, 1), ack(1, 2)]


def test_a_missing_frame_is_given_up_after_a_while_and_refused_later():
    order = OutputOrder(patience=0.5)
    order.offer(ack(1, 1), 0.0)
    assert order.offer(ack(1, 3), 1.0) == []
    assert order.wakeup(1.1) == pytest.approx(0.4)
    assert order.expire(1.4) == []
    assert order.expire(1.5) == [GAP, ack(1, 3)]
    assert order.offer(ack(1, 2), 1.6) == []


def test_each_gap_waits_its_own_patience():
    order = OutputOrder(patience=0.5)
    order.offer(ack(1, 2), 0.0)
    order.offer(ack(1, 4), 0.3)
    assert order.expire(0.5) == [GAP, ack(1, 2)]
    assert order.wakeup(0.5) == pytest.approx(0.3)
    assert order.expire(0.8) == [GAP, ack(1, 4)]


def test_a_new_epoch_ends_the_old_one():
    order = OutputOrder()
    order.offer(ack(1, 1), 0.0)
    order.offer(ack(1, 3), 0.0)
    assert order.offer(ready(2, 1), 0.0) == [GAP, ack(1, 3), GAP, ready(2, 1)]
    assert order.offer(ack(1, 2), 0.0) == []
    assert order.offer(ack(1, 4), 0.0) == []


def test_the_first_epoch_is_no_gap_whatever_its_number():
    assert OutputOrder().offer(ready(41, 1), 0.0) == [ready(41, 1)]


def test_an_answer_to_hello_ends_all_waiting_before_it():
    order = OutputOrder()
    order.offer(ack(1, 1), 0.0)
    order.offer(ack(1, 3), 0.0)
    assert order.offer(ready(1, 6, since=0), 0.0) == [GAP, ack(1, 3), GAP, ready(1, 6, since=0)]
    assert order.offer(ack(1, 7), 0.0) == [ack(1, 7)]


def test_an_unasked_ready_waits_like_any_frame():
    order = OutputOrder()
    assert order.offer(ready(1, 2), 0.0) == []
    assert order.offer(ack(1, 1), 0.0) == [ack(1, 1), ready(1, 2)]


def test_the_gateways_own_frames_have_no_place():
    order = OutputOrder()
    order.offer(ack(1, 2), 0.0)
    assert order.offer(Pong(), 0.0) == [Pong()]


def test_output_that_waits_for_its_order_is_bounded_in_bytes():
    order = OutputOrder(capacity_bytes=100_000)
    large = [TextOutput(text="x" * 40_000, epoch=1, seq=seq) for seq in (2, 4, 6, 8)]
    assert [order.offer(frame, 0.0) for frame in large[:2]] == [[], []]
    assert [place(item) for item in order.offer(large[2], 0.0)] == ["gap", (1, 2)]
    assert [place(item) for item in order.offer(large[3], 0.0)] == ["gap", (1, 4)]
    assert order._bytes == 2 * kept_bytes(large[0])


def test_the_frames_that_wait_for_a_missing_one_are_bounded():
    order = OutputOrder(capacity=2)
    assert order.offer(ack(1, 3), 0.0) == []
    assert order.offer(ack(1, 5), 0.0) == []
    assert order.offer(ack(1, 7), 0.0) == [GAP, ack(1, 3)]


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_arrival_gives_rising_places_without_repeats_and_gaps_where_something_is_missing(data):
    sent = [(epoch, seq) for epoch in (3, 4, 7) for seq in range(1, 9)]
    arrivals = data.draw(st.lists(st.sampled_from(sent), max_size=60))
    order = OutputOrder(patience=0.5)
    now = 0.0
    shown = []
    for epoch, seq in arrivals:
        now += data.draw(st.sampled_from([0.0, 0.0, 0.2, 0.6]))
        shown += order.expire(now)
        shown += order.offer(ack(epoch, seq), now)
    shown += order.expire(now + 1)
    assert order.wakeup(now + 1) is None
    places = [place(item) for item in shown]
    only = [item for item in places if item != "gap"]
    assert only == sorted(set(only)), "rising, no repeats"
    assert set(only) <= set(arrivals)
    before = None
    for index, item in enumerate(places):
        if item == "gap":
            continue
        follows = item[1] == 1 if before is None else item == (before[0], before[1] + 1)
        assert follows == (index == 0 or places[index - 1] != "gap"), "a gap exactly where something may be missing"
        before = item


@pytest.mark.slow
@settings(deadline=None)
@given(st.data())
def test_reordering_within_patience_loses_nothing(data):
    count = 30
    # Each frame is late by up to 0.4 s; patience is 0.5 s.
    lateness = data.draw(st.lists(st.floats(0, 0.4), min_size=count, max_size=count))
    arrivals = sorted((seq * 0.01 + late, seq) for seq, late in enumerate(lateness, start=1))
    order = OutputOrder(patience=0.5)
    shown = []
    for at, seq in arrivals:
        shown += order.expire(at)
        shown += order.offer(ack(1, seq), at)
    assert [item.seq for item in shown] == list(range(1, count + 1))


# --- JournalCursor


def text(record):
    return TextOutput(epoch=1, seq=1, text=str(record), record=record)


def opened(head=3):
    cursor = JournalCursor()
    cursor.open(head)
    return cursor


def test_records_before_the_first_ready_are_history_and_not_shown():
    cursor = JournalCursor()
    assert cursor.last_record is None
    assert not cursor.complete
    assert not cursor.accept(text(0))
    cursor.open(3)
    cursor.open(7)
    assert cursor.last_record == 2
    assert not cursor.accept(text(2))
    assert cursor.accept(text(3))
    assert cursor.last_record == 3


def test_a_client_of_an_empty_session_shows_record_zero():
    cursor = opened(head=0)
    assert cursor.last_record == -1
    assert cursor.accept(text(0))


def test_a_record_is_shown_once():
    cursor = opened()
    assert cursor.accept(text(4))
    assert not cursor.accept(text(4))
    assert cursor.accept(Transcript(role="user", text="x", final=True, record=5))
    assert not cursor.accept(Transcript(role="user", text="x", final=True, record=5))


def test_one_record_may_make_several_frames():
    cursor = opened()
    tools = [Tool(name="n", tool_use_id=name, status="started", record=4) for name in "ab"]
    assert [cursor.accept(tool) for tool in tools + tools] == [True, True, False, False]


def test_after_a_gap_journal_content_waits_until_it_is_said_again():
    cursor = opened()
    cursor.accept(text(3))
    cursor.gap()
    assert not cursor.complete
    assert not cursor.accept(text(5))
    assert cursor.accept(AudioOutput(audio="AAAA", rate=8000))
    assert cursor.accept(Transcript(role="user", text="x", final=False))
    assert cursor.accept(ready(1, 8))
    assert not cursor.accept(text(5)), "a ready that answers no hello repairs nothing"
    assert cursor.last_record == 3
    assert cursor.accept(ready(1, 9, since=3))
    assert cursor.complete
    assert [cursor.accept(text(record)) for record in (3, 4, 5, 6)] == [False, True, True, True]


def test_memory_of_what_was_shown_is_bounded():
    cursor = opened(head=0)
    for record in range(10 * JournalCursor.KEPT):
        assert cursor.accept(text(record))
    assert len(cursor._shown) <= 2 * JournalCursor.KEPT
    assert not cursor.accept(text(5))
    assert not cursor.accept(text(cursor.last_record - JournalCursor.KEPT // 2))


# --- approvals


def test_an_approval_that_is_still_asked_is_shown_once_though_it_is_older_than_the_first_ready():
    cursor = JournalCursor()
    cursor.open(head=8)
    asked = Approval(status="asked", record=5)
    assert cursor.accept(asked)
    assert not cursor.accept(asked), "said again after the next ready"
    assert not cursor.accept(Approval(status="denied", record=4)), "what is over is history"
    assert cursor.last_record == 7
    assert cursor.accept(Approval(status="answered", of=5, record=8))
    assert cursor.last_record == 8


def test_an_approval_after_a_gap_is_not_shown_before_what_may_be_missing():
    cursor = JournalCursor()
    cursor.open(head=3)
    cursor.gap()
    asked = Approval(status="asked", record=5)
    assert not cursor.accept(asked)
    assert cursor.accept(ready(2, 1, since=2))
    assert [cursor.accept(frame) for frame in (TextOutput(text="a", record=4), asked)] == [True, True]
