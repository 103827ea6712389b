"""Pace at which a draining worker begins its handoffs. Times are virtual."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulation.loop import VirtualLoop
from tests.unit.worker.stand_ins import FakeQueue
from worker.hosting import drain as drain_module
from worker.hosting.drain import HANDOFFS_A_SECOND, PACED_SECONDS, Drain

HANDOFF_SECONDS = 4.0
"""Duration of each handoff: longer than the pause between two, so that many are under way at once."""


class Handoffs:
    """Handoffs that only take their time; notes when each began, in seconds after the signal."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.most_at_once = 0
        self._under_way = 0

    def __call__(self, session: Any, *_: Any, **__: Any) -> Any:
        async def run() -> None:
            self.begun[session.key] = asyncio.get_running_loop().time()
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            await asyncio.sleep(HANDOFF_SECONDS)
            self._under_way -= 1

        return SimpleNamespace(run=run)


@dataclass(frozen=True)
class OpenSession:
    """A session that can be handed over at any time."""

    key: str
    open: bool = True


class LeavingHost:
    """A host with so many sessions, and more that are being opened when the signal comes."""

    def __init__(self, sessions: int, late: int, opened_after: float) -> None:
        self.sessions = tuple(OpenSession(f"s{number}") for number in range(sessions))
        self.standbys = SimpleNamespace(clear=_nothing)
        self._late = tuple(OpenSession(f"late{number}") for number in range(late))
        self._opened_after = opened_after

    async def until_opened(self) -> None:
        await asyncio.sleep(self._opened_after)
        self.sessions += self._late


async def _nothing() -> None:
    pass


@pytest.fixture
def handoffs(monkeypatch) -> Handoffs:
    noted = Handoffs()
    monkeypatch.setattr(drain_module, "Handoff", noted)
    return noted


def drained(sessions: int, late: int = 0, opened_after: float = 0.0) -> float:
    """Drain a worker; how long that took."""

    async def drain() -> float:
        claims: Any = SimpleNamespace(stop=lambda: None, stopped=_nothing)
        host: Any = LeavingHost(sessions, late, opened_after)
        await Drain(host, claims, FakeQueue(), asyncio.Event()).run()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(drain())


def most_in(window: float, begun: list[float]) -> int:
    """The most that began within so many seconds, wherever those are laid."""
    return max(sum(start <= one < start + window for one in begun) for start in begun)


def test_a_full_worker_begins_no_more_handoffs_a_second_than_the_rate(handoffs):
    took = drained(40)
    begun = sorted(handoffs.begun.values())
    assert len(begun) == 40
    assert most_in(1.0, begun) == HANDOFFS_A_SECOND
    assert max(after - before for before, after in pairwise(begun)) < 1.1 / HANDOFFS_A_SECOND, "nor much slower"
    assert handoffs.most_at_once == HANDOFFS_A_SECOND * HANDOFF_SECONDS, "none waits for the one before it to end"
    assert took < 40 / HANDOFFS_A_SECOND + HANDOFF_SECONDS


def test_sessions_opened_during_a_drain_are_handed_over_at_the_same_pace(handoffs):
    drained(20, late=10, opened_after=0.5)
    begun = sorted(handoffs.begun.values())
    assert len(begun) == 30
    assert most_in(1.0, begun) == HANDOFFS_A_SECOND
    assert min(at for key, at in handoffs.begun.items() if key.startswith("late")) > handoffs.begun["s19"]


def test_a_session_opened_after_all_handoffs_began_is_handed_over_at_once(handoffs):
    drained(3, late=1, opened_after=5.0)
    assert handoffs.begun["late0"] == pytest.approx(5.0, abs=0.01)


@pytest.mark.slow
def test_more_than_fit_at_that_rate_are_spread_over_the_time_that_there_is(handoffs):
    """A worker of a thousand sessions has to be faster: the platform does not wait."""
    drained(1000)
    begun = sorted(handoffs.begun.values())
    assert len(begun) == 1000
    assert 0.95 * PACED_SECONDS < begun[-1] < PACED_SECONDS
    assert most_in(1.0, begun) <= 1000 / PACED_SECONDS + 2
