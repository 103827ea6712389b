"""Random pauses of a test: they are found by tests that count on times, repeat with their seed, and stop the clock."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support import stalls
from tests.support.stalls import BUDGET_SECONDS, Stalls
from tests.support.steady_clock import LONGEST_TICK_SECONDS, steady
from tests.support.waiting import eventually_sync

ROOT = Path(__file__).resolve().parents[3]
HASTY = """
import asyncio
import time

async def longest_turn():
    longest, seen = 0.0, time.monotonic()
    for _ in range(200):
        await asyncio.sleep(0)
        longest, seen = max(longest, time.monotonic() - seen), time.monotonic()
    return longest

def test_a_loop_always_has_its_turn():
    assert asyncio.run(longest_turn()) < 0.2

def test_a_thread_always_has_its_turn():
    async def main():
        began = time.monotonic()
        for _ in range(20):
            await asyncio.to_thread(int)
        return time.monotonic() - began
    assert asyncio.run(main()) < 0.2
"""


def pauses_of(test: str) -> list[float]:
    """Seconds of each pause that a test has, none of which takes any here."""
    slept: list[float] = []
    one = Stalls(slept.append)
    one.begin(test)
    for _ in range(1000):
        one.pause_process()
        one.pause_thread()
    one.end()
    enough = list(slept)
    for _ in range(1000):
        one.pause_process()
    assert slept == enough, "none is left when the test has ended"
    return slept


def test_pauses_follow_from_the_seed_and_the_tests_name() -> None:
    of_a = pauses_of("a")
    assert of_a == pauses_of("a")
    assert of_a != pauses_of("b")
    assert len(set(of_a)) > 1


def test_pauses_of_a_test_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "LONGEST_SECONDS", 0.1)
    assert BUDGET_SECONDS <= sum(pauses_of("a")) <= BUDGET_SECONDS + stalls.LONGEST_SECONDS


def test_a_pause_of_the_process_stops_the_steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "CALLBACK_CHANCE", 1.0)
    one = Stalls()
    one.begin("a")
    before, began = steady().now(), time.monotonic()
    while time.monotonic() - began < 0.2:
        pauses = one.left
        one.pause_process()
        assert one.left < pauses
    assert steady().now() - before < (time.monotonic() - began) / 2 + LONGEST_TICK_SECONDS


@pytest.mark.slow
def test_a_test_that_counts_on_times_fails_with_pauses_only(tmp_path: Path) -> None:
    hasty = tmp_path / "test_hasty.py"
    hasty.write_text(textwrap.dedent(HASTY))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "SEGUE_STALL_SECONDS": "0.4"}

    def outcome(*options: str) -> str:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            *options,
            str(hasty),
        ]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False).stdout

    assert "2 failed" in outcome("-p", "tests.support.stalls")
    eventually_sync(lambda: "2 passed" in outcome())  # it counts on a time: a busy machine may let it wait
