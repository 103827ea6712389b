"""The lock that keeps commits apart from what must not run beside one: a release, a deletion, another acquisition."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from segue.errors import StorageUnavailable


class CommitLock:
    """Lock of one journal's commits. While another task holds it, no commit begins. Used on the storage loop."""

    def __init__(self) -> None:
        """Begin unlocked."""
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Hold the lock within a block.

        Args:
            timeout: Seconds to wait for the commit under way; None: as long as it takes.

        Raises:
            StorageUnavailable: A commit is under way, and storage does not answer it.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._lock.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"storage has not answered the commit under way within {timeout:g} s") from None
        try:
            yield
        finally:
            self._lock.release()
