"""The memory that kept frames take: a bound on their number alone bounds none of it.

A frame has up to 32 KB on the wire, and a text with one emoji in it takes four bytes a character in Python.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec

from segue.wire.client_frames import AudioInput, ClientFrame
from segue.wire.server_frames import AudioOutput, ServerFrame

FRAME_BYTES: Final = 200
"""Bytes of a frame beside its content, roughly."""

AUDIO_FRAME_BYTES: Final = FRAME_BYTES + 200
"""Bytes of a frame of audio beside its samples, roughly: with the heads of two texts, and a trace."""


_AUDIO: Final = (AudioInput, AudioOutput)


def kept_bytes(frame: ClientFrame | ServerFrame) -> int:
    """Return the bytes that a frame takes while it is kept, roughly."""
    if isinstance(frame, _AUDIO):  # nearly all frames, several times each
        return AUDIO_FRAME_BYTES + len(frame.audio)
    return FRAME_BYTES + sum(map(_content, msgspec.structs.astuple(frame)))


def _content(value: Any) -> int:
    match value:
        case str():
            return sys.getsizeof(value)
        case None | bool() | int() | float():
            return 0
        case _:
            return len(msgspec.json.encode(value))
