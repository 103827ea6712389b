"""Former path of ``segue.wire.json_codec``."""

from __future__ import annotations

from segue.wire.json_codec import (
    decode_client_frame,
    decode_server_frame,
    decode_server_message,
    encode_batch,
    encode_frame,
    fitting,
)

__all__ = [
    "decode_client_frame",
    "decode_server_frame",
    "decode_server_message",
    "encode_batch",
    "encode_frame",
    "fitting",
]
