"""Sessions that were released a moment ago: how long a worker takes their successors to be on the way."""

from __future__ import annotations

import pytest

from segue.testing.clock import ManualClock
from worker.hosting.recent_handoffs import ACQUIRED_SECONDS, REMEMBERED, RecentHandoffs


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def handoffs(clock: ManualClock) -> RecentHandoffs:
    return RecentHandoffs(clock.now)


def test_a_handoff_is_known_by_all_its_names_and_by_no_other(handoffs: RecentHandoffs) -> None:
    handoffs.note_handoff("talk", b"token")
    assert ("talk" in handoffs, b"token" in handoffs, "other" in handoffs) == (True, True, False)


async def test_a_handoff_is_recent_for_as_long_as_its_successor_may_take(
    handoffs: RecentHandoffs, clock: ManualClock
) -> None:
    handoffs.note_handoff("talk")
    await clock.advance(ACQUIRED_SECONDS - 0.1)
    assert "talk" in handoffs
    await clock.advance(0.2)
    assert "talk" not in handoffs


async def test_a_second_handoff_of_a_session_is_recent_from_its_own_time_on(
    handoffs: RecentHandoffs, clock: ManualClock
) -> None:
    handoffs.note_handoff("talk")
    await clock.advance(ACQUIRED_SECONDS)
    handoffs.note_handoff("talk")
    await clock.advance(ACQUIRED_SECONDS - 0.1)
    assert "talk" in handoffs


def test_so_many_handoffs_are_remembered_and_the_oldest_is_forgotten(handoffs: RecentHandoffs) -> None:
    for number in range(REMEMBERED + 1):
        handoffs.note_handoff(number)
    assert (0 in handoffs, 1 in handoffs, REMEMBERED in handoffs) == (False, True, True)
