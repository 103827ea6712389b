"""Sessions that are handed over by plan, and left to their successors.

    410 handed_over ─▶ noted ── 2 s: no claim, no turn ── the successor has taken a frame: forgotten
                                                    └──── no holder still: forgotten, and claimed as any other

A claim in the gap would race the successor, which has the session ready, for a worker that has to begin anew. What a
function remembers is no more than a reason to wait: another one, or this one after its start, claims at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict

HANDOVER_SECONDS: Final = 2.0
"""Seconds for the successor to acquire the session, which takes some tenths of a second; after them the session is
claimed as any other."""

REMEMBERED: Final = 512
"""Sessions that are noted as being handed over; one that is forgotten is claimed as any other."""


class PlannedHandoffs:
    """Sessions that are left to their successors."""

    def __init__(self, clock: Callable[[], float], handover_seconds: float = HANDOVER_SECONDS) -> None:
        """Know of none.

        Args:
            clock: monotonic, in seconds.
            handover_seconds: for a successor to acquire its session.
        """
        self._clock = clock
        self._handover_seconds = handover_seconds
        self._noted_at: BoundedDict[str, float] = BoundedDict(REMEMBERED)

    def note_handoff(self, session_key: str) -> None:
        """Note that a session is handed over; one that was noted long before was another handoff."""
        now = self._clock()
        since = self._noted_at.get(session_key)
        if since is None or now - since > 2 * self._handover_seconds:
            self._noted_at[session_key] = now

    def is_noted(self, session_key: str) -> bool:
        """Return true if a session was noted, and has neither been given up as left nor come to its successor."""
        return session_key in self._noted_at

    def forget_handoff(self, session_key: str) -> None:
        """Forget a session: a holder has taken a frame of it."""
        self._noted_at.pop(session_key, None)

    def is_left_to_successor(self, session_key: str) -> bool:
        """Return true if a session is left to its successor; false, and forget it, once that has taken too long."""
        since = self._noted_at.get(session_key)
        if since is not None and self._clock() - since < self._handover_seconds:
            return True
        self._noted_at.pop(session_key, None)
        return False
