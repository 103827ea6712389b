"""A wait for a session that another holder has: how it is told of, and what ends it early."""

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

TOLD_AFTER_S = 1.0
"""Seconds of waiting after which that is logged."""


class Holder(enum.Enum):
    """Where the holder of a session is, for one who wants it."""

    ELSEWHERE = "in another process"
    HERE = "in this process, and in use"
    RELEASED = "nowhere any more: it has just been released here"


class MakeWay(Protocol):
    """Releases a session of this process that nothing uses any more; see ``OpenHandles.make_way``."""

    def __call__(self, acquire_id: str | None, *, collect: bool) -> Awaitable[Holder]:
        """Tell where the holder is."""
        ...


class Waiting:
    """One wait. It says after a second whose holder it waits for, and at its end for how long it has waited.

    The message has it all: a program that sets up no logging shows nothing but that.
    """

    def __init__(self, session_key: str, clock: Clock, timeout: float, make_way: MakeWay | None) -> None:
        """Begin.

        Args:
            session_key: Which session.
            clock: Where time comes from.
            timeout: Seconds that are waited at most.
            make_way: Asked whether the holder is in this process; None: it is not.
        """
        self._session_key = session_key
        self._shown = shown(session_key)
        self._clock = clock
        self._began = clock.now()
        self._timeout = timeout
        self._make_way = make_way
        self._collect = True
        self._here = False
        self._told = ""

    @property
    def over(self) -> bool:
        """Whether the timeout has passed."""
        return self._clock.now() >= self._began + self._timeout

    @property
    def left(self) -> float:
        """Seconds until then."""
        return max(0.0, self._began + self._timeout - self._clock.now())

    async def released(self, held_by: GuardItem) -> bool:
        """Have the session released if its holder is in this process and nothing uses it any more."""
        if self._make_way is None:
            return False
        where = await self._make_way(held_by.acquire_id, collect=self._collect)
        self._collect = self._collect and where is Holder.ELSEWHERE  # once: it stops the process for a moment
        self._here = where is Holder.HERE
        return where is Holder.RELEASED

    def refusal(self, held_by: GuardItem) -> SessionHeld:
        """The error for a wait that has come to nothing."""
        return SessionHeld(held_by.holder or "?", held_by.epoch, self._session_key, shown=self._shown, here=self._here)

    def held(self, held_by: GuardItem) -> None:
        """Go on waiting for a holder."""
        if self._here:
            self._tell(f"is held by another session manager of this process at epoch {held_by.epoch}, close that")
        else:
            self._tell(f"is held by {held_by.holder or '?'} at epoch {held_by.epoch}")

    def unanswered(self) -> None:
        """Go on waiting for storage."""
        self._tell("cannot be acquired yet, storage does not answer")

    def ended(self) -> None:
        """Tell for how long has been waited, if waiting was told of."""
        if self._told:
            waited = self._clock.now() - self._began
            facts = {"session": self._session_key, "seconds": round(waited, 1)}
            logger.warning("session %s %s: waited %.1f s", self._shown, self._told, waited, extra=facts)

    def _tell(self, why: str) -> None:
        waited = self._clock.now() - self._began
        if waited >= TOLD_AFTER_S and why != self._told:
            self._told = why
            logger.warning(
                "session %s %s: waiting for %.0f s, up to %.0f s",
                *(self._shown, why, waited, self._timeout),
                extra={"session": self._session_key, "seconds": round(waited, 1)},
            )
