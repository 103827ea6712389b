"""Limits of the fields of frames, and of a frame's size."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAX_FRAME_BYTES: Final = 32 * 1024
"""Bytes of the largest message either way; a larger one is refused with ``oversize``. API Gateway bills and limits in
units of 32 KB."""

MAX_NUMBER: Final = 2**53 - 1
"""The largest sequence or record number; a greater one is refused with ``bad_frame``. The last integer that a
JavaScript client can count to."""

IMAGE_PART_BYTES: Final = 22_500
"""Bytes of an image in one frame; a larger image takes several. They are 30,000 characters of base64, which leaves room
for the rest, and divisible by 3, so that no base64 group is cut."""

MAX_IMAGE_PARTS: Final = 192
"""Frames of one image, together 4.3 MB; more are refused. What providers take, and less than a receiver's window of
frames."""

MAX_APPROVALS: Final = 32
"""Requests that are asked, and answered, together. An agent that asks for more at a time is denied them."""

MAX_RESPONSE_DEPTH: Final = 32
"""Levels of lists and objects in a response: what is recorded of it is read by code that calls itself."""

HISTORY: Final = "history"
PLAYED: Final = "played"
SILENCE: Final = "silence"
DIRECT: Final = "direct"
BINARY: Final = "binary"
"""Optional parts of the protocol, as ``features`` of ``ready`` names them. ``direct`` and ``binary`` are said of the
connection that the ``ready`` comes over, the others of the holder."""

TRACEPARENT: Final = r"\A(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z"
"""W3C Trace Context, section 3.2: version, trace id, parent id, flags; neither id is all zeros."""

Seq: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
RecordOrNone: TypeAlias = Annotated[int, Meta(ge=-1, le=MAX_NUMBER)]
"""A record's number, -1 for none yet."""
Base64: TypeAlias = Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]
ClientId: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
HolderName: TypeAlias = Annotated[str, Meta(max_length=64)]
Trace: TypeAlias = Annotated[str, Meta(pattern=TRACEPARENT)]
Modality: TypeAlias = Literal["voice", "text"]
MediaType: TypeAlias = Literal["image/jpeg", "image/png", "image/webp", "image/gif"]
Role: TypeAlias = Literal["user", "assistant"]
ToolStatus: TypeAlias = Literal["started", "success", "error"]
LineKind: TypeAlias = Literal["transcript", "text", "tool", "image"]
ApprovalStatus: TypeAlias = Literal["asked", "answered", "denied", "expired", "withdrawn"]


_SHOWN_HOLDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def shown_holder(holder: str) -> str | None:
    """Return a holder's name as clients are told it; ``None`` for one with dots, colons or slashes: an address."""
    return holder if _SHOWN_HOLDER.fullmatch(holder) else None


def to_base64(raw: bytes) -> str:
    """Return bytes in the form that frames carry."""
    text: str = msgspec.to_builtins(bytes(raw))  # as JSON has them, in half of binascii's time
    return text


def decoded_bytes(text: str) -> int:
    """Return how many bytes a base64 text is of."""
    return len(text) * 3 // 4 - text.count("=", -2)


def from_base64(text: str, what: str) -> bytes:
    """Return what a field carries.

    Raises:
        ValueError: It is not base64, or not in its one canonical form; ``what`` names the field.
    """
    try:
        return msgspec.convert(text, bytes)  # as strict as binascii in strict mode, in a third of its time
    except ValueError:
        raise ValueError(f"{what} is not base64") from None


def trace_id(trace: str | None) -> str | None:
    """The trace id of a frame's ``trace``, by which log lines and spans are found.

        00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
        │  trace id                         parent id        flags
        version

    Of a later version, these four parts come first (Trace Context, section 3.2.4).

    Args:
        trace: as a decoded frame has it, which was checked.
    """
    return None if trace is None else trace.split("-")[1]
