"""Sessions with history, put where the managers find them: made by the managers themselves, uploaded in parallel.

Segue writes into memory, one commit a message, and S3SessionManager into a client that only remembers; what they
wrote is then uploaded without delay and without boto3. SnapshotSessionManager writes one object anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from urllib.parse import quote

import boto3
import urllib3
from botocore.exceptions import ClientError
from strands.bidi import BidiAgent
from strands.session.s3_session_manager import S3SessionManager
from strands.session.snapshot_session_manager import SnapshotSessionManager
from strands.storage import S3Storage

from benchmarks.measuring.endpoint import REGION
from benchmarks.sessions.conversations import messages
from benchmarks.sessions.managers import Place, TimedModel
from segue.storage.attributes import typed
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager
from segue.testing import provision

_UPLOADS = 8
_UNSIGNED = "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""The emulator takes any signature."""


def place_for(name: str, endpoint: str) -> Place:
    """Make a bucket of a manager's own and a lock table: listings of one manager do not see objects of another."""
    place = Place(bucket=f"benchmark-{name}", lock_table=f"benchmark-{name}-locks")
    provision(place.bucket, place.lock_table, endpoint, REGION)
    return place


def prepare(name: str, session_id: str, length: int, place: Place, endpoint: str) -> None:
    """Put a session with so many messages where a manager finds it."""
    if name.startswith("segue"):
        _segue(session_id, length, place, endpoint)
    elif name == "s3":
        _s3(session_id, length, place, endpoint)
    elif name == "snapshot":
        _snapshot(session_id, length, place)


class _InMemory(GuardedSessionManager):
    """A session that is kept in memory until it is uploaded."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.guard = MemoryGuard()
        self.objects = MemoryObjects()

    async def _stores(self) -> Stores:
        return Stores(self.guard, self.objects)


def _segue(session_id: str, length: int, place: Place, endpoint: str) -> None:
    manager = _InMemory(session_id)
    manager.open_sync()
    agent = BidiAgent(model=TimedModel(), session_manager=manager)
    for message in messages(length):
        manager.append_message(message, agent)
        manager.flush_sync()
    manager.close_sync()
    _upload(manager.objects.objects, place, endpoint)
    item = {name: typed(value) for name, value in manager.guard.items[manager.session_key].items()}
    boto3.client("dynamodb", endpoint_url=endpoint, region_name=REGION).put_item(TableName=place.lock_table, Item=item)


def _s3(session_id: str, length: int, place: Place, endpoint: str) -> None:
    client = _ObjectRecorder()
    manager: Any = S3SessionManager(session_id, place.bucket, boto_session=cast("boto3.Session", client))
    BidiAgent(model=TimedModel(), messages=messages(length), session_manager=manager)
    _upload(client.objects, place, endpoint)


def _snapshot(session_id: str, length: int, place: Place) -> None:
    manager = SnapshotSessionManager(session_id, storage=S3Storage(place.bucket))
    manager.sync_agent(BidiAgent(model=TimedModel(), messages=messages(length)))


class _ObjectRecorder:
    """A boto3 session and its S3 client in one, that keep what is put and have nothing to get."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def client(self, **_: Any) -> _ObjectRecorder:
        return self

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - as boto3 names them
        self.objects[Key] = Body

    def get_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")

    def head_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "404"}}, "HeadObject")


def _upload(objects: Mapping[str, bytes], place: Place, endpoint: str) -> None:
    pool = urllib3.connection_from_url(endpoint, maxsize=_UPLOADS)
    lock = threading.Lock()
    failed: list[int] = []

    def put(entry: tuple[str, bytes]) -> None:
        key, body = entry
        answer = pool.request("PUT", f"/{place.bucket}/{quote(key)}", body=body, headers={"authorization": _UNSIGNED})
        if answer.status != 200:
            with lock:
                failed.append(answer.status)

    with ThreadPoolExecutor(_UPLOADS) as uploads:
        list(uploads.map(put, objects.items()))
    if failed:
        raise OSError(f"{len(failed)} of {len(objects)} objects were not taken: {sorted(set(failed))}")
