"""The figures as tables, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.measuring import prices
from benchmarks.measuring.figures import Cell, Crowd, Handover, Load, Restore, Run, Spread
from benchmarks.measuring.targets import Verdict, verdicts
from benchmarks.sessions.managers import LABELS

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


class Table(msgspec.Struct, kw_only=True):
    """A table, with what there is to know about it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: bool = False
    """True if its cells are words rather than figures."""
    detail: bool = False
    """True if it only explains another table; the terminal shows it, the page does not."""


def tables(run: Run) -> Iterator[Table]:
    """All tables of a run."""
    if run.cells:
        yield from _managers(run)
    if run.handover:
        yield _handover(run.handover)
    if run.crowd:
        yield _crowd(run.crowd)
    yield _verdicts(verdicts(run))


def _managers(run: Run) -> Iterator[Table]:
    names = list(dict.fromkeys(cell.manager for cell in run.cells))
    lengths = sorted({cell.length for cell in run.cells})
    cells = {(cell.manager, cell.length): cell for cell in run.cells}

    def grid(
        title: str,
        note: str,
        show: Callable[[Cell], str],
        only: Callable[[str], bool] = lambda _: True,
        *,
        detail: bool = False,
    ) -> Table:
        columns_shown = [name for name in names if only(name)]
        rows = [
            [f"{length:,}", *(show(cells[name, length]) if (name, length) in cells else "" for name in columns_shown)]
            for length in lengths
        ]
        columns = ["messages", *(LABELS[name] for name in columns_shown)]
        return Table(title=title, note=note, columns=columns, rows=rows, detail=detail)

    keeps_history = lambda name: name != "none"  # noqa: E731
    yield grid(
        "Event loop stall for each text message, ms: p50 / p99 / max",
        "How late the ticker woke, at worst, while the message was added and until it was durable.",
        lambda cell: _of(cell.texts, lambda load: _spread(load.stall)),
    )
    yield grid(
        "The machine's own part of it, ms: p50 / p99 / max",
        "The same just after each message, for as long, with nothing to do.",
        lambda cell: _of(cell.texts, lambda load: _spread(load.idle) if load.idle else ""),
        detail=True,
    )
    yield grid(
        "Event loop stall for each turn, ms: p50 / p99 / max",
        "A turn is a text message and the transcript that answers it, streamed in pieces: two messages.",
        lambda cell: _of(cell.turns, lambda load: _spread(load.stall)),
    )
    yield grid(
        "The machine's own part of that, ms: p50 / p99 / max",
        "",
        lambda cell: _of(cell.turns, lambda load: _spread(load.idle) if load.idle else ""),
        detail=True,
    )
    yield grid(
        "Longest turn of the event loop for each text message, ms: p50 / p99 / max",
        "What runs on the loop itself; waiting for the interpreter's lock between turns is not part of it.",
        lambda cell: _of(cell.texts, lambda load: _spread(load.turn)),
        detail=True,
    )
    yield grid(
        "From `agent.send` to the model, ms: p50 / p99",
        "",
        lambda cell: _of(cell.texts, lambda load: f"{_ms(load.to_model.p50)} / {_ms(load.to_model.p99)}"),
    )
    yield grid(
        "Text messages, one at a time: requests, bytes and cost",
        "S3 requests + DynamoDB requests for each message · bytes put to S3, as times the message's own JSON · "
        f"US dollars for a million messages ([prices]({prices.PAGE})).",
        lambda cell: _of(cell.texts, _price),
        keeps_history,
    )
    yield grid(
        "Streamed turns: requests, bytes and cost", "The same.", lambda cell: _of(cell.turns, _price), keeps_history
    )
    yield grid(
        "A burst, all messages at once: requests, bytes and cost",
        'The same, then messages a second until all were durable. With `"await"` Strands adds one message after '
        "the other, each when the one before is durable.",
        lambda cell: _of(cell.burst, lambda load: f"{_price(load)} · {load.messages / load.seconds:,.0f}/s"),
        keeps_history,
    )
    yield grid(
        "Restore",
        "Time until the agent has its history, ms (the same reads by a bare HTTP client) · the longest of it that the "
        "event loop did not turn · peak of memory, MB.",
        lambda cell: (
            ""
            if cell.restore is None
            else f"{_ms(cell.restore.ms)}{_bare(cell.restore)} · {_ms(cell.restore.stall)} · {cell.restore.peak_mb:.1f}"
        ),
        keeps_history,
    )


def _handover(handover: Handover) -> Table:
    rows = [
        ("acquire a new session", handover.acquire_new),
        (f"acquire and restore {handover.history} messages", handover.acquire),
        ("commit a message", handover.commit),
        ("handoff: close in one process, open in the other", handover.handoff),
        ("of this, until it was released", handover.release),
        ("takeover, holder killed, its address refuses", handover.takeover_killed),
        (f"takeover, holder stopped, lease {handover.lease_ms / 1000:g} s", handover.takeover_stopped),
    ]
    return Table(
        title="From hand to hand, ms",
        note=f"Of {handover.takeover_stopped.count} stopped holders, woken again, {handover.fenced} were fenced at "
        "their next commit.",
        columns=["", "p50", "p99", "max", "times"],
        rows=[[name, _ms(each.p50), _ms(each.p99), _ms(each.max), str(each.count)] for name, each in rows],
    )


def _crowd(crowd: Crowd) -> Table:
    return Table(
        title=f"{crowd.sessions:,} sessions open in one process",
        note=f"Watched for {crowd.seconds:.0f} s; a lease is {crowd.lease_s:g} s, a heartbeat every "
        f"{crowd.heartbeat_s:g} s.",
        columns=["", ""],
        rows=[
            ["processor", f"{crowd.cpu:.0%} of one core"],
            ["memory a session, with its agent", f"{crowd.kb_each:.0f} KB"],
            ["threads", str(crowd.threads)],
            ["heartbeats a second", f"{crowd.beats / crowd.seconds:.0f}"],
            ["heartbeat begun late, ms: p50 / p99 / max", _spread(crowd.late)],
            ["between two renewals of a session, s: p50 / p99 / max", _spread(crowd.interval)],
            ["event loop stall, every tick, ms: p50 / p99 / max", _spread(crowd.stall)],
            ["leases not fresh at the end", str(crowd.lost)],
            ["opening all, s", f"{crowd.open_s:.1f}"],
        ],
    )


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    return Table(
        title="Against the targets",
        words=True,
        columns=["figure", "target", "measured", ""],
        rows=[[each.figure, each.target, each.measured, "met" if each.met else "**missed**"] for each in verdicts],
    )


def show(run: Run) -> None:
    """Print all tables."""
    console = Console(width=None if Console().is_terminal else 160)
    console.print(_caption(run), highlight=False)
    for table in tables(run):
        rich_table = RichTable(title=_plain(table.title), caption=_plain(table.note) or None, title_justify="left")
        for number, column in enumerate(table.columns):
            rich_table.add_column(_plain(column), justify="left" if number == 0 or table.words else "right")
        for row in table.rows:
            rich_table.add_row(*map(_plain, row))
        console.print(rich_table, highlight=False)


def markdown(run: Run) -> str:
    """Return the tables of the page as Markdown."""
    parts = [_caption(run)]
    for table in (one for one in tables(run) if not one.detail):
        lines = [
            " | ".join(["", *table.columns, ""]).strip(),
            "|".join(["", "---", *("---" if table.words else "--:" for _ in table.columns[1:]), ""]),
            *(" | ".join(["", *row, ""]).strip() for row in table.rows),
        ]
        parts += [f"### {table.title}", *([table.note] if table.note else []), "\n".join(lines)]
    return "\n\n".join(parts)


def write(run: Run, page: Path) -> None:
    """Write the tables between the marks of a page.

    Raises:
        ValueError: The page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    page.write_text(f"{head}{BEGIN}\n\n{markdown(run)}\n\n{END}{tail}", encoding="utf-8")


def _caption(run: Run) -> str:
    took = f"{run.seconds / 60:.0f} min" if run.seconds > 120 else f"{run.seconds:.0f} s"
    return f"{run.date}, {run.machine}; {run.delay_ms:g} ms added to each request; the run took {took}."


def _of(load: Load | None, show: Callable[[Load], str]) -> str:
    return "" if load is None else show(load)


def _price(load: Load) -> str:
    s3, dynamodb = load.traffic.count("s3") / load.messages, load.traffic.count("dynamodb") / load.messages
    written = load.traffic.s3_written
    return (
        f"{s3:.2f} + {dynamodb:.2f} · {written / load.own_bytes:,.1f}x · "
        f"${prices.dollars(load.traffic) / load.messages * 1e6:,.2f}"
    )


def _bare(restore: Restore) -> str:
    return "" if restore.bare_ms is None else f" ({_ms(restore.bare_ms)})"


def _spread(spread: Spread) -> str:
    return f"{_ms(spread.p50)} / {_ms(spread.p99)} / {_ms(spread.max)}"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _plain(text: str) -> str:
    return text.replace("**", "").replace("`", "").replace("[", r"\[")
