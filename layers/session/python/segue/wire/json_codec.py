"""Frames to JSON messages and back: one frame in a client's message, one or several in a server's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, get_args

import msgspec
from msgspec import Struct

from segue.wire.client_frames import ClientFrame
from segue.wire.codes import FrameError
from segue.wire.fields import MAX_FRAME_BYTES, MAX_NUMBER
from segue.wire.server_frames import Pong, ServerFrame

_CLIENT_TYPES: Final = frozenset(frame.__struct_config__.tag for frame in get_args(ClientFrame))
_client_decoder: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
_server_decoder: Final[msgspec.json.Decoder[ServerFrame]] = msgspec.json.Decoder(ServerFrame)
_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()

_STAMP_BYTES: Final = len(_encoder.encode(Pong(epoch=MAX_NUMBER, seq=MAX_NUMBER))) - len(_encoder.encode(Pong()))
"""Bytes that the largest epoch and number add to a frame that has neither."""


class _Tagged(Struct):
    type: str


_type_decoder: Final = msgspec.json.Decoder(_Tagged)


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """Return the message for a frame.

    Raises:
        FrameError: ``oversize``.
    """
    return _bounded(_encoder.encode(frame))


def encode_batch(frames: Sequence[ServerFrame]) -> str:
    """Return one message for one or several frames of the server; ``fitting`` says how many go into one.

    Raises:
        FrameError: ``oversize``.
    """
    return encode_frame(frames[0]) if len(frames) == 1 else _bounded(_encoder.encode(frames))


def fitting(frames: Iterable[ServerFrame], limit: int = MAX_FRAME_BYTES) -> int:
    """Return how many of the first frames fit into one message, with any epoch and numbers that they may get.

    At least one, if there is one; ``encode_frame`` refuses it if it is too large.

    Args:
        frames: in the order of sending; read no further than needed.
        limit: bytes of the message.
    """
    count, size = 0, 1
    for frame in frames:
        stamped = 0 if frame.seq is not None else _STAMP_BYTES
        size += len(_encoder.encode(frame)) + stamped + 1
        if count and size > limit:
            break
        count += 1
    return count


def decode_client_frame(message: bytes | str) -> ClientFrame:
    """Read what a client sent.

    Raises:
        FrameError: ``oversize``, ``bad_json``, ``unknown_type`` or ``bad_frame``; nothing else, whatever the message.
    """
    raw = _checked(message)
    try:
        return _client_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(raw, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FrameError("bad_json") from None


def decode_server_frame(message: bytes | str) -> ServerFrame | None:
    """Read one frame of a server; ``None`` if it is not protocol.

    API Gateway hands its own error messages to the client, and a newer server may say what is not known here yet.
    """
    try:
        return _server_decoder.decode(_checked(message))
    except (FrameError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_server_message(message: bytes | str) -> list[ServerFrame]:
    """Read a text message of a server: a frame, or an array of frames that waited for the same sending.

    What is not protocol is left out, in an array too.
    """
    try:
        raw = _checked(message)
        parts = _array_decoder.decode(raw) if raw.lstrip()[:1] == b"[" else [raw]
    except (FrameError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [frame for part in parts if (frame := decode_server_frame(bytes(part))) is not None]


def _bounded(message: bytes) -> str:
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    return message.decode()


def _checked(message: bytes | str) -> bytes:
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    try:
        raw = message.encode() if isinstance(message, str) else message
    except UnicodeEncodeError:
        raise FrameError("bad_json") from None
    if len(raw) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    return raw


def _invalid(raw: bytes, problem: str) -> FrameError:
    """Tell an unknown type from a wrong field: msgspec reports both alike."""
    try:
        unknown = _type_decoder.decode(raw).type not in _CLIENT_TYPES
    except msgspec.DecodeError:
        unknown = False
    return FrameError("unknown_type") if unknown else FrameError("bad_frame", problem)
