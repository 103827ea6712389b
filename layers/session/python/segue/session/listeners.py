"""Callbacks that are told of something, each on the event loop that it came from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Listeners[*Told]:
    """Keeps callbacks, and calls them from any thread."""

    def __init__(self, of: str) -> None:
        """Begin with none.

        Args:
            of: What they are told of, for the log.
        """
        self._of = of
        self._callbacks: list[tuple[asyncio.AbstractEventLoop | None, Callable[[*Told], None]]] = []

    def add(self, callback: Callable[[*Told], None]) -> None:
        """Call back on the event loop that is running now, or where ``tell`` is called if none is."""
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._callbacks.append((loop, callback))

    def tell(self, *told: *Told) -> None:
        """Call all of them. One that fails keeps no other from being told."""
        for loop, callback in self._callbacks:
            try:
                if loop is None:
                    callback(*told)
                else:
                    loop.call_soon_threadsafe(callback, *told)
            except RuntimeError:
                pass  # its loop is closed
            except Exception:
                logger.exception("a callback for %s failed", self._of)
