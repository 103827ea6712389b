"""A microphone's silence: marked, instead of sent, where the holder knows the marker.

loud ─▶ quiet 1 s ─▶ marker ── 2 s ── marker …      sent
                      [ … 300 ms]                   kept, and sent before the next loud piece
"""

from __future__ import annotations

from collections import deque
from typing import Final

from segue.wire.audio import PREROLL_SECONDS, SAMPLE_BYTES, is_loud

TRAILING_SECONDS: Final = 1.0
"""Seconds of quiet audio that are sent after the last loud piece, at least: a provider has to hear where an utterance
ends."""

MARKER_SECONDS: Final = 2.0
"""Seconds of silence between two markers."""

_ROUNDING_SECONDS: Final = 1e-6
"""Seconds that sums may be off: tenths of a second do not add up exactly."""

MARKER: Final = b""
"""Stands for a marker among the pieces to send."""


class Microphone:
    """Filter of one microphone's audio. It counts the audio's own time: a muted one marks nothing."""

    def __init__(self) -> None:
        """Begin with silence that counts as the end of an utterance."""
        self._quiet = 0.0
        self._marked = float("inf")
        self._kept: deque[tuple[bytes, float]] = deque()

    def cut_pieces(self, pcm: bytes, rate: int, *, marks: bool) -> list[bytes]:
        """Take a piece, and return what to send: pieces, and ``MARKER``.

        Args:
            pcm: PCM16 mono.
            rate: samples a second.
            marks: whether the latest ``Ready`` knows markers; otherwise all is sent.
        """
        seconds = len(pcm) / SAMPLE_BYTES / rate
        if not marks or is_loud(pcm):
            before = [piece for piece, _ in self._kept]
            self._kept.clear()
            self._quiet, self._marked = 0.0, float("inf")
            return [*before, pcm]
        if self._quiet + _ROUNDING_SECONDS < TRAILING_SECONDS:
            self._quiet += seconds
            return [pcm]
        self._kept.append((pcm, seconds))
        while sum(length for _, length in self._kept) > PREROLL_SECONDS + _ROUNDING_SECONDS:
            self._kept.popleft()
        self._marked += seconds
        if self._marked + _ROUNDING_SECONDS < MARKER_SECONDS:
            return []
        self._marked = 0.0
        return [MARKER]
