"""Cutting of frames that are too long for a message, by their size as encoded.

A quotation mark takes two bytes there, a control character six.

A frame of a holder is numbered when it is sent. A client asks again, for ever, for a number that never comes. So for
a frame of any size a shorter one is sent.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

import msgspec

from segue.wire.codes import FrameError
from segue.wire.fields import MAX_APPROVALS
from segue.wire.json_codec import encode_frame
from segue.wire.server_frames import Approval, AudioOutput, ServerFrame, error_frame

TEXT_BYTES: Final = 30_000
"""Bytes of a text in one frame, as encoded; a longer text is cut. Leaves room for other fields within 32 KB."""

REMNANT_BYTES: Final = 4_000
"""Bytes that are left of each text of a frame that is still too large; the rest is cut."""


APPROVAL_BYTES: Final = 16_000
"""Bytes of all reasons and inputs of an approval together; each is cut to its share. Leaves room for the ids and names
of the most that it may have."""

NAME_BYTES: Final = 128
"""Bytes of the name of a request, as an agent's code calls it; a longer name is cut."""


def cut(text: str, limit: int = TEXT_BYTES) -> str:
    """Return a text, or as much of it as takes ``limit`` bytes in a message, and ``…``."""
    if _size(text) <= limit:
        return text
    # Each character takes at least one byte.
    return text[: bisect_right(range(1, limit + 1), limit, key=lambda count: _size(text[:count]))] + "…"


def cut_approval(frame: Approval) -> Approval:
    """Return an approval that a message holds: a long reason or input becomes the beginning of its JSON."""
    tools = frame.tools[:MAX_APPROVALS]
    share = APPROVAL_BYTES // max(1, len(frame.requests) + len(tools))
    requests = (
        msgspec.structs.replace(one, name=cut(one.name, NAME_BYTES), reason=_cut_value(one.reason, share))
        for one in frame.requests
    )
    shortened = (msgspec.structs.replace(one, input=_cut_value(one.input, share)) for one in tools)
    return msgspec.structs.replace(frame, requests=tuple(requests), tools=tuple(shortened))


def _cut_value(value: Any, limit: int) -> Any:
    encoded = msgspec.json.encode(value)
    if len(encoded) <= limit:
        return value
    return cut(value if isinstance(value, str) else encoded.decode(), limit)


def encode_remnant(frame: ServerFrame) -> str:
    """Return a message with the number of a frame that ``encode_frame`` refuses: the same with little of its texts.

    Should something else of it be large, an ``error`` takes its place.
    """
    fields = msgspec.structs.asdict(frame).items()
    texts = {name: cut(text, REMNANT_BYTES) for name, text in fields if isinstance(text, str)}
    if isinstance(frame, AudioOutput):
        texts["audio"] = ""
    try:
        return encode_frame(msgspec.structs.replace(frame, **texts))
    except FrameError:
        return encode_frame(msgspec.structs.replace(error_frame("internal"), epoch=frame.epoch, seq=frame.seq))


def _size(text: str) -> int:
    return len(msgspec.json.encode(text)) - len('""')
