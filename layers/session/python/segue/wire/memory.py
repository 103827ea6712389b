"""The memory that kept frames take: a bound on their number alone bounds none of it.

A frame has up to 32 KB on the wire, and a text with one emoji in it takes four bytes a character in Python.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec

from segue.wire.client_frames import ClientFrame
from segue.wire.server_frames import ServerFrame

FRAME_BYTES: Final = 200
"""Of a frame beside its content, roughly."""


def kept_bytes(frame: ClientFrame | ServerFrame) -> int:
    """Return the bytes that a frame takes while it is kept, roughly."""
    return FRAME_BYTES + sum(map(_content, msgspec.structs.astuple(frame)))


def _content(value: Any) -> int:
    match value:
        case str():
            return sys.getsizeof(value)
        case None | bool() | int() | float():
            return 0
        case _:
            return len(msgspec.json.encode(value))
