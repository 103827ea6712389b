"""Errors of workers as a terminal shows them: one line each, from the JSON lines of a worker's log."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from local.processes.children import Child

FOLLOW_SECONDS = 0.5
AGAIN_SECONDS = 10.0
"""The same error is not shown again within this time: a tool in a loop must not drive the terminal."""

SHOWN = frozenset({"ERROR", "CRITICAL"})
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_LIBRARY = re.compile(r"/(?:site-packages|lib/python3\.\d+)/")


def error_line(line: str) -> str | None:
    """Return what a line of the log has to tell a person, None if nothing."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("level") not in SHOWN:
        return None
    parts = [str(fields.get("message", ""))]
    if fields.get("tool"):
        parts.append(f"tool {fields['tool']}")
    parts += _of_exception(str(fields.get("exception") or ""))
    if fields.get("at"):
        parts.append(f"at {fields['at']} ({fields.get('code', '')})" if fields.get("code") else f"at {fields['at']}")
    return ": ".join(part for part in parts if part)


def _of_exception(text: str) -> list[str]:
    """The exception's last line, and the innermost place that is no library's."""
    if not text:
        return []
    places = [f"{path}:{line}" for path, line in _FRAME.findall(text) if not _LIBRARY.search(path)]
    last = text.strip().splitlines()[-1].strip()
    return [last, *([f"at {places[-1]}"] if places else [])]


class ErrorLines:
    """Reader of a worker's log as it grows.

    Args:
        show: Takes text for the terminal.
        clock: Seconds.
    """

    def __init__(self, show: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._show = show
        self._clock = clock
        self._incomplete = b""
        self._shown: dict[str, float] = {}

    def feed(self, chunk: bytes, name: str, log: Any) -> None:
        """Take what was written.

        Args:
            chunk: Bytes of the log, where the last ones ended.
            name: The worker's.
            log: Path of its log.
        """
        *lines, self._incomplete = (self._incomplete + chunk).split(b"\n")
        for line in lines:
            text = error_line(line.decode(errors="replace"))
            if text is None or self._clock() - self._shown.get(text, -AGAIN_SECONDS) < AGAIN_SECONDS:
                continue
            self._shown[text] = self._clock()
            self._show(f"{name}: {text}; log: {log}")


async def follow(child: Child, name: str, show: Callable[[str], None]) -> None:
    """Show a worker's errors until it has ended.

    Args:
        child: The worker's process.
        name: Its id.
        show: Takes text for the terminal.
    """
    lines = ErrorLines(show, asyncio.get_running_loop().time)
    with child.log.open("rb") as log:
        while True:
            running = child.exit_code is None
            lines.feed(log.read(), name, child.log)
            if not running:
                return
            await asyncio.sleep(FOLLOW_SECONDS)
