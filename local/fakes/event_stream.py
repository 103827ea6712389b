"""AWS's event-stream framing: read with botocore's reader, written here.

Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterable, Iterator
from typing import Any

from botocore.eventstream import EventStreamBuffer

STRING = 7


def encode(headers: dict[str, str], payload: bytes) -> bytes:
    """Frame a message whose headers are strings."""
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


class Decoder:
    """Reader of messages from pieces of a stream; a signed message is opened, its signature is only required."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the headers and the payload of each message that is complete.

        Raises:
            ValueError: A message is not signed.
        """
        self._buffer.add_data(data)
        messages: Iterable[Any] = self._buffer  # the stubs have it yield numbers
        for message in messages:
            if ":chunk-signature" not in message.headers:
                raise ValueError("an event that is not signed")
            if message.payload:  # an empty one is the end of the stream
                inner: Any = EventStreamBuffer()
                inner.add_data(message.payload)
                yield from ((one.headers, one.payload) for one in inner)
