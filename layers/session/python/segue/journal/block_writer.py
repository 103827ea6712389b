"""Blocks put into storage, each request repeated until storage answers it. Runs on the storage loop."""

from __future__ import annotations

from collections.abc import Sequence

from segue.journal.blocks import Segment, encode_page, encode_segment
from segue.journal.keys import ObjectKeys
from segue.journal.storage_requests import StorageRequests
from segue.lease.item import GuardItem
from segue.lease.lease import Lease
from segue.storage.interface import ObjectMissing, ObjectStore, PreconditionFailed


class BlockWriter:
    """Writer of one session's segments, pages and volumes, as the holder of its lease."""

    def __init__(self, lease: Lease, objects: ObjectStore, keys: ObjectKeys, requests: StorageRequests) -> None:
        """Prepare; no I/O.

        Args:
            lease: The lease of this holder.
            objects: Store of the objects.
            keys: Object keys of this incarnation.
            requests: Sends each request until storage answers it.
        """
        self._lease = lease
        self._objects = objects
        self._keys = keys
        self._requests = requests

    async def put_segment(self, mine: GuardItem, segment: Segment) -> None:
        """Put a segment. Its key is never used again, so nothing can be overwritten."""
        key, body = self._keys.segment(segment.entry), encode_segment(mine, segment)
        await self._requests.until_answered(lambda: self._objects.put(key, body))

    async def put_page(self, mine: GuardItem, segments: Sequence[Segment], commit_id: str) -> None:
        """Put the next page: segments that the commit ``commit_id`` folds."""
        await self.put_sealed(self._keys.page(mine.pages), encode_page(mine, segments, commit_id))

    async def put_sealed(self, key: str, body: bytes) -> None:
        """Create a page or a volume, or replace one that an earlier holder put and no commit names.

        An existing object, equal or not, is replaced, and only as the version that was read *before* the lease was
        checked. So a request that an earlier holder has in flight names a version that this one has replaced; a later
        holder will replace this one (docs/rfcs/0002).
        """

        async def attempt() -> None:
            try:
                await self._objects.put(key, body, if_absent=True)
            except PreconditionFailed:
                existing = await self._objects.get(key)
                if existing.body != body:
                    await self._lease.check()
                    await self._objects.put(key, body, if_match=existing.etag)

        while True:
            try:
                await self._requests.until_answered(attempt)
            except (ObjectMissing, PreconditionFailed):
                continue
            return
