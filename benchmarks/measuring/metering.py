"""Metering of requests: every request of a boto3 session is delayed and counted, in the thread that sends it.

botocore tells of each request just before it is sent. The hook sleeps there, in the calling thread, which is
what a slow network does to that thread: a manager that calls S3 on the event loop stalls it, one that calls
from another thread does not.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import msgspec
from botocore.awsrequest import AWSPreparedRequest

_KB = 1024
_WRITE_UNIT_BYTES = _KB
_READ_UNIT_BYTES = 4 * _KB


class Traffic(msgspec.Struct, kw_only=True):
    """Requests, and what they carried.

    Attributes:
        requests: How many of each operation, as ``service.Operation``.
        s3_written: Bytes of objects that were put.
        s3_read: Bytes of objects that were read.
        dynamodb_sent: Bytes of requests to DynamoDB.
        write_units: DynamoDB's write request units, computed from the size of the items.
        read_units: Its read request units, all reads consistent.
    """

    requests: dict[str, int] = {}
    s3_written: int = 0
    s3_read: int = 0
    dynamodb_sent: int = 0
    write_units: int = 0
    read_units: int = 0

    def count(self, *operations: str) -> int:
        """Add up requests of operations; a name without a dot is a whole service."""
        return sum(
            number
            for operation, number in self.requests.items()
            if operation in operations or operation.split(".")[0] in operations
        )


class Meter:
    """Delays and counts what the clients of one boto3 session send.

    Attributes:
        session: The boto3 session to give to what is measured.
        delay_s: Seconds added to each request.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        """Make a session; clients that are made from it later are metered."""
        self.session = boto3.Session()
        self.delay_s = delay_s
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._reads: list[AWSPreparedRequest] = []
        self._traffic = Traffic()
        self.session.events.register("before-send", self._before_send)
        self.session.events.register("after-call.dynamodb", self._after_dynamodb)
        self.session.events.register("after-call.s3.GetObject", self._after_get)

    def reads(self) -> Sequence[AWSPreparedRequest]:
        """Return the reads since the last ``take``, of items and objects, as they went out; the first is first."""
        with self._lock:
            return tuple(self._reads)

    def take(self) -> Traffic:
        """Return what was counted since the last call, and begin anew."""
        with self._lock:
            traffic = msgspec.structs.replace(self._traffic, requests=dict(self._requests))
            self._requests.clear()
            self._reads.clear()
            self._traffic = Traffic()
        return traffic

    def _before_send(self, request: Any, event_name: str, **_rest: Any) -> None:
        service, operation = event_name.split(".")[1:]
        size = _body_size(request)
        with self._lock:
            self._requests[f"{service}.{operation}"] += 1
            if operation in ("GetItem", "GetObject"):
                self._reads.append(request)
            if operation == "PutObject":
                self._traffic.s3_written += size
            elif service == "dynamodb":
                self._traffic.dynamodb_sent += size
        if self.delay_s:
            time.sleep(self.delay_s)

    def _after_get(self, parsed: Mapping[str, Any], **_: Any) -> None:
        with self._lock:
            self._traffic.s3_read += parsed.get("ContentLength", 0)

    def _after_dynamodb(self, parsed: Mapping[str, Any], event_name: str, **_: Any) -> None:
        with self._lock:
            if event_name.endswith("UpdateItem"):
                # The larger of the item before and after is billed: the same but at a fold, which makes it smaller.
                self._traffic.write_units += -(-item_size(parsed.get("Attributes", {})) // _WRITE_UNIT_BYTES)
            elif event_name.endswith("GetItem"):
                self._traffic.read_units += max(1, -(-item_size(parsed.get("Item", {})) // _READ_UNIT_BYTES))


def _body_size(request: Any) -> int:
    if isinstance(request.body, bytes | bytearray | str):
        return len(request.body)
    # With a checksum behind it, a body goes out in chunks; this header has its own length.
    headers = request.headers
    return int(headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0)


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item in bytes as DynamoDB bills it: names and values, 3 + 1 an element for a list."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content.lstrip("-")) // 2 + 1
        case "L":
            return 3 + sum(1 + _value_size(element) for element in content)
        case _:
            return 1
