"""Following a session without its lease: the head is read, and then only the new records."""

from __future__ import annotations

from itertools import chain

from segue.clock import Clock
from segue.errors import JournalCorrupt, SessionNotFound, StorageUnavailable
from segue.ids import shown
from segue.journal.blocks import Block, decode_block
from segue.journal.keys import ObjectKeys
from segue.journal.records import Record, decode_records
from segue.lease.item import GuardItem
from segue.lease.item_reader import read_item
from segue.storage.interface import ObjectMissing
from segue.storage.stores import Stores

_ATTEMPTS = 5
"""Looks in a row that may fail, and reads in a row that may find the session folded, before that is an error."""


class Follower:
    """Reader of a session's records as they are committed.

    Attributes:
        position: The number of the next record.
    """

    def __init__(self, stores: Stores, session_key: str, clock: Clock, interval: float) -> None:
        """Follow a session.

        Args:
            stores: Where it is kept.
            session_key: Which one.
            clock: Where time comes from.
            interval: Seconds between two looks; each is one consistent read of the guard.
        """
        self.position = 0
        self._stores = stores
        self._key = session_key
        self._clock = clock
        self._interval = interval
        self._born: str | None = None

    async def start_before_head(self, back: int) -> None:
        """Begin so many records before the head.

        Raises:
            SessionNotFound: There is no such session.
        """
        item = await self._look()
        if item is None:
            raise SessionNotFound(self._key, shown(self._key))
        self._born = item.born
        self.position = max(0, item.head - back)

    async def more(self) -> list[tuple[int, Record]] | None:
        """Wait for the next records.

        Returns:
            Them with their numbers; None once the session has ended, or begun anew.

        Raises:
            JournalCorrupt: An object is missing or damaged. A single record that cannot be decoded says so itself.
            StorageUnavailable: Storage does not answer, again and again.
        """
        failures = 0
        while True:
            try:
                item = await self._look()
                if item is None or item.born != self._born:
                    return None
                if item.head > self.position:
                    found = await self._read(item)
                    self.position = item.head
                    return found
                failures = 0
            except (ObjectMissing, StorageUnavailable) as error:
                failures += 1
                if failures >= _ATTEMPTS:
                    if isinstance(error, ObjectMissing):
                        raise JournalCorrupt(str(error), "named by the guard, but not there") from error
                    raise
            await self._clock.sleep(self._interval)

    async def _look(self) -> GuardItem | None:
        return (await read_item(self._stores.guard, self._key, self._clock, self._stores.prefix)).current

    async def _read(self, item: GuardItem) -> list[tuple[int, Record]]:
        """Read back from the head until the position is reached."""
        keys = ObjectKeys(self._stores.prefix, item.session_key, item.born)
        segments = ((keys.segment(entry), entry.first) for entry in reversed(item.tail))
        pages = ((keys.page(number), None) for number in reversed(range(item.pages)))
        blocks: list[tuple[str, Block]] = []
        reached = item.head
        for name, first in chain(segments, pages):
            if reached <= self.position:
                break
            block = decode_block(name, (await self._stores.objects.get(name)).body, item, first)
            if block.end != reached:
                raise JournalCorrupt(name, f"ends at record {block.end}, expected {reached}")
            reached = block.first
            blocks.append((name, block))
        return [
            (number, record)
            for name, block in reversed(blocks)
            for number, record in enumerate(decode_records(block.records, block.first, name)[0], start=block.first)
            if number >= self.position
        ]
