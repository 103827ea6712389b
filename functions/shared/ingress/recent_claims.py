"""Claims that were made a moment ago.

A session without a holder gets frames ten times a second, and is claimed once in a while. Only if a holder that came
since does not answer either, it is claimed at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict
from segue.wire.claims import Reason
from shared.ingress.routes import Route

QUIET_SECONDS: Final = 2.0
"""Between two claims of a session: a worker that takes one holds the session within some tenths of a second."""

REMEMBERED: Final = 2048
"""Sessions whose last claim is remembered. One that is forgotten is claimed once too often."""


class RecentClaims:
    """Claims of a moment ago, each with the holder that had failed."""

    def __init__(self, clock: Callable[[], float], quiet_seconds: float = QUIET_SECONDS) -> None:
        """Know of none.

        Args:
            clock: monotonic, in seconds.
            quiet_seconds: between two claims of a session.
        """
        self._clock = clock
        self._quiet_seconds = quiet_seconds
        self._last_claims: BoundedDict[str, tuple[float, Route | None]] = BoundedDict(REMEMBERED)

    def suffice(self, session_key: str, reason: Reason, missed: Route | None) -> bool:
        """Return true if a session was claimed a moment ago, and another claim would tell nothing new.

        Args:
            session_key: the session.
            reason: why it is claimed.
            missed: the holder that has just failed the session.
        """
        made_at, missed_then = self._last_claims.get(session_key, (-math.inf, None))
        another_died = reason == "unreachable" and missed != missed_then
        return self._clock() - made_at < self._quiet_seconds and not another_died

    def note_claim(self, session_key: str, missed: Route | None) -> None:
        """Note that a session is claimed now."""
        self._last_claims[session_key] = (self._clock(), missed)
