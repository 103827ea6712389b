"""Messages for clients: one or several frames, and what is left of a frame that is too large.

JSON      {…} or […]: frames
binary    2 bytes, header, samples: one frame of audio, for clients that read it (``segue.wire.binary``)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from segue.wire.binary import encode_binary
from segue.wire.cutting import encode_remnant
from segue.wire.frames import AudioOutput, FrameError, ServerFrame, encode_batch
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


def encode_messages(frames: Sequence[ServerFrame], connection_id: str) -> Iterator[bytes]:
    """Encode frames for a client that reads audio in binary messages, in order: a message for each piece of audio.

    Args:
        frames: As many as ``segue.wire.frames.fitting`` allows.
        connection_id: The connection's id, for the log line.
    """
    if len(frames) == 1:  # as nearly always
        yield _audio_message(frames[0], connection_id)
        return
    for is_audio, alike in groupby(frames, lambda frame: isinstance(frame, AudioOutput)):
        if is_audio:
            yield from (_audio_message(frame, connection_id) for frame in alike)
        else:
            yield encode_message(list(alike), connection_id)


def is_binary(message: bytes) -> bool:
    """Return true for a binary message: it begins with the length of a short header, JSON with a bracket."""
    return not message.startswith((b"{", b"["))


def _audio_message(frame: ServerFrame, connection_id: str) -> bytes:
    if isinstance(frame, AudioOutput):
        try:
            return encode_binary(frame)
        except FrameError:
            pass  # too large: what is left of it is JSON
    return encode_message([frame], connection_id)
