"""The report for people: one line a finding, and below it the command that mends it."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from infra.preflight.findings import Finding, State

COLOURS = {State.WELL: "green", State.SHORT: "yellow", State.UNKNOWN: "cyan", State.FAILS: "bold red"}
MEANINGS = {
    State.WELL: "as needed",
    State.SHORT: "deploys, with less than the settings say",
    State.UNKNOWN: "could not be asked",
    State.FAILS: "the deployment or the first call fails",
}


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Print all findings and how many there are of each kind."""
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
