"""The steady clock goes with the real one while this process runs, and stands still while it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.steady_clock import steady
from tests.support.waiting import eventually, promptly, within

STOPPED_SECONDS = 1.5

PROGRAM = """
import sys, time
from tests.support.steady_clock import steady
before, real = steady().now(), time.monotonic()
print("ready", flush=True)
sys.stdin.readline()
print(steady().now() - before, time.monotonic() - real)
"""


@pytest.mark.slow
def test_the_steady_clock_stands_still_while_the_process_is_stopped() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(process.pid, signal.SIGCONT)
        output, _ = process.communicate("\n")

    counted, real = map(float, output.split())
    assert real >= STOPPED_SECONDS
    assert counted <= real - STOPPED_SECONDS + 0.1


def test_the_steady_clock_goes_on_with_the_real_one() -> None:
    before, real = steady().now(), time.monotonic()
    while steady().now() < before + 0.1:
        time.sleep(0.01)
    assert time.monotonic() >= real + 0.09


@pytest.mark.slow
async def test_waits_beyond_their_limit_are_cut_off() -> None:
    with pytest.raises(TimeoutError):
        await promptly(asyncio.Event().wait(), 0.1)
    with pytest.raises(TimeoutError):
        async with within(0.1):
            await asyncio.Event().wait()
    with pytest.raises(AssertionError, match=r"not within 0\.1 s"):
        await eventually(lambda: False, 0.1)


async def test_promptly_returns_a_result_within_its_limit() -> None:
    assert await promptly(asyncio.sleep(0, "done"), 10) == "done"
