"""DynamoDB and SQS by their JSON protocols, over kept-alive connections.

    POST /   x-amz-target: DynamoDB_20120810.GetItem   the request as boto3 takes it, as JSON
    200      the answer as boto3 gives it, without ``ResponseMetadata``
    else     {"__type": "…#ConditionalCheckFailedException", …}

Methods are called as boto3's are and take the same arguments; there are only those that a function calls. Binary
attributes of answers stay base64 texts.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from shared import keep_alive
from shared.aws.credentials import ProcessKeys
from shared.aws.endpoints import endpoint
from shared.aws.retries import RetryPolicy
from shared.aws.signing import SignatureV4
from shared.keep_alive import ReusedConnectionLost

CONNECT_SECONDS: Final = 1.0
"""Seconds for a connection to a service; after them the attempt has failed."""

READ_SECONDS: Final = 2.0
"""Seconds for an answer; after them the attempt has failed. A frame that comes late is worth little: give up early, the
client sends it again."""

CONNECTIONS: Final = 8
"""Connections that are kept for each service; further ones are closed after use. A function takes one message at a
time."""

TRACE: Final = "_X_AMZN_TRACE_ID"
"""Lambda's trace of the invocation. Services take it on, and Lambda finds functions by it that call each other for
ever (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html)."""


class ServiceRefused(Exception):  # noqa: N818 - an answer, not a fault
    """Raised when a service answers with an error, which it tells in the form of botocore's ``ClientError``.

    Attributes:
        code: The error's code; "": the answer has none.
        response: ``{"Error": {"Code", "Message"}, "ResponseMetadata": {"HTTPStatusCode"}}``.
    """

    def __init__(self, operation: str, status: int, code: str, message: str) -> None:
        """Keep what was answered."""
        super().__init__(f"{operation} was refused with {code or status}: {message}")
        self.code = code
        self.response: Final = {
            "Error": {"Code": code or str(status), "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


class ServiceUnreachable(OSError):  # noqa: N818 - says what is wrong, not that it is an error
    """Raised when a service answers no attempt. The request may have taken effect."""


class JsonService:
    """Client without an SDK of one AWS service that speaks JSON over POST."""

    TARGET = ""
    """The protocol's name of the service and its version."""

    def __init__(
        self,
        name: str,
        region: str,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Open no connection yet.

        Args:
            name: The service, as in its host name.
            region: The region that it is asked in.
            environ: The process's environment.
            sleep: Waits, in seconds.
            retries: Decides what is tried again; None: a policy of its own.
        """
        self._url = endpoint(name, region, environ) + "/"
        self._environ = environ
        self._sleep = sleep
        self._retries = retries or RetryPolicy()
        self._keys = ProcessKeys(environ)
        self._signature = SignatureV4(name, region)
        timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._pool = keep_alive.pool(timeout, hosts=1, connections=CONNECTIONS)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make one request, and again what may succeed the next time.

        Raises:
            LookupError: There are no credentials.
            ServiceRefused: The service answered with an error.
            ServiceUnreachable: It did not answer.
        """
        body = msgspec.json.encode(request)
        attempt = 0
        while True:
            attempt += 1
            status, error = self._attempt(operation, body)
            if isinstance(error, dict):
                return error
            code = error.code if isinstance(error, ServiceRefused) else ""
            pause = self._retries.pause(attempt, status, code)
            if pause is None:
                raise error
            # A kept connection that was dropped on its way says nothing of the service: no reason to wait.
            self._sleep(0.0 if isinstance(error.__cause__, ReusedConnectionLost) else pause)

    def _attempt(self, operation: str, body: bytes) -> tuple[int, dict[str, Any] | ServiceRefused | ServiceUnreachable]:
        """Make one attempt; return the status, 0 without one, and the answer or the error."""
        own = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{self.TARGET}.{operation}"}
        headers = self._signature.headers(self._keys(), "POST", self._url, body, own)
        if trace := self._environ.get(TRACE):
            headers["x-amzn-trace-id"] = trace
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
            said, checksum = answer.data, answer.headers.get("x-amz-crc32")
            whole = checksum is None or int(checksum) == zlib.crc32(said)
            content: Any = msgspec.json.decode(said) if whole and said else {}
        except (HTTPError, ValueError) as error:
            unreachable = ServiceUnreachable(f"{operation} got no answer from {self._url}: {type(error).__name__}")
            unreachable.__cause__ = error
            return 0, unreachable
        if not whole:
            return 0, ServiceUnreachable(f"{operation} got an answer whose checksum is wrong")
        if answer.status != 200:
            return answer.status, _refusal(operation, answer.status, content)
        self._retries.answered()
        return answer.status, content


def _refusal(operation: str, status: int, content: Any) -> ServiceRefused:
    said = content if isinstance(content, dict) else {}
    code = str(said.get("__type", "")).rpartition("#")[2].partition(":")[0]
    return ServiceRefused(operation, status, code, str(said.get("message") or said.get("Message") or ""))


class DynamoDbService(JsonService):
    """Items of DynamoDB, by its low-level interface."""

    TARGET = "DynamoDB_20120810"

    def get_item(self, **request: Any) -> dict[str, Any]:
        """Read an item."""
        return self.call("GetItem", request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """Write an item."""
        return self.call("PutItem", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """Change an item."""
        return self.call("UpdateItem", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """Delete an item."""
        return self.call("DeleteItem", request)

    def query(self, **request: Any) -> dict[str, Any]:
        """Read one page of items."""
        return self.call("Query", request)


class SqsService(JsonService):
    """Messages for queues of SQS."""

    TARGET = "AmazonSQS"

    def send_message(self, **request: Any) -> dict[str, Any]:
        """Send a message."""
        return self.call("SendMessage", request)

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Send up to ten messages."""
        return self.call("SendMessageBatch", request)
