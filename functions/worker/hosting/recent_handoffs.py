"""Sessions that were released a moment ago to a successor that has them ready.

    released ─▶ the successor is told ─▶ forgotten here ── a frame comes ──▶ 410 handed_over
                        └──────────────── some tens of milliseconds ─▶ acquired there

Without this a frame in between found no session here and none on the lease. Its sender then claimed the session for
another worker, which was sometimes quicker and had to start its model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Final

from segue.bounded import BoundedDict

ACQUIRED_SECONDS: Final = 2.0
"""Seconds within which a successor acquires the session. After them it is claimed as any other."""

REMEMBERED: Final = 4096
"""Keys and tokens of sessions that are remembered; one that is forgotten is claimed as any other. More than a worker
hands over in ``ACQUIRED_SECONDS``."""


class RecentHandoffs:
    """Handoffs, remembered for as long as their successors may take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none.

        Args:
            clock: Seconds.
        """
        self._clock = clock
        self._noted_at: BoundedDict[Hashable, float] = BoundedDict(REMEMBERED)

    def note_handoff(self, *names: Hashable) -> None:
        """Note a session by all its names."""
        for name in names:
            self._noted_at[name] = self._clock()

    def __contains__(self, name: Hashable) -> bool:
        """Return true if the session with this name was handed over a moment ago."""
        return self._clock() - self._noted_at.get(name, -math.inf) < ACQUIRED_SECONDS
