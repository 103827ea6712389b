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
        self._played_bytes = 0  # bytes of the first of these that were taken
        self._played: deque[tuple[AudioOutput, int, int]] = deque(maxlen=REMEMBERED)

    def add(self, frame: AudioOutput) -> None:
        """Play a frame behind the others."""
        with self._lock:
            self._waiting.append((frame, frame.pcm))

    def take(self, size: int) -> bytes:
        """Return so many bytes to play next; silence if there is nothing."""
        played = bytearray()
        with self._lock:
            while self._waiting and len(played) < size:
                frame, pcm = self._waiting[0]
                piece = pcm[self._played_bytes : self._played_bytes + size - len(played)]
                self._played_bytes += len(piece)
                played += piece
                self._played.append((frame, self._played_bytes, len(piece)))
                if self._played_bytes >= len(pcm):
                    self._waiting.popleft()
                    self._played_bytes = 0
        return bytes(played.ljust(size, b"\0"))

    def stop(self, unheard_seconds: float) -> tuple[AudioOutput | None, float]:
        """Play nothing of what waits.

        Args:
            unheard_seconds: What the device has taken and not played yet.

        Returns:
            The last frame of which anything was heard, and milliseconds of it.
        """
        with self._lock:
            self._waiting.clear()
            self._played_bytes = 0
            pieces = list(self._played)
            self._played.clear()
        unheard: float = unheard_seconds
        for frame, end, size in reversed(pieces):
            second = SAMPLE_BYTES * frame.rate
            if unheard * second < size:
                return frame, (end - unheard * second) / second * 1000
            unheard -= size / second
        return None, 0.0


@contextlib.contextmanager
def open_sound(
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

    def on_input(data: Any, *_: object) -> None:
        loop.call_soon_threadsafe(on_heard, bytes(data))

    def on_output(data: Any, *_: object) -> None:
        data[:] = player.take(len(data))

    common = {"channels": 1, "dtype": "int16"}
    input_rate, output_rate = formats.input.rate, formats.output.rate
    try:
        with (
            card.RawOutputStream(
                samplerate=output_rate, blocksize=int(output_rate * PLAYED_SECONDS), callback=on_output, **common
            ) as loudspeaker,
            card.RawInputStream(
                samplerate=input_rate, blocksize=int(input_rate * HEARD_SECONDS), callback=on_input, **common
            ),
        ):
            yield lambda: float(loudspeaker.latency)
    except card.PortAudioError as error:
        command = ".venv/bin/python -m local chat"
        msg = f"no microphone or loudspeaker can be used ({error}): connect one, or type: {command}."
        raise LocalError(msg) from None
