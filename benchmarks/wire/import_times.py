"""Import time and memory of each function's handler, in interpreters of their own; its byte code is there already."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.measuring.figures import Spread
from benchmarks.wire.figures import Entry
from local.settings import ROOT

MODULES: Final = (
    "gateway.authorizer",
    "gateway.connect",
    "gateway.message",
    "gateway.disconnect",
    "gateway.stopped",
    "janitor.ended",
    "janitor.again",
    "janitor.weekly",
    "turn.handler",
    "worker.app",
)
# Not getrusage: its largest memory begins with that of the process that started this one.
_REPORT: Final = """
with open("/proc/self/status", encoding="ascii") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def measure(times: int, modules: Sequence[str] = MODULES) -> list[Entry]:
    """Import each module in fresh interpreters; those that are not there are left out."""
    nothing = Spread.of([_import("")[0] for _ in range(times)]).p50
    found = []
    for module in modules:
        if not (ROOT / "functions" / (module.replace(".", "/") + ".py")).exists():
            continue
        samples = [_import(f"import {module}") for _ in range(times + 1)][1:]  # the first one compiles
        seconds = [max(0.0, took - nothing) for took, _ in samples]
        found.append(Entry(name=module, seconds=Spread.of(seconds), memory_mib=max(used for _, used in samples)))
    return found


def _import(statement: str) -> tuple[float, float]:
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/session/python"))
    environment = {**os.environ, "PYTHONPATH": path, "AWS_REGION": "us-east-1", "POWERTOOLS_SERVICE_NAME": "benchmark"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", statement + _REPORT], env=environment, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - began, int(done.stdout) / 1024
