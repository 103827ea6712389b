"""Steps of the story, one at a time, against a deployment that is scripted."""

from __future__ import annotations

import pytest

from smoke import frames
from smoke.call import calling
from smoke.visit import Outcome, Pace, Visit
from tests.unit.smoke.scripted import deployed

FRAMES = {step.name: step.work for step in frames.STEPS}


QUICK = Pace(
    answer_seconds=10.0,
    ready_seconds=1.0,
    hello_seconds=0.4,
    stray_seconds=0.3,
    ping_pause_seconds=0.0,
    repeat_seconds=0.2,
    rounds=2,
    listening_seconds=0.0,
    text_pause_seconds=0.0,
)
"""Steps wait less long for what does not come."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Callers speak faster than in real time."""
    monkeypatch.setattr("smoke.call.PIECE_SECONDS", 0.02)


async def outcome(work, pace: Pace = QUICK, **faults) -> Outcome:
    async with deployed(**faults) as there:
        return await work(Visit(url=there.url, token="good", pace=pace))


async def in_a_call(work, pace: Pace = QUICK, **faults) -> Outcome:
    async with deployed(**faults) as there:
        visit = Visit(url=there.url, token="good", idle_seconds=0.1, pace=pace)
        async with calling(visit.client()) as visit.call:
            return await work(visit)
