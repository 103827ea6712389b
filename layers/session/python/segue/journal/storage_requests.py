"""Requests of one session's holder, each sent until storage answers it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from segue.backoff import backoff
from segue.clock import Clock
from segue.errors import StorageUnavailable

logger = logging.getLogger(__name__)

_BACKOFF_SECONDS = (0.05, 2.0)
"""Seconds of the first and the longest pause before an identical request is sent again."""

_T = TypeVar("_T")


class StorageRequests:
    """Retries of identical requests, without end. Used on the storage loop.

    Attributes:
        answered_at: Time of storage's latest answer.
    """

    def __init__(self, clock: Clock, journal: str) -> None:
        """Begin as if storage had answered just now.

        Args:
            clock: For pauses, and the time of answers.
            journal: Root of the session's object keys, for the log.
        """
        self.answered_at = clock.now()
        self._clock = clock
        self._journal = journal

    async def until_answered(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Send the identical request until storage answers it, and return the answer.

        Raises:
            SegueError: The answer is a refusal.
        """
        pauses = backoff(*_BACKOFF_SECONDS)
        while True:
            try:
                answer = await request()
            except StorageUnavailable as error:
                logger.info("storage did not answer", extra={"journal": self._journal, "error": str(error)})
            else:
                self.answered_at = self._clock.now()
                return answer
            await self._clock.sleep(next(pauses))
