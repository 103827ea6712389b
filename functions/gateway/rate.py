"""How fast a connection may send: a token bucket for each, in this process's memory.

Best effort: API Gateway spreads the messages of one connection over as many processes as are warm, and each has buckets
of its own. It keeps one client from keeping the functions busy; what a session's holder takes from a client is limited
there, where all of the client's frames arrive.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

REMEMBERED: Final = 4096
"""Connections whose bucket a warm function keeps."""


class Rates:
    """Buckets that hold one second's frames."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        """Start with full buckets.

        Args:
            per_second: frames that go into a bucket every second, and that it holds.
            clock: monotonic, in seconds.
        """
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, connection_id: str) -> bool:
        """Take one frame out of a connection's bucket; false if it is empty."""
        now = self._clock()
        level, at = self._buckets.get(connection_id, (float(self._per_second), now))
        level = min(float(self._per_second), level + (now - at) * self._per_second)
        taken = level >= 1
        self._buckets[connection_id] = (level - 1 if taken else level, now)
        self._buckets.move_to_end(connection_id)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return taken
