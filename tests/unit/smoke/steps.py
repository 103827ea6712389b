"""Steps of the story, one at a time, against a deployment that is scripted."""

from __future__ import annotations

import pytest

from smoke import connections, frames, redeploy, turns
from smoke.call import calling
from smoke.visit import Outcome, Visit
from tests.unit.smoke.scripted import deployed

FRAMES = {step.name: step.work for step in frames.STEPS}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Steps wait less long for what does not come."""
    for module in (frames, turns, connections, redeploy):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 10.0)
    monkeypatch.setattr(frames, "READY_SECONDS", 1.0)
    monkeypatch.setattr(frames, "HELLO_SECONDS", 0.4)
    monkeypatch.setattr(frames, "STRAY_SECONDS", 0.3)
    monkeypatch.setattr(frames, "PING_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(frames, "REPEAT_SECONDS", 0.2)
    monkeypatch.setattr(frames, "ROUNDS", 2)
    monkeypatch.setattr(turns, "LISTENING_SECONDS", 0.0)
    monkeypatch.setattr("smoke.call.PIECE_SECONDS", 0.02)
    monkeypatch.setattr(redeploy, "PAUSE_SECONDS", 0.0)


async def outcome(work, **faults) -> Outcome:
    async with deployed(**faults) as there:
        return await work(Visit(url=there.url, token="good"))


async def in_a_call(work, **faults) -> Outcome:
    async with deployed(**faults) as there:
        visit = Visit(url=there.url, token="good", idle_seconds=0.1)
        async with calling(visit.client()) as visit.call:
            return await work(visit)
