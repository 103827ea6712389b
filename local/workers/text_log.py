"""The text function's log: the emulator's log group, copied into a file; its errors are shown as those of workers are.

emulator ── every 2 s, what is new ──▶ logs/text-function.log ──▶ error_lines ──▶ terminal
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from local.deployment import text_function
from local.errors import LocalError
from local.workers.error_lines import ErrorLines
from segue.storage.answers import AWS_ERRORS

NAME: Final = "text function"
FILE: Final = "text-function.log"
POLL_SECONDS: Final = 2.0

_UNPACKED: Final = re.compile(rb'[^" ]*/ministack-lambda-[^/" ]+/code/')
"""Folder into which the emulator unpacks a function: people know its files by the folder in the checkout."""

type Events = Sequence[Mapping[str, Any]]

logger = logging.getLogger(__name__)


class TextLog:
    """Copies events into a file, each once, and shows the errors among them.

    Args:
        fetch: Returns the events from a time on, in milliseconds since 1970.
        log: The file.
        show: Takes text for the terminal.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        fetch: Callable[[int], Events],
        log: Path,
        show: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._log = log
        self._errors = ErrorLines(show, now)
        self._since = int(now() * 1000)
        self._seen: set[str] = set()

    def copy(self) -> None:
        """Take what is new. The emulator writes the stream of an invocation whole, once that has ended."""
        events = self._fetch(self._since)
        new = [event for event in events if event["logStreamName"] not in self._seen]
        if not new:
            return
        self._since = max(event["timestamp"] for event in events)
        self._seen = {event["logStreamName"] for event in events}
        lines = "".join(f"{event['message']}\n" for event in new).encode()
        with self._log.open("ab") as file:
            file.write(lines)
        self._errors.feed(_UNPACKED.sub(b"functions/", lines), NAME, self._log)


async def follow(endpoint: str, folder: Path, show: Callable[[str], None]) -> None:
    """Show the text function's errors until cancelled.

    Args:
        endpoint: URL of the emulator.
        folder: Where the logs are.
        show: Takes text for the terminal.
    """
    log: TextLog | None = None
    (folder / FILE).unlink(missing_ok=True)  # of an earlier run
    while True:
        try:
            if log is None:
                fetch = await asyncio.to_thread(text_function.log_events, endpoint)
                log = TextLog(fetch, folder / FILE, show)
            await asyncio.to_thread(log.copy)
        except (*AWS_ERRORS, LocalError, OSError) as error:  # the emulator is busy: what was logged is there later
            logger.debug("the text function's log was not read: %s", error)
        await asyncio.sleep(POLL_SECONDS)
