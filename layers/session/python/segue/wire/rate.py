"""Rates of frames: for a sender to keep, and for a receiver to enforce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from segue.bounded import BoundedDict
from segue.wire.codes import FrameError

FRAMES_PER_SECOND: Final = 150.0
"""Frames a second of a client, at most: 10 pieces of audio, and a backlog at the client's own pace of 100."""

FRAME_BURST: Final = 75
"""Frames that may come at once, after a network has held them up; any beyond are refused."""

_WHOLE_TOKEN: Final = 1 - 1e-6
"""Refilling adds floats: one that is short by a rounding error must not make the caller wake up in vain."""


class TokenBucket:
    """A pace: ``rate`` a second, ``burst`` at once after a pause. Time is an argument, in seconds."""

    def __init__(self, rate: float, burst: int) -> None:
        """Begin full."""
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        if self.wait(now) > 0:
            return False
        self._tokens -= 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is one."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        return 0.0 if self._tokens >= _WHOLE_TOKEN else (1 - self._tokens) / self._rate


class FrameRate:
    """Limit on the frames a second of many senders. Bounded: it remembers those who have sent last.

    One that is forgotten begins with a full bucket again, which gives it a burst more at most.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rate: float = FRAMES_PER_SECOND,
        burst: int = FRAME_BURST,
        senders: int = 4096,
    ) -> None:
        """Begin without senders.

        Args:
            clock: monotonic, in seconds.
            rate: frames a second.
            burst: frames at once after a pause.
            senders: number of senders that are remembered.
        """
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._buckets: BoundedDict[str, TokenBucket] = BoundedDict(senders)

    def admit(self, sender: str) -> None:
        """Let one frame pass.

        Args:
            sender: whose frame it is: a connection, a client, a principal.

        Raises:
            FrameError: ``too_fast``; the frame was not taken, and its sender sends it again.
        """
        bucket = self._buckets.use(sender)
        if bucket is None:
            bucket = self._buckets[sender] = TokenBucket(self._rate, self._burst)
        if not bucket.take(self._clock()):
            raise FrameError("too_fast")
