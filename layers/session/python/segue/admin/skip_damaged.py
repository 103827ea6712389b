"""Records that cannot be used, and the record that makes readers pass one over.

    take the lease ─▶ save the bytes of record 41 ─▶ append {"kind": "skip", "data": {"record": 41, …}}

No object is rewritten and no record changes its number: what is damaged stays where it is, and readers leave it out.
The bytes are saved beside the session, where a deletion finds them and a redaction empties them: that they do not
hold what is redacted cannot be shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from segue.errors import JournalCorrupt
from segue.history.damage import damage_of
from segue.ids import new_id
from segue.journal.blocks import decode_block
from segue.journal.keys import ObjectKeys
from segue.journal.reader import StoredJournal
from segue.journal.records import SKIP, Record
from segue.session.session import Session
from segue.storage.stores import Stores


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that readers pass over from now on.

    Attributes:
        record: Its number.
        key: The object that holds it.
        problem: What is wrong with it.
        saved: The object with a copy of its bytes.
    """

    record: int
    key: str
    problem: str
    saved: str


async def skip_damaged(session: Session, stores: Stores, timeout: float) -> list[Skipped]:
    """Acquire a session, make readers pass over each damaged record, and release it.

    Args:
        session: The session, not opened in this process.
        stores: Where it is kept.
        timeout: Seconds to wait for another holder.

    Raises:
        SessionHeld: Another holder kept it.
        SessionFenced: Another holder took it meanwhile; nothing was skipped.
        JournalCorrupt: An object is missing or damaged as a whole: that is not helped by this.
        StorageUnavailable: Storage does not answer. Whether records are skipped is unknown; try again.
    """
    journal = await session.open(timeout, whole=False)
    try:
        keys = ObjectKeys(stores.prefix, journal.item.session_key, journal.item.born)
        skipped = [await _saved(stores, journal, keys, error) for error in damage_of(journal)]
        if skipped:
            session.append(*(_skip(one) for one in skipped))
            await session.durable()
    finally:
        await session.close()
    return skipped


async def _saved(stores: Stores, journal: StoredJournal, keys: ObjectKeys, error: JournalCorrupt) -> Skipped:
    number = error.record or 0
    block = decode_block(error.key, (await stores.objects.get(error.key)).body, journal.item)
    saved = keys.damaged(number, journal.item.epoch, new_id(64))
    await stores.objects.put(saved, bytes(block.records[number - block.first]), if_absent=True)
    return Skipped(number, error.key, error.problem, saved)


def _skip(skipped: Skipped) -> Record:
    data = {"record": skipped.record, "problem": skipped.problem, "saved": skipped.saved.rpartition("/")[2]}
    return Record(kind=SKIP, agent="", data=data, at=int(time.time() * 1000))
