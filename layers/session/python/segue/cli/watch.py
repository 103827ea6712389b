"""``watch``: holders, epochs, beats and heads, as they change."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segue.admin.listing import SessionFacts
from segue.cli.location import Place, json_option, located
from segue.cli.output import clean, output, print_json, print_table
from segue.cli.selection import Selection, selecting

COLUMNS = ("SESSION", "STATE", "HOLDER", "EPOCH", "BEAT", "HEAD", "NEW", "SILENT")


@dataclass(slots=True)
class _Seen:
    """A session at the latest look that found a change."""

    beat: int | None
    head: int | None
    at: float


class Watch:
    """Repeated look at sessions.

    Attributes:
        selection: Which.
    """

    def __init__(self, place: Place, selection: Selection) -> None:
        """Begin without a look."""
        self.selection = selection
        self._place = place
        self._seen: dict[str, _Seen] = {}

    def read_items(self) -> list[dict[str, Any]]:
        """Read all guard items: a scan of the table, and one read a session."""
        found = self._place.existing().list(ended=True)
        now = time.monotonic()
        rows = [self._row(one, now) for one in self.selection.select(found)]
        there = {one.key for one in found}
        self._seen = {key: seen for key, seen in self._seen.items() if key in there}
        return rows

    def _row(self, one: SessionFacts, now: float) -> dict[str, Any]:
        """Return what is shown of a session: its facts, records since the last look, and seconds without a beat."""
        before = self._seen.get(one.key)
        new = 0 if before is None else (one.head or 0) - (before.head or 0)
        silent_since = before.at if before is not None and before.beat == one.beat else now
        self._seen[one.key] = _Seen(one.beat, one.head, silent_since)
        facts = {name: getattr(one, name) for name in ("session", "state", "holder", "epoch", "beat", "head")}
        return {**facts, "new": new, "silent_s": round(now - silent_since, 1) if one.state == "held" else None}


@click.command()
@click.option("--interval", type=click.FloatRange(0.2, 60.0), default=2.0, help="Seconds between two looks.")
@click.option("--count", type=click.IntRange(min=1), help="Number of looks.  [default: until Ctrl-C]")
@selecting
@json_option
@located
def watch(place: Place, *, selection: Selection, interval: float, count: int | None, as_json: bool) -> None:
    """Watch sessions: who holds them, epochs, heartbeats, and records as they come.

    NEW is the number of records since the last look, SILENT the seconds for which a holder sent no heartbeat. Takes no
    lease. Each look scans the table and reads each session's item. With --json, one line a look.
    """
    watching = Watch(place, selection)
    try:
        if as_json or not sys.stdout.isatty():
            _print_looks(watching, interval, count, as_json=as_json)
            return
        with Live(console=output(), auto_refresh=False, screen=False) as live:
            for number in _looks(interval, count):
                live.update(_table_of(watching.read_items(), number), refresh=True)
    except KeyboardInterrupt:
        return


def _looks(interval: float, count: int | None) -> Any:
    number = 0
    while count is None or number < count:
        if number:
            time.sleep(interval)
        number += 1
        yield number


def _print_looks(watching: Watch, interval: float, count: int | None, *, as_json: bool) -> None:
    for _ in _looks(interval, count):
        rows, at = watching.read_items(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        if as_json:
            print_json({"at": at, "sessions": rows}, line=True)
        else:
            click.echo(at)
            print_table(COLUMNS, [list(row.values()) for row in rows], "no sessions")


def _table_of(rows: list[dict[str, Any]], look: int) -> Table:
    table = Table(*COLUMNS, box=None, pad_edge=False, header_style="bold", caption=f"look {look}, Ctrl-C ends")
    for row in rows:
        table.add_row(*(Text("" if cell is None else clean(str(cell))) for cell in row.values()))
    return table
