"""Garbage collection: deletes an ended session's objects, and finds objects that no guard item names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from msgspec import Struct

from segue.journal.garbage import orphans_among
from segue.journal.keys import ObjectKeys
from segue.lease.item import GuardItem
from segue.lease.item_reader import require_prefix
from segue.storage.answers import read_whole

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(connect_timeout=2, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5})


class JanitorEnvironment(Struct, frozen=True, kw_only=True):
    """Variables of all three functions.

    Attributes:
        bucket: Where the objects are.
        lock_table: Where the guard items are.
        sweeps_queue_url: Where an incarnation waits to be swept again.
        prefix: The bucket's prefix, "" or ending in "/".
    """

    bucket: str
    lock_table: str
    sweeps_queue_url: str
    prefix: str = ""


class Incarnation(Struct, frozen=True):
    """One incarnation of a session."""

    session_key: str
    born: str


class Sweeper:
    """Deletion of the objects of ended incarnations, and of the orphans of those that go on."""

    def __init__(self, s3: S3Client, dynamodb: DynamoDBClient, environment: JanitorEnvironment) -> None:
        """Use two clients."""
        self._s3 = s3
        self._dynamodb = dynamodb
        self._environment = environment

    @property
    def prefix(self) -> str:
        """The bucket's prefix."""
        return self._environment.prefix

    @classmethod
    def from_environment(cls, environment: JanitorEnvironment) -> Sweeper:
        """Make the clients."""
        s3, dynamodb = boto3.client("s3", config=_CONFIG), boto3.client("dynamodb", config=_CONFIG)
        return cls(read_whole(s3), read_whole(dynamodb), environment)  # half an item must not pass for none

    def item_of(self, incarnation: Incarnation) -> GuardItem | None:
        """The guard item of an incarnation that goes on, by a consistent read; None if it has ended.

        Raises:
            JournalCorrupt: The item cannot be right, so that nothing is known of the incarnation.
            StorageRefused: The session's objects are under another prefix than this janitor's.
        """
        answer = self._dynamodb.get_item(
            TableName=self._environment.lock_table,
            Key={"session_key": {"S": incarnation.session_key}},
            ConsistentRead=True,
        )
        if "Item" not in answer:
            return None
        item = GuardItem.from_attributes(answer["Item"])
        require_prefix(item, self.prefix)
        return item if item.born == incarnation.born and not item.deleted else None

    def sweep(self, incarnation: Incarnation) -> int:
        """Delete all objects of an incarnation, if it has ended; returns how many there were.

        Raises:
            ClientError: Storage refused; the event is delivered again.
            OSError: Some objects could not be deleted; the same.
            SegueError: See ``item_of``; nothing is deleted.
        """
        if self.item_of(incarnation) is not None:
            return 0
        return sum(map(self._delete, self._listed(self._keys(incarnation).root)))

    def collect(self, incarnation: Incarnation) -> int:
        """Delete the orphans of an incarnation that goes on; returns how many there were.

        A former holder's request may have been in flight for so long that no later holder's collection saw it.

        Raises:
            ClientError: Storage refused.
            OSError: Some objects could not be deleted.
            SegueError: See ``item_of``; nothing is deleted.
        """
        keys, count = self._keys(incarnation), 0
        for listed in self._listed(keys.segments):
            item = self.item_of(incarnation)  # after each listing: what was committed since is no orphan
            if item is not None:
                count += self._delete(orphans_among(listed, keys, item))
        return count

    def _keys(self, incarnation: Incarnation) -> ObjectKeys:
        return ObjectKeys(self.prefix, incarnation.session_key, incarnation.born)

    def _listed(self, prefix: str) -> Iterator[list[str]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._environment.bucket, Prefix=prefix)
        for page in pages:
            yield [found["Key"] for found in page.get("Contents", [])]

    def _delete(self, keys: list[str]) -> int:
        if keys:
            answer = self._s3.delete_objects(
                Bucket=self._environment.bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
            if errors := answer.get("Errors"):
                raise OSError(f"{len(errors)} objects were not deleted, the first because of {errors[0].get('Code')}")
        return len(keys)

    def all_incarnations(self, after: str = "") -> Iterator[Incarnation]:
        """Every incarnation that has objects in the bucket, in the order of keys.

        Args:
            after: Go on behind this ``<session_key>/<born>``.
        """
        root = f"{self.prefix}sessions/"
        start = f"{root}{after}/~" if after else root
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._environment.bucket, Prefix=root, StartAfter=start
        )
        latest: Incarnation | None = None
        for page in pages:
            for found in page.get("Contents", []):
                parts = found["Key"].removeprefix(root).split("/")
                if len(parts) < 4:  # <principal>/<session>/<born>/… is what Segue writes; the rest is not its own
                    continue
                incarnation = Incarnation(f"{parts[0]}/{parts[1]}", parts[2])
                if incarnation != latest:
                    latest = incarnation
                    yield incarnation
