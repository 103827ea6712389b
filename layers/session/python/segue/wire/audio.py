"""Limits on the length of a piece of audio.

Every message is billed and counts against the account's rate, so pieces must not be too short. A long piece delays its
first samples. Only the last piece of an utterance may be shorter. Which piece is the last shows when another follows
it, so a short piece is refused if the one before it was short too.
"""

from typing import Final

from segue.wire.codes import FrameError

SHORTEST_SECONDS: Final = 0.02
LONGEST_SECONDS: Final = 0.25
SAMPLE_BYTES: Final = 2


class AudioLimits:
    """Checks one client's audio, in the order of its numbers: after `Receiver`."""

    def __init__(self, rate: int) -> None:
        """Begin before the first piece.

        Args:
            rate: samples a second, as `Ready` says.
        """
        self._shortest = SHORTEST_SECONDS * rate * SAMPLE_BYTES
        self._longest = LONGEST_SECONDS * rate * SAMPLE_BYTES
        self._short_before = False

    def check(self, pcm_bytes: int) -> None:
        """Check the next piece. One without samples, which its client has given up, is none.

        Args:
            pcm_bytes: how large it is, in bytes of PCM16 mono.

        Raises:
            FrameError: `bad_audio`. The piece counts as taken: its number must not keep back what follows.
        """
        if not pcm_bytes:
            return
        short = pcm_bytes < self._shortest
        if pcm_bytes > self._longest or (short and self._short_before):
            raise FrameError("bad_audio")
        self._short_before = short
