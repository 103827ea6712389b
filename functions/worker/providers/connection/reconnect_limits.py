"""Limits on reconnections to a model: their number and their delays; beyond them it is an outage."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from shared.provider_errors import Kind

RECONNECTIONS: Final = 3
"""Lost connections within ``RECONNECTION_SECONDS`` that are taken up again; more are an outage."""

RECONNECTION_SECONDS: Final = 60.0
"""Seconds after which a lost connection is not counted any more."""

PAUSE_SECONDS: Final = 1.0
"""Seconds of a pause. The first attempt to connect again comes at once, the second after one pause, the third after
three; after throttling, after one, two and four."""

_LOST: Final = {Kind.DISCONNECTED, Kind.UNAVAILABLE, Kind.THROTTLED, Kind.CONTENT}
"""With the last some providers end the connection: another one goes on without what they refused."""


class Reconnections:
    """Limit of one conversation's lost connections."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with none.

        Args:
            now: Seconds on a clock that only goes forward.
        """
        self._now = now
        self._lost_at: deque[float] = deque(maxlen=RECONNECTIONS)

    def may_reconnect(self, kind: Kind) -> bool:
        """Return true if a connection that ended so is opened again."""
        while self._lost_at and self._now() - self._lost_at[0] > RECONNECTION_SECONDS:
            self._lost_at.popleft()
        return kind in _LOST and len(self._lost_at) < RECONNECTIONS

    def count_attempt(self, kind: Kind) -> float:
        """Count one; returns the seconds to wait before it is taken up again."""
        self._lost_at.append(self._now())
        doubled: int = 2 ** (len(self._lost_at) - 1)
        return PAUSE_SECONDS * (doubled - (kind is not Kind.THROTTLED))
