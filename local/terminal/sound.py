"""A microphone and a loudspeaker, by PortAudio (the package sounddevice, which is optional)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from local.errors import LocalError
from segue.wire.frames import AudioFormats, AudioOutput

SAMPLE_BYTES: Final = 2

HEARD_SECONDS: Final = 0.1
"""Length of a piece from the microphone."""

PLAYED_SECONDS: Final = 0.02
"""Length of a piece for the loudspeaker: a barge-in stops it after this, and what the device itself holds."""

REMEMBERED: Final = 256
"""Pieces that are remembered as played: some seconds, more than a device holds."""


def sound_card() -> Any:
    """Import sounddevice.

    Raises:
        LocalError: The package or PortAudio itself is missing.
    """
    try:
        import sounddevice  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError:
        msg = "talking needs the package sounddevice: .venv/bin/python -m pip install sounddevice, then try again."
        raise LocalError(msg) from None
    except OSError as error:
        msg = f"PortAudio is missing ({error}): install it (Debian: apt install libportaudio2), then try again."
        raise LocalError(msg) from None
    return sounddevice


class Player:
    """Plays speech, and knows how far it came. The device takes from it on a thread of its own."""

    def __init__(self) -> None:
        """Begin with nothing to play."""
        self._lock = threading.Lock()
        self._waiting: deque[tuple[AudioOutput, bytes]] = deque()
        self._begun = 0  # bytes of the first of these that were taken
        self._taken: deque[tuple[AudioOutput, int, int]] = deque(maxlen=REMEMBERED)

    def add(self, frame: AudioOutput) -> None:
        """Play a frame behind the others."""
        with self._lock:
            self._waiting.append((frame, frame.pcm))

    def take(self, size: int) -> bytes:
        """Return so many bytes to play next; silence if there is nothing."""
        taken = bytearray()
        with self._lock:
            while self._waiting and len(taken) < size:
                frame, pcm = self._waiting[0]
                piece = pcm[self._begun : self._begun + size - len(taken)]
                self._begun += len(piece)
                taken += piece
                self._taken.append((frame, self._begun, len(piece)))
                if self._begun >= len(pcm):
                    self._waiting.popleft()
                    self._begun = 0
        return bytes(taken.ljust(size, b"\0"))

    def stop(self, unheard_seconds: float) -> tuple[AudioOutput | None, float]:
        """Play nothing of what waits.

        Args:
            unheard_seconds: What the device has taken and not played yet.

        Returns:
            The last frame of which anything was heard, and milliseconds of it.
        """
        with self._lock:
            self._waiting.clear()
            self._begun = 0
            taken = list(self._taken)
            self._taken.clear()
        unheard: float = unheard_seconds
        for frame, upto, size in reversed(taken):
            second = SAMPLE_BYTES * frame.rate
            if unheard * second < size:
                return frame, (upto - unheard * second) / second * 1000
            unheard -= size / second
        return None, 0.0


@contextlib.contextmanager
def opened(
    card: Any, formats: AudioFormats, player: Player, on_heard: Callable[[bytes], object]
) -> Iterator[Callable[[], float]]:
    """Open the microphone and the loudspeaker; yields what tells the seconds that the loudspeaker holds.

    Args:
        card: The module sounddevice.
        formats: As ``Ready`` names them.
        player: Is played.
        on_heard: Called on this event loop with each piece that the microphone heard.

    Raises:
        LocalError: There is no such device.
    """
    loop = asyncio.get_running_loop()

    def heard(data: Any, *_: object) -> None:
        loop.call_soon_threadsafe(on_heard, bytes(data))

    def played(data: Any, *_: object) -> None:
        data[:] = player.take(len(data))

    common = {"channels": 1, "dtype": "int16"}
    hears, speaks = formats.input.rate, formats.output.rate
    try:
        with (
            card.RawOutputStream(
                samplerate=speaks, blocksize=int(speaks * PLAYED_SECONDS), callback=played, **common
            ) as loudspeaker,
            card.RawInputStream(samplerate=hears, blocksize=int(hears * HEARD_SECONDS), callback=heard, **common),
        ):
            yield lambda: float(loudspeaker.latency)
    except card.PortAudioError as error:
        typed = ".venv/bin/python -m local chat"
        msg = f"no microphone or loudspeaker can be used ({error}): connect one, or type: {typed}."
        raise LocalError(msg) from None
