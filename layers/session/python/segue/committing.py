"""Who is told of commits: callbacks, each on the event loop that it came from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

type OnCommit = Callable[[int, float], None]
"""Takes how many records were committed, and how many seconds that took."""


class Committing:
    """Keeps the callbacks, and calls them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._commit_callbacks: list[tuple[asyncio.AbstractEventLoop, OnCommit]] = []

    def on_commit(self, callback: OnCommit) -> None:
        """Call back after each commit, on the event loop that is running now: for metrics.

        What is to wait for a commit waits for ``durable``.
        """
        self._commit_callbacks.append((asyncio.get_running_loop(), callback))

    def _committed(self, records: int, seconds: float) -> None:
        for loop, callback in self._commit_callbacks:
            try:
                loop.call_soon_threadsafe(callback, records, seconds)
            except RuntimeError:
                pass  # its loop is closed: there is nobody to tell
            except Exception:
                logger.exception("a callback for commits failed")
