"""Readiness: a worker that cannot reach the bucket and the lock table is not ready."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from segue import LeaseSettings, StorageUnavailable
from segue.backoff import backoff
from segue.journal.keys import ObjectKeys
from segue.session.runtime import Runtime
from segue.storage.interface import ObjectMissing
from segue.strands.s3 import open_stores
from shared.background import first_of
from shared.log import logger

FIRST_PAUSE_SECONDS: Final = 0.5
"""Seconds before the second look at what a worker needs; doubled each time."""

LONGEST_PAUSE_SECONDS: Final = 8.0
"""Seconds between two looks at most. Below the interval of the container's health check: what answers again is not
found out late."""


async def reach_storage(
    bucket: str, lock_table: str, worker_id: str, stop: asyncio.Event, lease: LeaseSettings | None = None
) -> bool:
    """Make the connections that all session managers share, and ask both stores until both answer.

    Args:
        bucket: Of the journals.
        lock_table: Of the guard items.
        worker_id: Names the item and the object that are asked for; neither exists.
        stop: Ends the asking.
        lease: Of the sessions: their connections go with it.

    Returns:
        Whether they answered; false if told to stop before.

    Raises:
        StorageRefused: One of them says no, which asking again does not change.
    """
    pauses = backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, jitter=False)
    while not stop.is_set():
        try:
            # A request that hangs must not hold up the end.
            if await first_of(Runtime.shared().run(_ask(bucket, lock_table, worker_id, lease)), stop.wait()):
                return True
        except StorageUnavailable as error:
            logger.warning("storage does not answer yet", reason=str(error))
        await first_of(stop.wait(), timeout=next(pauses))
    return False


async def _ask(bucket: str, lock_table: str, worker_id: str, lease: LeaseSettings | None) -> bool:
    """Read an item and an object that do not exist; true once both were answered.

    Reading leaves nothing behind, and the answer tells: S3 says "no such key" only to those who may read objects and
    list the bucket, as a restore must, and all others that access is denied. The table is encrypted with the bucket's
    key, so that its answer needs the right to use the key.
    """
    stores = await open_stores(Runtime.shared(), bucket=bucket, lock_table=lock_table, lease=lease)
    await stores.guard.read(f"-/{worker_id}")
    with contextlib.suppress(ObjectMissing):
        await stores.objects.get(ObjectKeys(stores.prefix, f"-/{worker_id}", "ready").page(0))
    return True
