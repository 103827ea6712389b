"""DynamoDB and S3 behind the storage interface.

boto3 blocks, so every call runs on an executor, never on an event loop. boto3's own retries send the identical
request again, which conditional writes make safe: a writer whose condition failed checks whether the winner is itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from segue.clock import Clock, SystemClock
from segue.errors import SegueError, StorageRefused, StorageUnavailable
from segue.storage.answers import Unread, is_answer, translated
from segue.storage.attributes import Attributes, plain, typed
from segue.storage.interface import (
    GZIP,
    ConditionalWrite,
    ConditionFailed,
    ObjectMissing,
    PreconditionFailed,
    StoredObject,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

_T = TypeVar("_T")

_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "MethodNotAllowed"})  # S3's words for one key of many
_DELETE_BATCH = 1000  # the most keys that one DeleteObjects takes


class DynamoGuard:
    """Guard items in a DynamoDB table with the partition key ``session_key``."""

    def __init__(self, client: DynamoDBClient, table: str, executor: Executor, clock: Clock | None = None) -> None:
        """Use a client on an executor; ``clock`` measures what has passed since DynamoDB told the time."""
        self._client = client
        self._table = table
        self._executor = executor
        self._clock = clock or SystemClock()
        self._latest_date: tuple[float, float] | None = None

    async def read(self, session_key: str) -> Attributes | None:
        """Read an item, consistently."""
        answer = await self._call(
            lambda: self._client.get_item(
                TableName=self._table, Key={"session_key": {"S": session_key}}, ConsistentRead=True
            ),
            session_key,
        )
        self._note_date(answer)
        item = answer.get("Item")
        return None if item is None else plain(item)

    async def write(self, write: ConditionalWrite) -> Attributes:
        """Apply a change if its condition holds."""
        request = update_request(self._table, write)

        def update() -> Mapping[str, Any]:
            answer = self._client.update_item(**request)
            if "Attributes" not in answer:
                raise Unread(problem="an accepted write without the item as it is now")
            return answer

        try:
            answer = await self._call(update, write.session_key)
        except ClientError as refused:
            self._note_date(refused.response)
            found: Any = refused.response.get("Item")  # with ALL_OLD; the general error type does not know it
            raise ConditionFailed(None if found is None else plain(found)) from refused
        self._note_date(answer)
        return plain(answer["Attributes"])

    def wall(self) -> float | None:
        """The ``Date`` of the latest answer, and what has passed since."""
        if self._latest_date is None:
            return None
        date, heard_at = self._latest_date
        return date + self._clock.now() - heard_at

    def _note_date(self, answer: Any) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        with contextlib.suppress(ValueError):  # a proxy may have removed the header
            self._latest_date = parsedate_to_datetime(date).timestamp(), self._clock.now()

    async def keys(self, prefix: str) -> list[str]:
        """List session keys: a scan of the whole table. Each page is a request of its own, and no thread's for long."""
        return sorted([key async for page in self.key_pages(prefix) for key in page])

    async def key_pages(self, prefix: str) -> AsyncIterator[list[str]]:
        """List session keys page by page, as the scan of the table finds them."""
        request: dict[str, Any] = {"TableName": self._table, "ProjectionExpression": "session_key"}
        while True:
            page = await self._call(lambda: self._client.scan(**request), "its items")
            keys = (str(item["session_key"]["S"]) for item in page["Items"])
            yield sorted(key for key in keys if key.startswith(prefix))
            if (last := page.get("LastEvaluatedKey")) is None:
                return
            request["ExclusiveStartKey"] = last

    async def _call(self, request: Callable[[], _T], what: str) -> _T:
        answers = {"ConditionalCheckFailedException"}
        return await _call(self._executor, request, self._table, what, answers)


class S3Objects:
    """Objects in an S3 bucket."""

    def __init__(self, client: S3Client, bucket: str, executor: Executor, kms_key_id: str | None = None) -> None:
        """Use a client on an executor.

        Args:
            client: The S3 client.
            bucket: The bucket.
            executor: Where the blocking calls run.
            kms_key_id: Key for SSE-KMS; None leaves encryption to the bucket's default.
        """
        self._client = client
        self._bucket = bucket
        self._executor = executor
        self._encryption: dict[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        )

    async def get(self, key: str) -> StoredObject:
        """Read an object."""

        def request() -> StoredObject:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            return StoredObject(answer["Body"].read(), _version(answer))

        try:
            return await self._call(request, key)
        except ClientError as missing:
            raise ObjectMissing(key) from missing

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        """Write an object."""
        options: dict[str, Any] = {"ContentEncoding": "gzip"} if body.startswith(GZIP) else {}
        if if_absent:
            options["IfNoneMatch"] = "*"
        if if_match is not None:
            options["IfMatch"] = if_match

        def request() -> None:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                **options,
                **self._encryption,
            )
            _version(answer)  # S3 names it; a server that answers 200 without one has stored nothing

        try:
            await self._call(request, key)
        except ClientError as refused:
            raise PreconditionFailed(key) from refused

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""

        def request() -> None:
            for start in range(0, len(keys), _DELETE_BATCH):
                batch = keys[start : start + _DELETE_BATCH]
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
                for error in answer.get("Errors", []):
                    problem = f"DeleteObjects answered {error.get('Code')}: {error.get('Message', '')}"
                    if error.get("Code") in _DENIED:
                        raise StorageRefused(str(error.get("Key")), problem)
                    raise StorageUnavailable(f"{error.get('Key')}: {problem}")

        await self._call(request, f"{len(keys)} objects")

    async def list(self, prefix: str) -> list[str]:
        """List keys."""

        def request() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [found["Key"] for page in pages for found in page.get("Contents", [])]

        return await self._call(request, prefix)

    async def _call(self, request: Callable[[], _T], what: str) -> _T:
        answers = {"NoSuchKey", "PreconditionFailed"}
        return await _call(self._executor, request, self._bucket, what, answers)


def _version(answer: Mapping[str, Any]) -> str:
    """The tag of an object's version.

    Raises:
        Unread: There is none, so the answer is not S3's.
    """
    if not (etag := answer.get("ETag")):
        raise Unread(problem="an answer without a version of the object: not by S3")
    return str(etag)


def update_request(table: str, write: ConditionalWrite) -> dict[str, Any]:
    """Return a conditional write as the arguments of DynamoDB's UpdateItem.

    The loser's answer carries the winner (``ALL_OLD``): no second read is needed.
    """
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def name(attribute: str) -> str:
        names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(label: str, content: Any) -> str:
        values[f":{label}"] = typed(content)
        return f":{label}"

    conditions = []
    for clause in write.condition:
        if clause.operator == "absent":
            conditions.append(f"attribute_not_exists({name(clause.attribute)})")
        else:
            expected = value(f"if_{clause.attribute}", clause.value)
            conditions.append(f"{name(clause.attribute)} {clause.operator} {expected}")
    parts = []
    if write.assign:
        parts.append("SET " + ", ".join(f"{name(key)} = {value(key, new)}" for key, new in write.assign.items()))
    if write.add:
        parts.append("ADD " + ", ".join(f"{name(key)} {value(f'add_{key}', n)}" for key, n in write.add.items()))
    if write.remove:
        parts.append("REMOVE " + ", ".join(name(key) for key in write.remove))
    return {
        "TableName": table,
        "Key": {"session_key": typed(write.session_key)},
        "ConditionExpression": " AND ".join(conditions),
        "UpdateExpression": " ".join(parts),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


async def _call(executor: Executor, request: Callable[[], _T], resource: str, what: str, answers: set[str]) -> _T:
    """Run a blocking request about ``what``; pass errors with a code of ``answers`` on, and translate all others."""

    def run() -> _T:
        try:
            return request()
        except SegueError:
            raise
        except ClientError as error:
            if is_answer(error, answers):
                raise
            raise translated(error, resource, what) from error
        except Exception as error:  # botocore's parsers raise any error for an answer that they cannot parse
            raise translated(error, resource, what) from error

    return await asyncio.get_running_loop().run_in_executor(executor, run)
