"""``python -m tests.conformance --client 'node my_client.js'``: judge a client of the wire protocol."""

from __future__ import annotations

import asyncio
import sys

import click

from tests.conformance.cases import read_cases
from tests.conformance.running import judge


@click.command()
@click.option("--client", required=True, help="The command that starts the program; see docs/clients.md.")
@click.option("--case", "names", multiple=True, help="Play this case; all if left out.")
@click.option("--list", "listing", is_flag=True, help="Name the cases and play none.")
def main(*, client: str, names: tuple[str, ...], listing: bool) -> None:
    """Play a scripted server against a client, and judge what it says and shows."""
    cases = [case for case in read_cases() if not names or case.name in names]
    if listing:
        for case in cases:
            print(f"{case.name:28} {case.about}")
        return
    verdict = asyncio.run(judge(client, cases))
    for case in cases:
        if case.name in verdict.skipped:
            print(f"skipped  {case.name}: it cannot {', '.join(sorted(verdict.skipped[case.name]))}")
            continue
        print(f"{'FAILED ' if verdict.faults[case.name] else 'passed '}  {case.name}")
        for fault in verdict.faults[case.name]:
            print(f"         {fault}")
    print(
        f"{verdict.client}: {len(verdict.faults) - len(verdict.failed)} passed, {len(verdict.failed)} failed, ", end=""
    )
    print(f"{len(verdict.skipped)} skipped")
    sys.exit(bool(verdict.failed))


main()
