"""The queue of records in front of the commits, and the client input that is known with them. For any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segue.journal.inputs import remember
from segue.journal.records import Record, encode_record
from segue.lease.item import Known

_COMMIT_RECORDS = 256
_COMMIT_BYTES = 4 * 1024 * 1024
"""Records and bytes of one commit, at most; a single larger record goes alone."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A record that waits to be committed, and its JSON."""

    body: bytes
    record: Record

    @classmethod
    def encode(cls, record: Record) -> Queued:
        """Encode a record."""
        return cls(encode_record(record), record)


class RecordQueue:
    """Records of one session that are not known to be committed, oldest first.

    Attributes:
        position: Records committed or queued.
    """

    def __init__(self, position: int, inputs: Mapping[str, Known]) -> None:
        """Begin without records, after those that are committed.

        Args:
            position: Records committed.
            inputs: The client input that they contain, and what the guard item names as settled.
        """
        self.position = position
        self._inputs = OrderedDict(inputs)
        self._queued: list[Queued] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of records."""
        return len(self._queued)

    @property
    def inputs(self) -> dict[str, Known]:
        """The client input that is known."""
        with self._lock:
            return dict(self._inputs)

    def append(self, queued: Sequence[Queued]) -> int:
        """Queue records; returns the position after them."""
        with self._lock:
            self._queued.extend(queued)
            self.position += len(queued)
            for one in queued:
                remember(self._inputs, one.record)
            return self.position

    def note_settled(self, records: Iterable[Record]) -> None:
        """Note the input of records that are not queued: the guard item names it."""
        with self._lock:
            for record in records:
                remember(self._inputs, record)

    def next_group(self) -> list[Queued]:
        """Return the records of the next commit, which stay in the queue until they are removed."""
        with self._lock:
            size = 0
            for count, one in enumerate(self._queued[:_COMMIT_RECORDS]):
                size += len(one.body)
                if count and size > _COMMIT_BYTES:
                    return self._queued[:count]
            return self._queued[:_COMMIT_RECORDS]

    def remove(self, count: int) -> None:
        """Remove the oldest records: they are in the session, and never sent again."""
        with self._lock:
            del self._queued[:count]
