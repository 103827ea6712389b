"""Import of each function's handler: processor time and memory, in interpreters of their own.

Byte code is there already. Modules take turns, so that what else a machine does meets all of them alike, and processor
time counts, so that it is not measured itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import BARE, Entry
from local.settings import ROOT

MODULES: Final = (
    "gateway.authorizer",
    "gateway.connect",
    "gateway.message",
    "gateway.disconnect",
    "gateway.stopped",
    "janitor.ended",
    "janitor.second_sweep",
    "janitor.weekly",
    BARE,
    "turn.handler",
    "worker.app",
)
# Not getrusage's memory: its largest begins with that of the process that started this one.
_REPORT: Final = """
import json, time
used = time.process_time()
with open("/proc/self/status", encoding="ascii") as status:
    memory = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(json.dumps([used, int(memory)]))
"""
_SETTLED: Final = 1
"""Rounds that do not count: they compile, and bring files into memory."""


def measure(times: int, modules: Sequence[str] = MODULES) -> list[Entry]:
    """Import each module in fresh interpreters, one after the other, and again.

    Args:
        times: Rounds.
        modules: What is imported, as after ``import``.
    """
    samples: dict[str, list[tuple[float, int]]] = {name: [] for name in ("", *modules)}
    for _ in range(_SETTLED + times):
        for name, found in samples.items():
            found.append(_import(f"import {name}" if name else ""))
    nothing = Spread.of([seconds for seconds, _ in samples.pop("")[_SETTLED:]]).p50
    return [
        Entry(
            name=name,
            seconds=Spread.of([max(0.0, seconds - nothing) for seconds, _ in found[_SETTLED:]]),
            memory_mib=max(memory for _, memory in found) / 1024,
        )
        for name, found in samples.items()
    ]


def _import(statement: str) -> tuple[float, int]:
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/session/python"))
    environment = {**os.environ, "PYTHONPATH": path, "AWS_REGION": "us-east-1", "POWERTOOLS_SERVICE_NAME": "benchmark"}
    done = subprocess.run(
        [sys.executable, "-c", statement + _REPORT], env=environment, capture_output=True, text=True, check=True
    )
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), int(memory)
