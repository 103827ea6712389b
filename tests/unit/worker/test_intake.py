"""Order, repeats and bounds of what clients say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from segue.item import Known
from segue.wire.frames import FrameError
from tests.unit.worker.stand_ins import audio, text
from worker.intake import CLIENTS, QUEUE_FRAMES, Intake, Said


async def taken(intake: Intake, count: int) -> list[Said]:
    async with asyncio.timeout(5):
        return [await intake.next() for _ in range(count)]


def test_the_bound_is_documented():
    document = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"{QUEUE_FRAMES} frames of a session" in document


async def test_clients_are_ordered_each_by_its_own_numbers():
    intake = Intake(lambda _: Known())
    intake.offer("a", text("a2", 2))
    intake.offer("b", text("b1", 1))
    intake.offer("a", text("a1", 1))
    assert [said.frame.text for said in await taken(intake, 3)] == ["b1", "a1", "a2"]


async def test_what_the_journal_contains_is_not_taken_again():
    intake = Intake(lambda _: Known(2, (4,)))
    for seq in (1, 2, 3, 4, 5):
        intake.offer("a", text(str(seq), seq))
    assert [said.frame.text for said in await taken(intake, 2)] == ["3", "5"]


async def test_a_number_too_far_ahead_is_refused():
    intake = Intake(lambda _: Known())
    with pytest.raises(FrameError) as refused:
        intake.offer("a", text("far", 5000))
    assert refused.value.code == "beyond_window"


async def test_leaving_forgets_what_will_be_sent_again_and_keeps_the_rest():
    intake = Intake(lambda _: Known())
    intake.offer("a", text("numbered", 1))
    intake.offer("a", text("plain"))
    intake.forget_numbered()
    assert [said.frame.text for said in await taken(intake, 1)] == ["plain"]


async def test_who_was_turned_away_is_named_once_there_is_room():
    intake = Intake(lambda _: Known(), limit=4)
    for seq in range(1, 5):
        intake.offer("a", text("x", seq))
    for client_id, frame in (("a", text("x", 5)), ("b", text("x", 1)), ("c", text("x")), ("a", text("x", 6))):
        with pytest.raises(FrameError):
            intake.offer(client_id, frame)
    await taken(intake, 1)
    assert not intake.relieved()
    await taken(intake, 1)
    assert intake.relieved() == {"a", "b"}, "what has no number is not sent again"
    assert not intake.relieved()


async def test_who_was_turned_away_is_left_to_the_successor():
    intake = Intake(lambda _: Known(), limit=1)
    intake.offer("a", text("x", 1))
    with pytest.raises(FrameError):
        intake.offer("a", text("x", 2))
    intake.forget_numbered()
    assert not intake.relieved()


async def test_a_client_that_fell_out_is_taken_up_from_the_journal():
    known = {"a": Known()}
    intake = Intake(lambda client_id: known.get(client_id, Known()))
    intake.offer("a", text("one", 1))
    known["a"] = Known(1)
    for number in range(CLIENTS):
        intake.offer(f"other{number}", text("x", 1))
    intake.offer("a", text("one", 1))
    intake.offer("a", text("two", 2))
    said = await taken(intake, 2 + CLIENTS)
    assert [one.frame.text for one in said if one.client_id == "a"] == ["one", "two"]


async def test_what_is_put_back_comes_next_in_its_order():
    intake = Intake(lambda _: Known(2))
    intake.offer("a", audio(3))
    intake.put_back([Said("a", audio(1), again=True), Said("a", audio(2), again=True)])
    assert [(said.frame.seq, said.again) for said in await taken(intake, 3)] == [(1, True), (2, True), (3, False)]
