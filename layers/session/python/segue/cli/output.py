"""Output of commands: tables and text for people, JSON for programs, progress on a terminal's error output."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from segue.journal.encoder import to_json
from segue.journal.values import ANY_NESTING

Advance = Callable[[int, int], None]
"""Told how much is done, and of how much."""

_WIDE = 240
"""Columns when the output is not a terminal: programs and pagers want whole lines."""

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, and those that turn the direction of writing: what a stranger said must not drive a terminal."""


def clean(text: str) -> str:
    """Return a text that is safe on a terminal."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def output() -> Console:
    """The console of the standard output, whatever that is now."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _WIDE, highlight=False, soft_wrap=not terminal)


def print_json(facts: Any, *, line: bool = False) -> None:
    """Print facts as JSON, values in them as records hold them: bytes in Strands' own form, others escaped.

    Args:
        facts: Dictionaries, lists, and what JSON has.
        line: On one line, for streams of them.
    """
    tree, escapes = to_json(facts, nesting=ANY_NESTING)
    if escapes:
        tree = {**tree, "escaped": escapes} if isinstance(tree, dict) else tree
    click.echo(json.dumps(tree, ensure_ascii=False, indent=None if line else 2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows for people.

    Args:
        columns: Their headings.
        rows: The cells; None is an empty one.
        empty: What to say if there are none, on the error output.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else clean(str(cell))) for cell in row))
    console = output()
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def iso(milliseconds: int | None) -> str | None:
    """A time as ISO 8601 in UTC, from milliseconds since 1970."""
    if milliseconds is None:
        return None
    stamp = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def iso_seconds(seconds: int) -> str | None:
    """A time as ISO 8601 in UTC without milliseconds, from seconds since 1970."""
    stamp = iso(seconds * 1000)
    return None if stamp is None else f"{stamp[:19]}Z"


@contextlib.contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Show how far a long work is, if the error output is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something is being waited for, if the error output is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(Text(clean(what))):
        yield
