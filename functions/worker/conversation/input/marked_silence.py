"""Silence that clients mark instead of sending it, and that the model is given in its place.

    audio ─▶ marker ─▶ marker …               a client, every 2 s while its microphone is silent
                │ 300 ms │[100 ms][100 ms]…    given in real time, so much behind
                                      └ audio: nothing more is given, the client has sent what is behind

All clients' audio goes into one stream, so silence is given only while no client sends audio. See RFC 0024.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict
from segue.wire.audio import PREROLL_SECONDS

PIECE_SECONDS: Final = 0.1
"""Length of a piece of silence."""

MARKED_SECONDS: Final = 5.0
"""Seconds after a marker within which the next one has to come; then nothing more is given for that client."""

OTHERS_SECONDS: Final = 1.0
"""Seconds after a client's audio for which its next piece is waited for, and no silence is given for another client."""

LATE_SECONDS: Final = 1.0
"""Seconds of silence that are made up for after a delay. More would be given faster than real time, and is left out."""

CLIENTS: Final = 64
"""Clients that are followed; one that is forgotten is given no silence until its next marker. More do not speak at
once."""


_ROUNDING_SECONDS: Final = 1e-6
"""Seconds that sums may be off: tenths of a second do not add up exactly."""


class MarkedSilence:
    """Marked silence of one session's clients."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin without a marker.

        Args:
            now: Seconds on a clock that only goes forward.
        """
        self._now = now
        self._marked_until: BoundedDict[str, float] = BoundedDict(CLIENTS)
        self._sounded_at: BoundedDict[str, float] = BoundedDict(CLIENTS)
        self._given_until = 0.0

    def marked(self, client_id: str) -> None:
        """Note a client's marker: its microphone is silent."""
        now = self._now()
        self._expire(now)
        if not self._marked_until:
            self._given_until = now
        self._sounded_at.pop(client_id, None)
        self._marked_until[client_id] = now + MARKED_SECONDS

    def sounded(self, client_id: str) -> None:
        """Note a client's audio: its silence is over, and what is behind of it is not given."""
        now = self._now()
        self._marked_until.pop(client_id, None)
        self._sounded_at[client_id] = now
        self._given_until = now

    def drop_client(self, client_id: str) -> None:
        """Give no more silence for a client."""
        self._marked_until.pop(client_id, None)
        self._sounded_at.pop(client_id, None)

    def clear(self) -> None:
        """Give no more silence."""
        self._marked_until.clear()

    def due(self) -> float | None:
        """Seconds until the next piece is to be given, 0 for at once, None if there is no silence."""
        if not self._marked_until:
            return None
        now = self._now()
        self._expire(now)
        if not self._marked_until:
            return None
        return max(0.0, self._complete_until(now) + PREROLL_SECONDS + PIECE_SECONDS - now)

    def take_piece(self) -> bool:
        """Note that a piece is given now, if it is its time; return whether it is."""
        if (due := self.due()) is None or due > _ROUNDING_SECONDS:
            return False
        now = self._now()
        self._given_until = max(self._complete_until(now), now - PREROLL_SECONDS - LATE_SECONDS) + PIECE_SECONDS
        return True

    def _complete_until(self, now: float) -> float:
        """The time up to which the model has everything."""
        for client_id in [one for one, at in self._sounded_at.items() if at + OTHERS_SECONDS <= now]:
            del self._sounded_at[client_id]
        waits = max(self._sounded_at.values(), default=float("-inf")) + OTHERS_SECONDS - PREROLL_SECONDS
        return max(self._given_until, waits)

    def _expire(self, now: float) -> None:
        for client_id in [one for one, until in self._marked_until.items() if until <= now]:
            del self._marked_until[client_id]
