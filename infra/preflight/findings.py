"""The answer of a check: one line of the report, and how bad it is. The report for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.markup import escape


class State(StrEnum):
    """A finding's state, from the best to the worst."""

    WELL = "well"
    """As the settings need it."""
    SHORT = "short"
    """The deployment succeeds, and something works for fewer callers or later than the settings say."""
    UNKNOWN = "unknown"
    """The caller may not ask, or no answer came: look at it by hand."""
    FAILS = "fails"
    """The deployment, or the first call after it, fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        check: The check's name, as in ``infra.preflight.run.CHECKS``.
        subject: The thing in the account that was looked at.
        state: How it stands.
        needed: The state of it that the settings need.
        found: The state of it in the account.
        mend: The command or the step that mends it; None where nothing has to be done.
        page: The page that explains it, from the repository's root.
    """

    check: str
    subject: str
    state: State
    needed: str
    found: str
    mend: str | None = None
    page: str = "docs/deploy.md"

    def facts(self) -> dict[str, Any]:
        """The finding for a script."""
        return asdict(self)


def judged(check: str, subject: str, *, holds: bool, needed: str, found: str, mend: str, **more: Any) -> Finding:
    """A finding that is well, or has a command that mends it.

    Args:
        check: The check's name.
        subject: The thing that was looked at.
        holds: True if it is as needed.
        needed: In words.
        found: In words.
        mend: The command, used if it does not hold.
        more: ``otherwise``, the state if it does not hold (default: ``State.FAILS``), and ``page``.
    """
    otherwise = more.pop("otherwise", State.FAILS)
    state = State.WELL if holds else otherwise
    return Finding(
        check=check, subject=subject, state=state, needed=needed, found=found, mend=None if holds else mend, **more
    )


COLOURS = {State.WELL: "green", State.SHORT: "yellow", State.UNKNOWN: "cyan", State.FAILS: "bold red"}
MEANINGS = {
    State.WELL: "as needed",
    State.SHORT: "deploys, with less than the settings say",
    State.UNKNOWN: "could not be asked",
    State.FAILS: "the deployment or the first call fails",
}


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print all findings, a line each and below it the command that mends it, and how many there are of each kind."""
    for each in findings:
        colour = COLOURS[each.state]
        console.print(
            f"[{colour}]{each.state.value:<8}[/]{each.check:<10} [bold]{escape(each.subject)}[/]: {escape(each.found)}",
            highlight=False,
            soft_wrap=True,
        )
        if each.mend:
            for text in (f"needed: {each.needed}", f"→ {each.mend}", f"see {each.page}"):
                console.print(f"{'':<19}{escape(text)}", highlight=False, soft_wrap=True)
    counts = Counter(each.state for each in findings)
    console.print()
    for state in State:
        if counts[state]:
            console.print(f"[{COLOURS[state]}]{counts[state]:>3} {state.value}[/] ({MEANINGS[state]})", highlight=False)
