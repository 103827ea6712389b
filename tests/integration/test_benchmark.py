"""The benchmark's small run, as a user starts it, and the histories that it prepares."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.measuring.figures import Run
from benchmarks.measuring.metering import Meter
from benchmarks.sessions.conversations import messages
from benchmarks.sessions.histories import prepare
from benchmarks.sessions.managers import LABELS, NAMES, Place, TimedModel, session
from benchmarks.sessions.run import PARTS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.emulator


def quick(endpoint: str, part: str) -> Run:
    """Run one part as a user does, in a small extent."""
    options = ["--quick", "--json", "--sizes", "10", "--parts", part, "--endpoint", endpoint]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sessions", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return msgspec.json.decode(done.stdout, type=Run)


@pytest.mark.timeout(600)  # a minute on a quiet machine: a dozen interpreters, each of which imports Strands
def test_a_quick_run_measures_every_manager_and_fences_who_was_stopped(emulator: str) -> None:
    with ThreadPoolExecutor() as at_once:  # mostly they wait: for delays, and for a lease to run out
        managers, handover, crowd = at_once.map(lambda part: quick(emulator, part), PARTS)

    assert {cell.manager for cell in managers.cells} == set(LABELS)
    for cell in managers.cells:
        assert cell.restore is None or cell.restore.messages == cell.length
        assert cell.texts
        assert cell.turns
        assert cell.burst
    assert handover.handover
    assert handover.handover.fenced == handover.handover.takeover_stopped.count
    assert handover.handover.takeover_killed.count == 1, "on evidence: their lease outlasts the run"
    assert crowd.crowd
    assert crowd.crowd.lost == 0


@pytest.mark.parametrize("name", NAMES)
async def test_a_history_that_was_prepared_is_what_its_manager_restores(
    name: str, emulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(bucket=emulated.bucket, lock_table=emulated.lock_table)
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulated.endpoint_url)
    await asyncio.to_thread(prepare, name, "history", 120, place, emulated.endpoint_url)
    opened = session(name, "history", place, Meter())
    agent = await opened.open(TimedModel())
    await opened.close()
    assert agent.messages == messages(120)
