"""Words into the microphone's file, and out of what the page plays."""

from __future__ import annotations

import wave
from pathlib import Path

from segue.testing.offline import Ear, speak

RATE = 48_000
"""Samples a second of the microphone's file: the browser's own, so that nothing is lost on the way."""

LEAD_SECONDS = 0.5

QUIET_SECONDS = 1.0
"""Seconds without any sound after which an answer is over."""


def write(file: Path, text: str) -> None:
    """Put words into the file; nothing if there are none. The next microphone that is opened says them."""
    pcm = bytes(2 * int(RATE * LEAD_SECONDS)) + speak(text, RATE) + bytes(2 * RATE // 2)
    scratch = file.with_suffix(".new")
    with wave.open(str(scratch), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(pcm)
    scratch.replace(file)


class Listener:
    """Understands what a page plays.

    Attributes:
        heard: What was said; None for what was damaged.
        quiet: Whether nothing was said for ``QUIET_SECONDS``.
    """

    def __init__(self) -> None:
        self.heard: list[str | None] = []
        self.quiet = False
        self._ear: Ear | None = None
        self._silent = 0.0

    def feed(self, rate: int, pcm: bytes) -> None:
        """Take the next piece."""
        if not pcm:
            return
        self._ear = self._ear or Ear(rate)
        self.heard += [each.text for each in self._ear.feed(pcm)]
        loud = len(pcm.rstrip(b"\0"))
        self._silent = (len(pcm) - loud) / (2 * rate) + (0 if loud else self._silent)
        self.quiet = self._silent >= QUIET_SECONDS
