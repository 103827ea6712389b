"""Errors that a connection is told once a second at most, however many of its frames they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict

LIMITED_CODES: Final = frozenset({"expired", "too_fast"})
"""Codes of errors that tell a client as much once as fifty times. Each frame of a client that goes on gets one."""

REPEAT_SECONDS: Final = 1.0
"""Seconds after which a connection is told the same error again; repeats before that are left out."""

REMEMBERED: Final = 2048
"""Connections and codes whose last error is remembered; one that is forgotten is told again, too early."""


class RepeatedErrors:
    """Errors that connections were told a moment ago."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Know of none.

        Args:
            clock: Monotonic, in seconds.
        """
        self._clock = clock
        self._told_at: BoundedDict[tuple[str, str], float] = BoundedDict(REMEMBERED)

    def is_repeated(self, connection_id: str, code: str) -> bool:
        """Return true if an error is to be left out; one that is not counts as told now."""
        if code not in LIMITED_CODES:
            return False
        key, now = (connection_id, code), self._clock()
        last = self._told_at.get(key)
        if last is not None and now - last < REPEAT_SECONDS:
            return True
        self._told_at[key] = now
        return False
