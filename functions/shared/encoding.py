"""Messages for clients: one or several frames, and what is left of a frame that is too large."""

from __future__ import annotations

from collections.abc import Sequence

from segue.wire.cutting import encode_remnant
from segue.wire.frames import FrameError, ServerFrame, encode_batch
from shared.log import logger


def encode_message(frames: Sequence[ServerFrame], connection_id: str) -> bytes:
    """Encode frames as one message. A frame that is too large alone is cut short: the client must get its number.

    Args:
        frames: One frame, or as many as ``segue.wire.frames.fitting`` allows.
        connection_id: API Gateway's id of the connection, for the log line.
    """
    try:
        return encode_batch(frames).encode()
    except FrameError:  # a frame that is too large stands alone
        kind = type(frames[0]).__name__
        logger.error("a frame is too large and is cut short", connection=connection_id, frame=kind)
        return encode_remnant(frames[0]).encode()
