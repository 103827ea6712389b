"""Guard that ends the process groups of a supervisor that died without ending them itself.

Run as ``python -m local.processes.guard`` with a pipe from the supervisor as standard input. Lines on it:

    add <process group> <layer> <grace seconds>
    remove <process group>

When the pipe closes, whatever the reason (SIGKILL included), the groups that were not removed get SIGTERM, the highest
layer first and each layer at once, and SIGKILL when their grace is over. A supervisor that stops cleanly has removed
all of them, and the guard just ends. Standard library only, so that it costs nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

POLL_SECONDS = 0.05
AFTER_KILL_SECONDS = 2.0


@dataclass(frozen=True)
class Guarded:
    """A process group to end, how late in the order, and how many seconds it gets between SIGTERM and SIGKILL."""

    group: int
    layer: int
    grace: float


def read(lines: Iterable[str]) -> dict[int, Guarded]:
    """Follow the supervisor's lines to the end and return the groups that are left."""
    groups: dict[int, Guarded] = {}
    for line in lines:
        match line.split():
            case ["add", group, layer, grace]:
                groups[int(group)] = Guarded(int(group), int(layer), float(grace))
            case ["remove", group]:
                groups.pop(int(group), None)
    return groups


def layers(groups: Iterable[Guarded]) -> list[list[Guarded]]:
    """Sort groups into the order they are ended in: highest layer first."""
    members = list(groups)
    return [
        [member for member in members if member.layer == layer]
        for layer in sorted({member.layer for member in members}, reverse=True)
    ]


def alive(group: int) -> bool:
    """Tell whether a process group has a member that is more than an unreaped entry in the process table."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{group}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def send(group: int, number: signal.Signals) -> None:
    """Signal a whole group; one that is gone already is fine."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def end(members: list[Guarded]) -> None:
    """SIGTERM to all, SIGKILL to each whose grace is over; return when all are gone or nothing more can be done."""
    for member in members:
        send(member.group, signal.SIGTERM)
    started = time.monotonic()
    give_up = max(member.grace for member in members) + AFTER_KILL_SECONDS
    remaining = members
    while remaining and time.monotonic() - started < give_up:
        time.sleep(POLL_SECONDS)
        remaining = [member for member in remaining if alive(member.group)]
        for member in remaining:
            if time.monotonic() - started >= member.grace:
                send(member.group, signal.SIGKILL)
    for member in members:
        send(member.group, signal.SIGKILL)  # what a leader that went in time has left behind in its group


def main(lines: TextIO) -> None:
    """Wait for the supervisor to go, then end what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for members in layers(read(lines).values()):
        end(members)


if __name__ == "__main__":
    main(sys.stdin)
