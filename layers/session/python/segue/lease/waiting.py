"""Waiting for a session that another holder has: log lines, the timeout, and holders of this process."""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable
from typing import Protocol

from segue.clock import Clock
from segue.errors import SessionHeld
from segue.ids import shown
from segue.lease.item import GuardItem

logger = logging.getLogger(__name__)

TOLD_AFTER_SECONDS = 1.0
"""Seconds of waiting after which a warning is logged; a shorter wait is silent."""


class HolderLocation(enum.Enum):
    """Place of a session's holder, as a process sees it that wants the session."""

    ELSEWHERE = "in another process"
    HERE = "in this process, and in use"
    RELEASED = "nowhere any more: it has just been released here"


class ReleaseUnused(Protocol):
    """Callback that releases an unused session of this process; see ``OpenHandles.release_unused``."""

    def __call__(self, acquire_id: str | None, *, collect: bool) -> Awaitable[HolderLocation]:
        """Release the session if nothing uses it any more, and tell the holder's place."""
        ...


class AcquisitionWait:
    """One wait for a lease. Logs the holder after ``TOLD_AFTER_SECONDS``, and the duration at its end.

    The facts stand in the message: a program without a logging configuration shows only that.
    """

    def __init__(self, session_key: str, clock: Clock, timeout: float, release_unused: ReleaseUnused | None) -> None:
        """Begin.

        Args:
            session_key: The session's key.
            clock: Source of time.
            timeout: Seconds to wait, at most.
            release_unused: Releases an unused session of this process; None: this process has none.
        """
        self._session_key = session_key
        self._shown = shown(session_key)
        self._clock = clock
        self._began_at = clock.now()
        self._timeout = timeout
        self._release_unused = release_unused
        self._collect = True
        self._is_held_here = False
        self._logged = ""

    @property
    def has_timed_out(self) -> bool:
        """Tell whether the timeout has passed."""
        return self._clock.now() >= self._began_at + self._timeout

    @property
    def seconds_left(self) -> float:
        """Seconds until the timeout."""
        return max(0.0, self._began_at + self._timeout - self._clock.now())

    async def released(self, held_by: GuardItem) -> bool:
        """Release the session if its holder is in this process and nothing uses it; tell if it was released."""
        if self._release_unused is None:
            return False
        where = await self._release_unused(held_by.acquire_id, collect=self._collect)
        self._collect = self._collect and where is HolderLocation.ELSEWHERE  # once: it stops the process for a moment
        self._is_held_here = where is HolderLocation.HERE
        return where is HolderLocation.RELEASED

    def refusal(self, held_by: GuardItem) -> SessionHeld:
        """Return the error for a wait that has reached its timeout."""
        return SessionHeld(
            held_by.holder or "?", held_by.epoch, self._session_key, shown=self._shown, here=self._is_held_here
        )

    def held(self, held_by: GuardItem) -> None:
        """Go on waiting for a holder."""
        if self._is_held_here:
            self._log_waiting(
                f"is held by another session manager of this process at epoch {held_by.epoch}, close that"
            )
        else:
            self._log_waiting(f"is held by {held_by.holder or '?'} at epoch {held_by.epoch}")

    def unanswered(self) -> None:
        """Go on waiting for storage."""
        self._log_waiting("cannot be acquired yet, storage does not answer")

    def ended(self) -> None:
        """Log the duration of the wait, if its beginning was logged."""
        if self._logged:
            waited = self._clock.now() - self._began_at
            facts = {"session": self._session_key, "seconds": round(waited, 1)}
            logger.warning("session %s %s: waited %.1f s for its lease", self._shown, self._logged, waited, extra=facts)

    def _log_waiting(self, why: str) -> None:
        waited = self._clock.now() - self._began_at
        if waited >= TOLD_AFTER_SECONDS and why != self._logged:
            self._logged = why
            logger.warning(
                "session %s %s: waiting for %.0f s, up to %.0f s",
                *(self._shown, why, waited, self._timeout),
                extra={"session": self._session_key, "seconds": round(waited, 1)},
            )
