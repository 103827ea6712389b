"""How fast a connection may send: a token bucket for each, in this process's memory.

Best effort: API Gateway spreads the messages of one connection over as many processes as are warm, and each has buckets
of its own. It keeps one client from keeping the functions busy; what a session's holder takes from a client is limited
there, where all of the client's frames arrive.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from segue.wire.frames import FrameError

REMEMBERED: Final = 4096
"""Connections whose bucket a warm function keeps."""

WHOLE: Final = 1 - 1e-6
"""Refilling adds floats, which may leave a frame short by a rounding error."""


class FrameRate:
    """Refuses what comes too fast."""

    def __init__(self, clock: Callable[[], float], rate: float, burst: int) -> None:
        """Start with full buckets.

        Args:
            clock: monotonic, in seconds.
            rate: frames a second.
            burst: frames at once after a pause.
        """
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, sender: str) -> None:
        """Let one frame pass.

        Args:
            sender: id of the connection.

        Raises:
            FrameError: `too_fast`.
        """
        now = self._clock()
        level, at = self._buckets.get(sender, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        passes = level >= WHOLE
        self._buckets[sender] = (level - 1 if passes else level, now)
        self._buckets.move_to_end(sender)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if not passes:
            raise FrameError("too_fast")
