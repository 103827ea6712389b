"""The report: what was expected, what came, and which page explains a difference."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape


class State(StrEnum):
    """Relation of what came to what was expected."""

    WELL = "well"
    """As expected."""
    SLOW = "slow"
    """As expected, and later."""
    KNOWN = "known"
    """Not as on AWS; the local emulator is known for it."""
    SKIPPED = "skipped"
    """Not tried; the line says why."""
    DIFFERS = "differs"
    """Not as expected."""


COLOURS = {
    State.WELL: "green",
    State.SLOW: "yellow",
    State.KNOWN: "cyan",
    State.SKIPPED: "cyan",
    State.DIFFERS: "bold red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the report.

    Attributes:
        step: The part of the story.
        expected: The outcome of a deployment that is well.
        came: The outcome of this one.
        state: How the two compare.
        page: The page that explains a difference, from the repository's root.
        figures: Measured values by name, times in milliseconds.
    """

    step: str
    expected: str
    came: str
    state: State
    page: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """All lines, and where and when they were written.

    Attributes:
        url: The deployment's address.
        session: The session that was used.
        lines: In the order of the story.
        notes: Steps that are left to the reader, such as the command that deletes the session.
    """

    url: str
    session: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def well(self) -> bool:
        """True if nothing differs."""
        return all(line.state is not State.DIFFERS for line in self.lines)

    def facts(self) -> dict[str, Any]:
        """The report for a script."""
        return {
            "began": self.began.isoformat(timespec="seconds"),
            "host": urlsplit(self.url).netloc,
            "session": self.session,
            "segue": version("segue"),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "well": self.well,
            "lines": [asdict(line) for line in self.lines],
            "notes": self.notes,
        }

    def show(self, console: Console) -> None:
        """Print the report for people."""
        facts = self.facts()
        head = ("began", "host", "session", "segue", "python", "machine")
        _print(console, ", ".join(f"{name} {facts[name]}" for name in head))
        console.print()
        for line in self.lines:
            console.print(
                f"[{COLOURS[line.state]}]{line.state.value:<8}[/][bold]{escape(line.step)}[/]: {escape(line.came)}",
                highlight=False,
                soft_wrap=True,
            )
            if line.state is not State.WELL:
                _print(console, f"{'':<8}expected: {line.expected}")
                _print(console, f"{'':<8}see {line.page}")
        console.print()
        counts = Counter(line.state for line in self.lines)
        _print(console, ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state]))
        for note in self.notes:
            _print(console, note)


def _print(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles of measured times, in milliseconds, each a time that was measured."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    places = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[min(last, int(part * len(ordered)))] * 1000, 1) for name, part in places.items()}


def in_words(figures: dict[str, float]) -> str:
    """Percentiles as a reader wants them."""
    return ", ".join(f"{name} {value:.0f} ms" for name, value in figures.items())
