"""Facts of a running stack, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

LABELS = {
    "websocket_url": "WebSocket URL",
    "direct_url": "direct URL",
    "endpoint_url": "AWS endpoint",
    "browser_url": "for browsers",
    "bucket": "bucket",
    "lock_table": "lock table",
    "connections_table": "connections table",
    "claims_queue_url": "claims queue",
    "logs": "logs",
    "token": "token",
}


def print_facts(facts: dict[str, Any], console: Console | None = None) -> None:
    """Print where things are and how the workers do."""
    console = console or Console()
    for name, label in LABELS.items():
        if name not in facts:
            continue
        # Plain lines: a table would cut addresses to the width of the terminal.
        console.print(f"[bold]{label:<18}[/]{escape(str(facts[name]))}", soft_wrap=True, highlight=False)
    workers = Table(
        "worker", "pid", "state", "sessions", "version", box=None, padding=(0, 2, 0, 0), header_style="bold"
    )
    for worker in facts["workers"]:
        state = worker["state"] if worker["answers"] or worker["state"] != "running" else "does not answer"
        sessions = "" if worker["sessions"] is None else str(worker["sessions"])
        workers.add_row(worker["id"], str(worker["pid"]), state, sessions, worker["version"])
    console.print(workers)


def print_link(link: str, console: Console | None = None) -> None:
    """Print where to click and talk."""
    console = console or Console()
    console.print(f"\n[bold]talk in a browser[/]: {escape(link)}", soft_wrap=True, highlight=False)
    console.print("[dim]the link signs in once; .venv/bin/python -m local link prints another[/]", soft_wrap=True)
