"""Who is told that a session is, or may be, someone else's: callbacks, each on the event loop that it came from.

Apart from the handle because it needs no session: callbacks may come before there is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Losing:
    """Keeps the callbacks, and calls them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lost_callbacks: list[Callable[[], None]] = []

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the session is, or may be, someone else's: fall silent and discard the agent.

        The callback runs on the event loop that was running when this was called, or else on the storage loop.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._lost_callbacks.append(callback)
        else:
            self._lost_callbacks.append(lambda: _call_on(loop, callback))

    def _lost(self) -> None:
        for callback in self._lost_callbacks:
            try:
                callback()
            except RuntimeError:
                pass  # its loop is closed: there is nobody to tell
            except Exception:
                logger.exception("a callback for a lost session failed")


def _call_on(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)
