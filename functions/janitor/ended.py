"""The lock table's stream: which lives have just ended?"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger

from janitor.again import Waiting, dependencies
from janitor.counting import failed, swept
from janitor.sweeper import Life
from segue.item import GuardItem

logger = Logger()


def ended_life(record: dict[str, Any]) -> Life | None:
    """Return the life that a stream record ended, or None.

    A life ends when its item is removed (TTL, or by hand), becomes a tombstone, or is overwritten by a new
    life because it was past its TTL and DynamoDB had not removed it yet.
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
    return Life(old.session_key, old.born)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Sweep the lives that ended, now and once more in an hour."""
    sweeper, queue = dependencies()
    for record in event["Records"]:
        try:
            life = ended_life(record)
            if life is not None:
                queue.put(Waiting(life))
                objects = sweeper.sweep(life)
                logger.info("life ended", session=life.session_key, objects=objects)
                swept(objects)
        except Exception:
            # A stream is in order: what comes after a failure is delivered again with it. Sweeping twice is harmless.
            logger.exception("sweep failed", event_id=record.get("eventID"))
            failed()
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
