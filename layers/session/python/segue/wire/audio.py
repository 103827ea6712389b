"""Audio's loudness, and limits on the length of a piece of it.

Every message is billed and counts against the account's rate, so pieces must not be too short. A long piece delays its
first samples. Only the last piece of an utterance may be shorter. Which piece is the last shows when another follows
it, so a short piece is refused if the one before it was short too.
"""

from __future__ import annotations

from typing import Final

from segue.wire.codes import FrameError

SHORTEST_SECONDS: Final = 0.02
"""Seconds of sound in a piece at least; two shorter ones in a row are refused."""

LONGEST_SECONDS: Final = 0.25
"""Seconds of sound in a piece at most; a longer one is refused."""

SAMPLE_BYTES: Final = 2
"""Bytes of one sample of PCM16."""

QUIET_PEAK: Final = 400
"""Samples of 16 bits below this are silence: about -38 dB of full scale, below which no provider hears a voice, and
above the noise of a microphone."""

PREROLL_SECONDS: Final = 0.3
"""Seconds of marked silence that a client sends after all, before the sound that ends it. The holder gives the model
silence so much behind, and leaves out what the client sends."""

_STEP: Final = 4
"""Every fourth sample tells as well how loud a tenth of a second was."""


_TOPS: Final = range(-128, 128)
"""High bytes of samples, signed: that of a sample from 256 x top to 256 x top + 255."""

_MAY_BE_QUIET: Final = bytes(top & 0xFF for top in _TOPS if -QUIET_PEAK - 255 <= 256 * top <= QUIET_PEAK)
_IS_QUIET: Final = bytes(top & 0xFF for top in _TOPS if -QUIET_PEAK <= 256 * top <= QUIET_PEAK - 255)


def is_loud(pcm: bytes) -> bool:
    """Return true if PCM16 audio may contain speech; false for empty audio."""
    # High bytes alone decide nearly always, and a tenth of the time: a holder asks ten times a second for each caller.
    tops = pcm[1 :: SAMPLE_BYTES * _STEP]
    if tops.translate(None, _MAY_BE_QUIET):
        return True
    if not tops.translate(None, _IS_QUIET):
        return False
    samples = memoryview(pcm).cast("h")[::_STEP].tolist()
    return max(samples) > QUIET_PEAK or min(samples) < -QUIET_PEAK


class AudioLimits:
    """Limits of one client's audio, checked in the order of its numbers: after ``Receiver``."""

    def __init__(self, rate: int) -> None:
        """Begin before the first piece.

        Args:
            rate: samples a second, as ``Ready`` says.
        """
        self._shortest = SHORTEST_SECONDS * rate * SAMPLE_BYTES
        self._longest = LONGEST_SECONDS * rate * SAMPLE_BYTES
        self._short_before = False

    def check(self, pcm_bytes: int) -> None:
        """Check the next piece. One without samples, which its client has given up, is none.

        Args:
            pcm_bytes: how large it is, in bytes of PCM16 mono.

        Raises:
            FrameError: ``bad_audio``. The piece counts as taken: its number must not keep back what follows.
        """
        if not pcm_bytes:
            return
        short = pcm_bytes < self._shortest
        if pcm_bytes > self._longest or (short and self._short_before):
            raise FrameError("bad_audio")
        self._short_before = short
