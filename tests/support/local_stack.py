"""The local stack in a folder of its own, from ``up`` to ``down``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from infra.constants import ROOT


@contextmanager
def deployed(command: Sequence[str], *options: str) -> Iterator[dict[str, Any]]:
    """Deploy and run it; what ``up`` says of it.

    Args:
        command: ``python -m local``, with the folder.
        *options: Of ``up``.
    """
    up = [*command, "up", "--detach", "--json", *options]
    started = subprocess.run(up, cwd=ROOT, capture_output=True, text=True, timeout=320, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield json.loads(started.stdout)
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, capture_output=True, timeout=120, check=False)
