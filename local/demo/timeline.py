"""Timeline of a demo: collected while it runs, printed as a table at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Moment:
    """One line of the timeline.

    Attributes:
        at: Seconds since the story began.
        what: What happened, as a short phrase.
        detail: What was said or found.
        holder: Worker that held the session then, if that is known.
        epoch: Its epoch.
        gap: Seconds that the client waited, where it waited.
    """

    at: float
    what: str
    detail: str = ""
    holder: str | None = None
    epoch: int | None = None
    gap: float | None = None


class Timeline:
    """Moments in order, and the checks that failed."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.failures: list[str] = []
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._began

    def add(self, what: str, detail: str = "", **facts: Any) -> None:
        """Note that something happened now."""
        self.moments.append(Moment(self.now, what, detail, **facts))

    def check(self, *, holds: bool, what: str, found: object = "") -> None:
        """Note whether something that has to be true is; the story goes on either way, to show all of it."""
        if holds:
            self.add("✓ " + what)
        else:
            self.failures.append(f"{what}: found {found!r}")
            self.add("✗ " + what, repr(found))

    def print(self, console: Console) -> None:
        """Print the timeline."""
        table = Table("at", "what", "detail", "worker", "epoch", "gap", box=None, padding=(0, 2, 0, 0))
        for moment in self.moments:
            colour = {"✓": "green", "✗": "bold red"}.get(moment.what[0], "")
            table.add_row(
                f"{moment.at:6.2f} s",
                f"[{colour}]{escape(moment.what)}[/]" if colour else escape(moment.what),
                escape(moment.detail),
                moment.holder or "",
                "" if moment.epoch is None else str(moment.epoch),
                "" if moment.gap is None else f"{moment.gap * 1000:.0f} ms",
            )
        console.print(table)
