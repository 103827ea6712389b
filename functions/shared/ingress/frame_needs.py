"""Needs of a frame whose session has no holder: a claim, a wait, or neither."""

from __future__ import annotations

from typing import Final

from segue.wire.frames import AnswerInput, AudioInput, Bye, ClientFrame, Hello, ImageInput, OutputAck, TextInput

HOLDER_WAIT_SECONDS: Final = 3.0
"""Seconds that a frame waits for a holder. After it the client gets ``no_worker`` and says hello again; a longer wait
would hold up the frames behind it."""


def is_numbered(frame: ClientFrame) -> bool:
    """Return true for a frame with a number, which the holder takes once, however often it comes."""
    return not isinstance(frame, Hello | Bye) and getattr(frame, "seq", None) is not None


def needs_holder(frame: ClientFrame) -> bool:
    """Return true for a frame that a session is claimed for."""
    return not isinstance(frame, Bye | OutputAck)


def waits_for_holder(frame: ClientFrame) -> bool:
    """Return true for a frame that waits for a holder, because its client does not send it again by itself."""
    if isinstance(frame, TextInput | AudioInput | ImageInput | AnswerInput):
        return frame.seq is None
    return isinstance(frame, Hello)
