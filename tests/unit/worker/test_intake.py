"""Order, repeats and bounds of what clients say."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from segue.lease.item import Known
from segue.wire.frames import FrameError
from segue.wire.memory import kept_bytes
from tests.support.waiting import within
from tests.unit.worker.stand_ins import audio, text
from worker.conversation.input.intake import (
    ALL_EARLY_BYTES,
    CLIENTS,
    EARLY_BYTES,
    QUEUE_BYTES,
    QUEUE_FRAMES,
    Intake,
    Said,
)


async def taken(intake: Intake, count: int) -> list[Said]:
    async with within(5):
        return [await intake.next() for _ in range(count)]


def test_bounds_of_waiting_input_are_documented():
    document = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"{QUEUE_FRAMES} frames of a session, and {QUEUE_BYTES:,} bytes" in document
    assert f"no more than {EARLY_BYTES:,} bytes of a client's frames" in document
    assert f"{ALL_EARLY_BYTES:,} of all clients" in document


async def test_clients_are_ordered_each_by_its_own_numbers():
    intake = Intake(lambda _: Known())
    intake.offer_frame("a", text("a2", 2))
    intake.offer_frame("b", text("b1", 1))
    intake.offer_frame("a", text("a1", 1))
    assert [said.frame.text for said in await taken(intake, 3)] == ["b1", "a1", "a2"]


async def test_a_frame_that_waits_and_a_repeat_are_not_taken_now():
    intake = Intake(lambda _: Known(1, (5,)))
    taken_now = {seq: intake.offer_frame("a", text(str(seq), seq)) for seq in (3, 2, 4, 6)}
    assert taken_now == {3: False, 2: True, 4: True, 6: True}
    assert [intake.offer_frame("a", text("again", seq)) for seq in (1, 4, 5)] == [False, False, False]
    assert intake.offer_frame("a", text("no number"))
    assert intake.progress("a") == (6, ())


async def test_input_that_the_journal_has_is_not_taken_again():
    intake = Intake(lambda _: Known(2, (4,)))
    for seq in (1, 2, 3, 4, 5):
        intake.offer_frame("a", text(str(seq), seq))
    assert [said.frame.text for said in await taken(intake, 2)] == ["3", "5"]


async def test_a_number_too_far_ahead_is_refused():
    intake = Intake(lambda _: Known())
    with pytest.raises(FrameError) as refused:
        intake.offer_frame("a", text("far", 5000))
    assert refused.value.code == "beyond_window"


async def test_leaving_forgets_what_will_be_sent_again_and_keeps_the_rest():
    intake = Intake(lambda _: Known())
    intake.offer_frame("a", text("numbered", 1))
    intake.offer_frame("a", text("plain"))
    intake.forget_numbered()
    assert [said.frame.text for said in await taken(intake, 1)] == ["plain"]


async def test_refused_clients_are_named_once_there_is_room():
    intake = Intake(lambda _: Known(), limit=4)
    for seq in range(1, 5):
        intake.offer_frame("a", text("x", seq))
    for client_id, frame in (("a", text("x", 5)), ("b", text("x", 1)), ("c", text("x")), ("a", text("x", 6))):
        with pytest.raises(FrameError):
            intake.offer_frame(client_id, frame)
    await taken(intake, 1)
    assert not intake.take_refused_clients()
    await taken(intake, 1)
    assert intake.take_refused_clients() == {"a", "b"}, "what has no number is not sent again"
    assert not intake.take_refused_clients()


async def test_a_client_that_was_turned_away_is_left_to_the_successor():
    intake = Intake(lambda _: Known(), limit=1)
    intake.offer_frame("a", text("x", 1))
    with pytest.raises(FrameError):
        intake.offer_frame("a", text("x", 2))
    intake.forget_numbered()
    assert not intake.take_refused_clients()


async def test_a_client_that_fell_out_is_taken_up_from_the_journal():
    known = {"a": Known()}
    intake = Intake(lambda client_id: known.get(client_id, Known()))
    intake.offer_frame("a", text("one", 1))
    known["a"] = Known(1)
    for number in range(CLIENTS):
        intake.offer_frame(f"other{number}", text("x", 1))
    intake.offer_frame("a", text("one", 1))
    intake.offer_frame("a", text("two", 2))
    said = await taken(intake, 2 + CLIENTS)
    assert [one.frame.text for one in said if one.client_id == "a"] == ["one", "two"]


async def test_input_that_is_put_back_comes_next_in_its_order():
    intake = Intake(lambda _: Known(2))
    intake.offer_frame("a", audio(3))
    intake.put_back([Said("a", audio(1), again=True), Said("a", audio(2), again=True)])
    assert [(said.frame.seq, said.again) for said in await taken(intake, 3)] == [(1, True), (2, True), (3, False)]


LARGE = "x" * 32_000


def offered(intake: Intake, client_id: str, seq: int, words: str = LARGE) -> str | None:
    """Offer a text; return the code with which it was refused."""
    try:
        intake.offer_frame(client_id, text(words, seq))
    except FrameError as refused:
        return refused.code
    return None


@pytest.mark.slow
async def test_input_that_waits_for_a_missing_number_is_bounded_in_bytes():
    """64 clients that send all numbers but the first had a process keep 490 MB for one session."""
    intake = Intake(lambda _: Known())
    tracemalloc.start()
    try:
        for number in range(CLIENTS):
            for seq in range(2, 257):
                offered(intake, f"c{number}", seq, f"{number}.{seq}." + LARGE)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1.5 * ALL_EARLY_BYTES
    counted = sum(client.receiver.waiting_bytes for client in intake._clients.values())
    assert ALL_EARLY_BYTES - kept_bytes(text(LARGE + "99.999.")) < counted <= ALL_EARLY_BYTES


async def test_the_missing_number_is_always_taken_and_makes_room():
    intake = Intake(lambda _: Known())
    refused = {client_id: [offered(intake, client_id, seq) for seq in range(2, 80)] for client_id in "abcdef"}
    assert refused["a"][-1] == "beyond_window"
    assert refused["f"][-1] == "busy", "not by itself: the others have taken it all"

    for client_id in "abcdef":
        assert offered(intake, client_id, 1) is None
        await taken(intake, 1 + refused[client_id].count(None))
    assert all(client.receiver.waiting_bytes == 0 for client in intake._clients.values())
    assert offered(intake, "f", 5) is None


async def test_input_refused_for_its_bytes_is_taken_in_order_later():
    intake = Intake(lambda _: Known())
    for _ in range(30):
        for seq in range(60, 0, -1):
            offered(intake, "a", seq, f"{seq:03d}" + "é" * 60_000)
    said = [await intake.next() for _ in range(len(intake._queue))]
    assert [one.frame.seq for one in said] == list(range(1, len(said) + 1))
    assert len(said) > 2


async def test_the_queue_is_bounded_in_bytes_too():
    intake = Intake(lambda _: Known())
    refused = [offered(intake, "a", seq) for seq in range(1, 300)]
    assert refused[-1] == "busy"
    assert sum(kept_bytes(said.frame) for said in intake._queue) < QUEUE_BYTES + kept_bytes(text(LARGE))
    await taken(intake, refused.count(None))
    assert intake.take_refused_clients() == {"a"}
    assert intake._queued_bytes == 0


async def test_the_bytes_of_the_queue_are_counted_whatever_becomes_of_it():
    intake = Intake(lambda _: Known())
    for seq in (1, 2, 3, 5):
        offered(intake, "a", seq)
    intake.offer_frame("a", text("plain"))
    intake.put_back([Said("a", audio(9), again=True)])
    assert intake._queued_bytes == sum(kept_bytes(said.frame) for said in intake._queue)
    intake.forget_numbered()
    assert intake._queued_bytes == kept_bytes(text("plain"))
    assert intake.progress("a") == (3, ()), "nor is anything kept of what came early"


async def test_leaving_for_good_frees_what_came_early_and_keeps_what_came_in_its_turn():
    intake = Intake(lambda _: Known())
    for seq in (1, 3, 4):
        offered(intake, "a", seq)
    intake.drop_client("a")
    intake.drop_client("never seen")
    assert intake.progress("a") == (1, ())
    assert [said.frame.seq for said in await taken(intake, 1)] == [1]
    assert offered(intake, "a", 2) is None, "what was on its way counts"
    assert [said.frame.seq for said in await taken(intake, 1)] == [2]
