"""Delivery: what the gateway posts to the holder's endpoint for every frame of a client.

POST <endpoint>/frames
x-segue-route-token: <route_token of the lease>
{"session_key": …, "connection_id": …, "client_id": …, "counter": …, "approvals": …, "direct": …,
 "frame": {…}}

202  accepted                                 403  the token is that of another session
400  {"error": code, "message": …}            410  {"error": "moved"}: no session here has this token, or it is on its
408  the body did not arrive                        way out
429  {"error": "busy" or "too_fast"}               {"error": "handed_over"}: to a successor that has it ready
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from segue.wire.claims import DirectAddress
from segue.wire.frames import MAX_FRAME_BYTES, ClientFrame, FrameError

FRAMES_PATH: Final = "/frames"
ROUTE_TOKEN_HEADER: Final = "x-segue-route-token"  # noqa: S105 - the name of the header, not a token
HANDED_OVER: Final = "handed_over"
"""With 410: another worker has the session ready and acquires it next. It is not claimed for a third one."""
MAX_DELIVERY_BYTES: Final = MAX_FRAME_BYTES * 4 // 3 + 4 * 1024
"""Bytes of the largest body, a frame and the names around it; a larger one is refused. A binary message is base64 here,
a third more."""
SEARCH_AFTER_SECONDS: Final = 0.5
"""Seconds without an answer after which another holder is looked for beside the post. A wrong suspicion costs a claim:
its worker asks the holder itself before it tries to take over."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One frame with where it came from.

    Attributes:
        session_key: of the session that the connection is bound to.
        connection_id: API Gateway's id of the connection that it came in on; of a direct socket ``direct-…``.
        client_id: as in the client's ``Hello``.
        counter: which of the client's connections that is; a higher one is newer.
        frame: the frame.
        approvals: whether the client can answer an ``Approval``, as its ``Hello`` said.
        history: whether its ``Hello`` asked for history.
        direct: where the client's socket is, if it has one at a worker.
    """

    session_key: str
    connection_id: str
    client_id: str
    counter: int
    frame: ClientFrame
    approvals: bool = False
    history: bool = False
    direct: DirectAddress | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """The body of every answer but 202."""

    error: str
    message: str = ""


_delivery_decoder: Final = msgspec.json.Decoder(Delivery)
_refusal_decoder: Final = msgspec.json.Decoder(Refusal)
_encoder: Final = msgspec.json.Encoder()


def encode_delivery(delivery: Delivery) -> bytes:
    """Return the request body."""
    return _encoder.encode(delivery)


def decode_delivery(body: bytes) -> Delivery:
    """Read a request body.

    Raises:
        FrameError: ``oversize``, ``bad_json`` or ``bad_frame``.
    """
    if len(body) > MAX_DELIVERY_BYTES:
        raise FrameError("oversize")
    try:
        return _delivery_decoder.decode(body)
    except msgspec.ValidationError:
        raise FrameError("bad_frame") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FrameError("bad_json") from None


def encode_refusal(code: str, message: str = "") -> bytes:
    """Return the body of an answer that refuses."""
    return _encoder.encode(Refusal(error=code, message=message))


def decode_refusal(body: bytes) -> Refusal | None:
    """Read the body of an answer that refuses; ``None`` if it is not one of ours."""
    try:
        return _refusal_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
