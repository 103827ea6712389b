"""Limits of one principal and of one connection by default, whichever transport they come in by."""

from __future__ import annotations

from typing import Final

SESSIONS_PER_PRINCIPAL: Final = 20
"""Sessions of one principal at a time, by default; a further one is refused with ``too_many_sessions``."""

FRAMES_PER_SECOND: Final = 150
"""Frames a second of one connection, by default; more are refused with ``too_fast``. Above what a client of the library
sends when it catches up after a pause (``SenderSettings.rate``)."""

FRAME_BURST: Final = 75
"""Frames that may come at once, after a network has held them up; more are refused with ``too_fast``."""

SPOKEN_FRAMES_PER_SECOND: Final = 10
"""Frames a second of a session whose caller speaks, in pieces of 100 ms."""


def of_principal(frames: int, sessions: int) -> int:
    """Frames of all connections of one principal together: one does all it may, in the other sessions one speaks.

    Args:
        frames: of one connection: a second, or at once.
        sessions: that the principal may have open.
    """
    return frames + (sessions - 1) * SPOKEN_FRAMES_PER_SECOND
