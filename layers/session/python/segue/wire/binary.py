"""Audio as binary messages: raw samples in place of base64, on transports that take them.

    2 bytes, big-endian   length of the header
    header                the frame's JSON without ``audio``
    the rest              PCM16, little-endian, mono

One frame a message, ``audio`` frames only, both ways. A client sends them once ``features`` of the connection's
``Ready`` name ``binary``; a server sends them to clients whose ``Hello`` said ``binary``. Text messages stay allowed
beside them.
"""

from __future__ import annotations

from typing import Annotated, Final, overload

import msgspec
from msgspec import Meta

from segue.wire.client_frames import AudioInput, ClientStruct, check_samples
from segue.wire.codes import FrameError
from segue.wire.fields import MAX_FRAME_BYTES, Seq, to_base64
from segue.wire.json_codec import decode_server_message
from segue.wire.server_frames import AudioOutput, ServerFrame, ServerStruct

LENGTH_BYTES: Final = 2
"""Bytes of the header's length."""


class AudioInputHeader(ClientStruct, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """The fields of an ``AudioInput`` but its samples."""

    seq: Seq | None = None
    silence: bool = False


class AudioSamples(AudioInput, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """An ``AudioInput`` as a binary message brings it. Where it is passed on as JSON, ``audio`` is base64 as ever."""

    audio: bytes  # type: ignore[assignment]  # msgspec writes bytes as base64, and nothing has to code them before

    def __post_init__(self) -> None:
        """Reject what ``AudioInput`` rejects."""
        check_samples(self.audio, self.seq, silence=self.silence)

    @property
    def pcm(self) -> bytes:
        """The samples, which need no decoding."""
        return self.audio

    @property
    def pcm_bytes(self) -> int:
        """Length of ``pcm``."""
        return len(self.audio)


class AudioOutputHeader(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """The fields of an ``AudioOutput`` but its samples."""

    rate: Annotated[int, Meta(gt=0)]


_encoder: Final = msgspec.json.Encoder()
_input_decoder: Final = msgspec.json.Decoder(AudioInputHeader)
_output_decoder: Final = msgspec.json.Decoder(AudioOutputHeader)


def encode_binary(frame: AudioInput | AudioOutput) -> bytes:
    """Return the binary message for an ``audio`` frame.

    Raises:
        FrameError: ``oversize``.
    """
    header = _encoder.encode(_header(frame))
    message = b"".join((len(header).to_bytes(LENGTH_BYTES), header, frame.pcm))
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    return message


def decode_binary_client(message: bytes) -> AudioInput:
    """Read a binary message of a client.

    Raises:
        FrameError: ``oversize``, ``bad_json`` or ``bad_frame``; nothing else, whatever the message.
    """
    frame = decode_samples(message)
    return AudioInput(audio=to_base64(frame.pcm), seq=frame.seq, silence=frame.silence, trace=frame.trace)


def decode_samples(message: bytes) -> AudioSamples:
    """Read a binary message of a client, and leave its samples as they are.

    Raises:
        FrameError: As of ``decode_binary_client``.
    """
    header, samples = _split(message)
    try:
        fields = _input_decoder.decode(header)
        return AudioSamples(audio=samples, seq=fields.seq, silence=fields.silence, trace=fields.trace)
    except msgspec.ValidationError as error:
        raise FrameError("bad_frame", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FrameError("bad_json") from None
    except ValueError as error:
        raise FrameError("bad_frame", str(error)) from None


def decode_binary_server(message: bytes) -> AudioOutput | None:
    """Read a binary message of a server; ``None`` if it is not protocol."""
    try:
        header, samples = _split(message)
        fields = _output_decoder.decode(header)
    except (FrameError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(samples) % 2:
        return None
    return AudioOutput(
        audio=to_base64(samples), rate=fields.rate, epoch=fields.epoch, seq=fields.seq, trace=fields.trace
    )


def decode_message(message: str | bytes) -> list[ServerFrame]:
    """Read a message of a server, text or binary; what is not protocol is left out."""
    if isinstance(message, str):
        return decode_server_message(message)
    frame = decode_binary_server(message)
    return [] if frame is None else [frame]


@overload
def _header(frame: AudioInput) -> AudioInputHeader: ...


@overload
def _header(frame: AudioOutput) -> AudioOutputHeader: ...


def _header(frame: AudioInput | AudioOutput) -> AudioInputHeader | AudioOutputHeader:
    if isinstance(frame, AudioInput):
        return AudioInputHeader(seq=frame.seq, silence=frame.silence, trace=frame.trace)
    return AudioOutputHeader(rate=frame.rate, epoch=frame.epoch, seq=frame.seq, trace=frame.trace)


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Take header and samples apart.

    Raises:
        FrameError: ``oversize`` or ``bad_frame``.
    """
    if len(message) > MAX_FRAME_BYTES:
        raise FrameError("oversize")
    end = LENGTH_BYTES + int.from_bytes(message[:LENGTH_BYTES])
    if not LENGTH_BYTES < end <= len(message):
        raise FrameError("bad_frame", "the header's length does not fit the message")
    return message[LENGTH_BYTES:end], message[end:]
