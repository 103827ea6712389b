"""Binding pages into volumes: a second copy of sixteen pages in one object, so that a restore asks for few.

    pages    0 1 2 … 15   16 17 … 31   32 33 …      every record, until the session ends
    volumes       0            1                    named by the guard's ``volumes`` once a commit has said so

A volume is bound by the holder, beside its commits, and counts only from the commit that names it. Its pages stay:
nothing has to be deleted, a reader needs no second read, and a volume that is lost before that commit was a copy. A
run of large pages is not bound, since fewer requests would not help it (docs/rfcs/0007). Runs on the storage loop.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from functools import partial

import msgspec

from segue.errors import SegueError
from segue.ids import new_id
from segue.journal import blocks
from segue.journal.block_writer import BlockWriter
from segue.journal.blocks import LEVEL, Block, decode_block
from segue.journal.keys import ObjectKeys
from segue.journal.storage_requests import StorageRequests
from segue.lease.item import VOLUMES_SCHEMA, GuardItem
from segue.storage.interface import ObjectMissing, ObjectStore

logger = logging.getLogger(__name__)

VOLUME_BYTES = 1024 * 1024
"""Bytes of a volume's records, at most; a larger run is not bound. Pages above 64 KiB take longer to transfer than to
request."""

_STEP_BYTES = 64 * 1024
"""Bytes that are compressed at a stretch, two milliseconds; then other sessions have their turn."""

_GZIP = 31
"""zlib's window bits for gzip."""


class Binder:
    """Binder of one session's full runs of pages, one after the other, for as long as its holder commits."""

    def __init__(
        self, objects: ObjectStore, keys: ObjectKeys, requests: StorageRequests, block_writer: BlockWriter
    ) -> None:
        """Prepare; no I/O.

        Args:
            objects: Store of the objects.
            keys: Object keys of this incarnation.
            requests: Sends an identical request until storage answers it.
            block_writer: Creates or replaces a volume, as only the holder may.
        """
        self._objects = objects
        self._keys = keys
        self._requests = requests
        self._block_writer = block_writer
        self._binding: asyncio.Task[str] | None = None
        self._failed_at = -1

    def bind_next_run(self, item: GuardItem) -> None:
        """Bind the next run, in the background, if it is full.

        An item of an older schema gets no volume: its next holder may be a release without volumes, and redact.

        Args:
            item: The guard item as its holder's last write left it.
        """
        full = item.pages >= blocks.run(len(item.volumes)).stop
        if full and item.schema >= VOLUMES_SCHEMA and self._binding is None and self._failed_at != item.pages:
            self._binding = asyncio.get_running_loop().create_task(self._bind(item))

    def volumes_to_add(self) -> str:
        """Return the text that the next commit has to add to ``volumes``; "" if there is none yet."""
        if self._binding is None or not self._binding.done():
            return ""
        done, self._binding = self._binding, None
        return done.result()

    async def drop_volume(self, patience: float = 0.0) -> None:
        """Drop a volume that is under way, or that no commit has named. A request in flight can arrive later.

        Args:
            patience: Seconds to wait first for a volume under way, where no request may arrive later.
        """
        dropped, self._binding = self._binding, None
        if dropped is not None:
            if patience:
                await asyncio.wait([dropped], timeout=patience)
            dropped.cancel()
            await asyncio.gather(dropped, return_exceptions=True)

    async def _bind(self, item: GuardItem) -> str:
        try:
            volume = await self._volume(item)
            if volume is None:
                return "0"
            body = await _packed(volume)
            await self._block_writer.put_sealed(self._keys.volume(len(item.volumes)), body)
        except (SegueError, ObjectMissing) as error:
            # The pages are there still. It is tried again when there is one more, or by the next holder.
            logger.warning("volume not bound", extra={"journal": self._keys.root, "error": type(error).__name__})
        except Exception:
            logger.exception("volume not bound, unexpectedly")
        else:
            return "1"
        self._failed_at = item.pages
        return ""

    async def _volume(self, item: GuardItem) -> Block | None:
        """Read a run, a page at a time, since no caller waits for it; None if it is too large to be bound."""
        pages: list[Block] = []
        size = 0
        for number in blocks.run(len(item.volumes)):
            key = self._keys.page(number)
            stored = await self._requests.until_answered(partial(self._objects.get, key))
            pages.append(decode_block(key, stored.body, item, first=pages[-1].end if pages else None))
            size += sum(len(bytes(raw)) for raw in pages[-1].records)
            if not small_enough(size):
                return None
        return blocks.bind(pages, new_id(64))


def small_enough(size: int) -> bool:
    """Tell whether ``size`` bytes of records fit into a volume."""
    return size <= VOLUME_BYTES


async def _packed(block: Block) -> bytes:
    """Compress a volume as ``blocks.pack`` does, in steps, between which other sessions have their turn."""
    plain = memoryview(msgspec.json.encode(block))
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    parts: list[bytes] = []
    for start in range(0, len(plain), _STEP_BYTES):
        parts.append(compressor.compress(plain[start : start + _STEP_BYTES]))
        await asyncio.sleep(0)
    return b"".join((*parts, compressor.flush()))
