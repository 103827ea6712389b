"""The notes that the stand-in for speech is made of: how each sounds, and how it is told from the others.

For development and tests. Note ``k`` is a tone of ``k`` times 40 Hz that lasts 25 ms, so ``k`` whole cycles: notes join
without a click, and none leaks into the measure of another.
"""

from __future__ import annotations

import math
import sys
import zlib
from array import array
from collections.abc import Sequence
from functools import lru_cache

NOTES_PER_SECOND = 40
"""The pace, and in Hz the step between two possible notes."""

# D E G, then C D E G A and again: a pentatonic scale from 360 to 3200 Hz, one note for each half of a byte.
SCALE = (9, 10, 12, 16, 18, 20, 24, 27, 32, 36, 40, 48, 54, 64, 72, 80)
LOW, HIGH = 6, 8
START = (LOW, LOW, HIGH, HIGH)
STOP = (HIGH, HIGH, LOW, LOW)
NOTES = (*SCALE, LOW, HIGH)
NIBBLES = {note: nibble for nibble, note in enumerate(SCALE)}
CHECKSUM_BYTES = 4

_LOUDNESS = 8000  # of 32767: room to mix in another voice or noise without clipping
_FADE_NOTES = 0.2

_QUIET = 40  # root mean square, of 32767, below which nothing counts as a note
_CLEAR = 0.15  # share of a window's energy in one note: half a window of a note has 0.25, white noise 0.04
_TABLE_SCALE = 4096


def note_length(rate: int) -> int:
    """Samples a note lasts.

    Args:
        rate: Samples a second.

    Raises:
        ValueError: If the rate is below 8000 (the highest note has 3200 Hz) or no multiple of 40.
    """
    if rate < 8000 or rate % NOTES_PER_SECOND:
        raise ValueError(f"rate={rate}: the rate must be a multiple of {NOTES_PER_SECOND} and at least 8000")
    return rate // NOTES_PER_SECOND


def seal(payload: bytes) -> tuple[int, ...]:
    """Turn bytes into notes: start, two notes a byte, a CRC-32 in the same way, stop."""
    sealed = payload + zlib.crc32(payload).to_bytes(CHECKSUM_BYTES)
    return (*START, *(SCALE[nibble] for byte in sealed for nibble in (byte >> 4, byte & 15)), *STOP)


def unseal(nibbles: Sequence[int]) -> str | None:
    """Turn the halves of bytes between start and stop back into text; None if the checksum says that some are wrong."""
    if len(nibbles) % 2 or -1 in nibbles or len(nibbles) <= 2 * CHECKSUM_BYTES:
        return None
    sealed = bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))
    payload, checksum = sealed[:-CHECKSUM_BYTES], sealed[-CHECKSUM_BYTES:]
    if zlib.crc32(payload).to_bytes(CHECKSUM_BYTES) != checksum:
        return None
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def play(notes: Sequence[int], length: int) -> array[int]:
    """Render notes as PCM16 samples, each of them ``length`` samples long, with soft ends."""
    samples = array("h")
    for note in notes:
        samples.extend(_wave(note, length))
    fade = round(_FADE_NOTES * length)
    for index in range(fade):
        loudness = math.sin(math.pi / 2 * index / fade) ** 2
        samples[index] = round(samples[index] * loudness)
        samples[-1 - index] = round(samples[-1 - index] * loudness)
    return samples


def loudest(window: list[int]) -> int | None:
    """Name the note that carries most of the energy of a note's worth of samples; None if it is quiet or noise."""
    energy = math.sumprod(window, window)
    if energy < _QUIET * _QUIET * len(window):
        return None
    best, found = _CLEAR * energy, None
    for note in (_likeliest(window, energy), *NOTES):
        share = power(window, note)
        if share > best:
            best, found = share, note
            if share > energy / 2:
                break  # the shares of all notes add up to one at most
    return found


def _likeliest(window: list[int], energy: float) -> int:
    """Name the note of a window that holds one alone. Measuring all notes takes ten times as long."""
    # A tone's samples times their successors add up to its energy times the cosine of the angle from one to the next.
    cosine = math.sumprod(window, window[1:] + window[:1]) / energy
    cycles = math.acos(max(-1.0, min(1.0, cosine))) / math.tau * len(window)
    return _nearest(round(cycles))


@lru_cache(maxsize=1024)
def _nearest(cycles: int) -> int:
    return min(NOTES, key=lambda note: abs(note - cycles))


def power(window: list[int], note: int) -> float:
    """Measure the part of a window's energy that one note carries."""
    cosine, sine = _tables(note, len(window))
    in_phase = math.sumprod(window, cosine) / _TABLE_SCALE
    across = math.sumprod(window, sine) / _TABLE_SCALE
    return 2 * (in_phase * in_phase + across * across) / len(window)


def little_endian(samples: array[int]) -> array[int]:
    """Swap bytes where the machine's order differs from that of PCM16 on the wire."""
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples


@lru_cache(maxsize=256)
def _tables(note: int, length: int) -> tuple[list[int], list[int]]:
    # Whole numbers: math.sumprod is several times faster on them than on floats.
    turns = [2 * math.pi * note * index / length for index in range(length)]
    cosine = [round(_TABLE_SCALE * math.cos(turn)) for turn in turns]
    sine = [round(_TABLE_SCALE * math.sin(turn)) for turn in turns]
    return cosine, sine


@lru_cache(maxsize=256)
def _wave(note: int, length: int) -> array[int]:
    # People hear high notes better, so they are played softer.
    loudness = _LOUDNESS * (LOW / note) ** 0.25
    return array("h", (round(loudness * math.sin(2 * math.pi * note * index / length)) for index in range(length)))
