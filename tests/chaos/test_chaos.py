"""A small run of the chaos: what a large one does, in a minute."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.calls import Plan
from tests.chaos.faults import NO_FAULTS, REQUEST_FAULTS, SOCKET_FAULTS, FaultRates
from tests.chaos.stage import Stage, deployed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.emulator,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    # asyncio's transport of a socket that a relay has cut, collected after its server has ended.
    pytest.mark.filterwarnings("ignore:.*_SelectorTransport.__del__:pytest.PytestUnraisableExceptionWarning"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One deployment for both: a run needs workers and sessions of its own, and no more."""
    async with deployed(tmp_path_factory.mktemp("chaos")) as stage:
        yield stage


def busy() -> bool:
    """Return true if the machine has more to do than it has cores.

    Then the POST of a ``pong`` may take longer than the second that it has, and its client opens another connection, by
    which nothing is lost. On a quiet machine no client may need a second one.
    """
    return os.getloadavg()[0] > (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("sockets", "requests"), [(NO_FAULTS, NO_FAULTS), (SOCKET_FAULTS, REQUEST_FAULTS)], ids=["calm", "storm"]
)
async def test_no_frame_is_lost_or_doubled(
    stage: Stage, sockets: FaultRates, requests: FaultRates, tmp_path: Path
) -> None:
    calls = 2 if requests is NO_FAULTS else 1
    plan = Plan(
        calls=calls,
        redeploys=3,
        kills=1,
        stops=1,
        lines=3,
        faults=sockets,
        fault_free=requests is NO_FAULTS,
        partitions=1,
        mixed=True,
    )
    outcome = await stage.run(plan, requests, random.Random(1), tmp_path, print)
    assert not outcome.problems, "\n".join(outcome.problems)
    assert outcome.lines >= plan.calls * plan.lines
    if requests is NO_FAULTS:  # one call's sockets are renewed all the time, the others' stay
        assert outcome.clients <= outcome.connections <= outcome.clients * (2 if busy() else 1)
        assert outcome.renewals > 0
