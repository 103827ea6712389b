"""The lock table's stream: the incarnations that have just ended."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger

from janitor.counting import failed, swept
from janitor.second_sweep import SweepsQueue, WaitingSweep, dependencies
from janitor.sweeper import Incarnation
from segue.errors import JournalCorrupt, StorageRefused
from segue.lease.item import GuardItem
from segue.lease.item_reader import require_prefix
from segue.storage.attributes import plain

logger = Logger()


def ended_incarnation(record: dict[str, Any], prefix: str | None = None) -> Incarnation | None:
    """Return the incarnation that a stream record ended, or None.

    An incarnation ends when its item is removed (TTL, or by hand), becomes a tombstone, or is overwritten by a new
    incarnation because it was past its TTL and DynamoDB had not removed it yet.

    Args:
        record: The record.
        prefix: The bucket's prefix; None: any.

    Raises:
        JournalCorrupt: An image cannot be right.
        StorageRefused: The incarnation's objects are under another prefix.
    """
    images = record["dynamodb"]
    if "OldImage" not in images:
        return None
    old = GuardItem.from_attributes(images["OldImage"])
    if old.deleted:
        return None  # ended before, and swept then
    new = GuardItem.from_attributes(images["NewImage"]) if "NewImage" in images else None
    if new is not None and new.born == old.born and not new.deleted:
        return None
    require_prefix(old, prefix)
    return Incarnation(old.session_key, old.born)


def _put_off(record: dict[str, Any], corrupt: JournalCorrupt, queue: SweepsQueue) -> None:
    """Name an item that cannot be read, and let its incarnation wait for the second sweep, which reads the item again.

    Whether that incarnation has ended is not known here, so nothing of it is deleted, and the other records go on.
    """
    old = plain(record["dynamodb"]["OldImage"])
    key, born = old.get("session_key"), old.get("born")
    logger.error(
        "guard item cannot be read, swept later if its incarnation has ended", session=key, problem=str(corrupt)
    )
    failed()
    if isinstance(key, str) and isinstance(born, str):
        queue.put(WaitingSweep(Incarnation(key, born)))


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Sweep the incarnations that ended, now and once more in an hour."""
    sweeper, queue = dependencies()
    for record in event["Records"]:
        try:
            try:
                incarnation = ended_incarnation(record, sweeper.prefix)
            except JournalCorrupt as corrupt:
                _put_off(record, corrupt, queue)
                continue
            except StorageRefused as elsewhere:
                logger.warning("incarnation of another prefix ended, left to its janitor", problem=str(elsewhere))
                continue
            if incarnation is not None:
                queue.put(WaitingSweep(incarnation))
                objects = sweeper.sweep(incarnation)
                logger.info("incarnation ended", session=incarnation.session_key, objects=objects)
                swept(objects)
        except Exception:
            # A stream is in order: what comes after a failure is delivered again with it. Sweeping twice is harmless.
            logger.exception("sweep failed", event_id=record.get("eventID"))
            failed()
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
