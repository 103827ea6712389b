"""Callbacks for commits, for a lost session and for refused values, each on the event loop that it came from.

Apart from the handle because callbacks may come before there is a session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVarTuple

logger = logging.getLogger(__name__)

Told = TypeVarTuple("Told")


class Listeners(Generic[*Told]):
    """Callbacks for one kind of event, called from any thread."""

    def __init__(self, of: str) -> None:
        """Begin with none.

        Args:
            of: The event that they are told of, for the log.
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
        """Call all callbacks. One that fails is logged; the others are called."""
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
