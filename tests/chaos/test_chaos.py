"""A small run of the chaos: what a large one does, in a minute."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.calls import Plan
from tests.chaos.stage import run
from tests.chaos.weather import CALM, REQUEST_STORM, SOCKET_STORM, Weather

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.emulator,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # asyncio's transport of a socket that a relay has cut, collected after its server has ended.
    pytest.mark.filterwarnings("ignore:.*_SelectorTransport.__del__:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(("sockets", "requests"), [(CALM, CALM), (SOCKET_STORM, REQUEST_STORM)], ids=["calm", "storm"])
async def test_no_frame_is_lost_or_doubled(sockets: Weather, requests: Weather, tmp_path: Path) -> None:
    calls = 2 if requests is CALM else 1
    plan = Plan(
        calls=calls,
        redeploys=3,
        kills=1,
        stops=1,
        lines=3,
        weather=sockets,
        calm=requests is CALM,
        partitions=1,
        mixed=True,
    )
    outcome = await run(plan, requests, random.Random(1), tmp_path, print)
    assert outcome.problems == []
    assert outcome.lines >= plan.calls * plan.lines
    if requests is CALM:  # one call's sockets are renewed all the time, the others' stay
        assert outcome.connections == outcome.clients
        assert outcome.renewals > 0
