"""Lateness of an event loop, in a process that is watched from outside.

The process keeps the lateness of a ticker; on SIGUSR1 it writes what it has kept since the last time into a file. On
SIGUSR2 the ticker rests until the next SIGUSR1: two hundred turns of the loop a second are a part of the process's
processor time that is not the server's. Timers of ``epoll`` are rounded up to whole milliseconds, which is part of
every figure.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.measuring.figures import Spread

VARIABLE: Final = "SEGUE_BENCHMARK_LAG"
"""Names the file."""

TICK_SECONDS: Final = 0.005
_ANSWER_SECONDS: Final = 5.0


async def keep_lag() -> None:
    """Keep the lateness of a tick every 5 ms, for ever."""
    path = Path(os.environ[VARIABLE])
    late_ms: list[float] = []
    ticking = asyncio.Event()
    ticking.set()

    def write_lag() -> None:
        report = msgspec.json.encode(Spread.of(late_ms or [0.0]))
        late_ms.clear()
        ticking.set()
        path.with_suffix(".new").write_bytes(report)
        path.with_suffix(".new").rename(path)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, write_lag)
    loop.add_signal_handler(signal.SIGUSR2, ticking.clear)
    while True:
        await ticking.wait()
        before = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        late_ms.append((time.perf_counter() - before - TICK_SECONDS) * 1e3)


def ask(pid: int, path: Path) -> Spread:
    """Return how late the loop of a process was since it was last asked, in ms.

    Raises:
        TimeoutError: It does not answer.
    """
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    until = time.monotonic() + _ANSWER_SECONDS
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} does not tell how late it is")
        time.sleep(0.01)
    return msgspec.json.decode(path.read_bytes(), type=Spread)


def pause_ticks(pid: int) -> None:
    """Let the ticker of a process rest until it is asked again."""
    os.kill(pid, signal.SIGUSR2)
