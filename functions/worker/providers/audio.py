"""Audio between two sample rates, as a stream: what is cut into pieces sounds as if it never was."""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr

QUALITY: Final = "HQ"
"""soxr's own recommendation for 16-bit audio; delays speech by some 10 ms."""

SAMPLE_BYTES: Final = 2


class Resampler:
    """Converts PCM16 mono audio from one rate to another, piece by piece.

    The filter's state goes from piece to piece, so there is no click where they meet; what is too loud for 16 bits
    after the filter stays at the loudest value instead of wrapping around.
    """

    def __init__(self, source: int, target: int) -> None:
        """Start with silence before the first sample.

        Args:
            source: Samples a second of what is given.
            target: Samples a second of what is returned.
        """
        self._rates = source, target
        self._odd = b""
        self._stream = self._new()

    @property
    def idle(self) -> bool:
        """Whether both rates are the same, and audio passes unchanged."""
        return self._stream is None

    def convert(self, pcm: bytes) -> bytes:
        """Convert a piece. The filter keeps some milliseconds for the next piece.

        Args:
            pcm: Little-endian samples; may end in the middle of one.
        """
        if self._stream is None:
            return pcm
        pcm = self._odd + pcm
        whole = len(pcm) - len(pcm) % SAMPLE_BYTES
        self._odd = pcm[whole:]
        converted = self._stream.resample_chunk(np.frombuffer(pcm[:whole], dtype="<i2"))
        return bytes(converted.astype("<i2").tobytes())

    def finish(self) -> bytes:
        """Return what the filter has kept, and start anew."""
        if self._stream is None:
            return b""
        rest = self._stream.resample_chunk(np.zeros(0, dtype="<i2"), last=True)
        self.forget()
        return bytes(rest.astype("<i2").tobytes())

    def forget(self) -> None:
        """Start anew without what the filter has kept: after a barge-in nobody is to hear it."""
        self._odd = b""
        self._stream = self._new()

    def _new(self) -> soxr.ResampleStream | None:
        source, target = self._rates
        return None if source == target else soxr.ResampleStream(source, target, 1, dtype="int16", quality=QUALITY)
