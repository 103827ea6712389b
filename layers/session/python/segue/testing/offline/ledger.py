"""A ledger of what the offline model heard and said, for tests that count.

For development and tests. The file has one JSON object a line and may be shared by all workers of a machine:

    {"at": 1765432100.1, "event": "heard", "kind": "speech", "text": "My name is Alice", "worker": "w1", "pid": 4711}
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "speech", "garbled", "tool_result"]


@dataclass(frozen=True, slots=True)
class HeardInput:
    """One input that reached the model.

    Attributes:
        kind: Typed text, understood speech, speech that was damaged on its way, or the result of a tool.
        text: The words, None if garbled.
        at: When, in seconds since 1970.
    """

    kind: Kind
    text: str | None
    at: float


class Ledger:
    """Ledger of what was heard, in memory and, if it has a path, with everything else in a file.

    Attributes:
        heard: What was heard, in order.
    """

    def __init__(self, path: str | Path | None) -> None:
        """Begin an empty ledger.

        Args:
            path: File to append to, created if absent; None for none.
        """
        self.heard: list[HeardInput] = []
        self._path = Path(path) if path else None
        self._worker = os.environ.get("SEGUE_WORKER_ID")

    def hear(self, kind: Kind, text: str | None) -> None:
        """Keep one input."""
        heard = HeardInput(kind, text, time.time())
        self.heard.append(heard)
        self.write_line("heard", kind=kind, text=text)

    def write_line(self, event: str, **facts: Any) -> None:
        """Write one line.

        Args:
            event: What happened: "heard", "said", "started", "added", "dropped" or "stopped".
            **facts: What else is to be known, JSON-serialisable.

        Raises:
            OSError: The file cannot be written.
        """
        if self._path is None:
            return
        line = {"at": round(time.time(), 3), "event": event, **facts, "worker": self._worker, "pid": os.getpid()}
        # One write in append mode: lines of several processes stay whole.
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
