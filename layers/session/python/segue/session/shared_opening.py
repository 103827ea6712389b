"""Opening a session once for all callers that ask at the same time, from any loop or thread.

Apart from the handle because counting callers needs a lock, and nothing else in the handle does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedOpening(Generic[T]):
    """One opening that several callers wait for. If all of them give up, what was opened is released."""

    def __init__(self, release: Callable[[T], None]) -> None:
        """Prepare; nothing is opened.

        Args:
            release: Releases what was opened after all callers had given up.
        """
        self._release = release
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None
        self._waiting = 0

    async def wait(self, begin: Callable[[], Future[T]]) -> T:
        """Open, or wait for the opening that is under way, without blocking the event loop.

        Args:
            begin: Begins to open.
        """
        opening = self._join(begin)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            self._give_up(opening)
            raise
        finally:
            self._leave(opening)

    def wait_sync(self, begin: Callable[[], Future[T]]) -> T:
        """The same for code without an event loop; blocks this thread."""
        opening = self._join(begin)
        try:
            return opening.result()
        except KeyboardInterrupt:
            self._give_up(opening)
            raise
        finally:
            self._leave(opening)

    def _join(self, begin: Callable[[], Future[T]]) -> Future[T]:
        with self._lock:
            if self._under_way is None:
                self._under_way = begin()
            self._waiting += 1
            return self._under_way

    def _leave(self, opening: Future[T]) -> None:
        with self._lock:
            self._waiting -= 1
            if self._under_way is opening and opening.done():
                self._under_way = None

    def _give_up(self, opening: Future[T]) -> None:
        with self._lock:
            if self._waiting > 1 or self._under_way is not opening:
                return
            self._under_way = None

        def release_unclaimed(opened: Future[T]) -> None:
            if opened.exception() is None:
                self._release(opened.result())

        opening.add_done_callback(release_unclaimed)
