"""A session made ready by somebody who does not hold it yet: the successor's half of a handoff.

    predecessor holds ─────────────────────────▶ releases
    successor    prepare: read, build the agent ─────────▶ open: acquire, and read nothing
                          what the agent records waits ──▶ is queued

Reading without the lease promises nothing, so what was read counts only if the item that is acquired names the very
same records. An agent that was built on anything else must not write: then ``open`` acquires nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.history.fold import History
from segue.journal.reader import StoredJournal
from segue.journal.records import Record, decode_record, encode_record
from segue.lease.item import GuardItem


@dataclass(slots=True)
class Standby:
    """What was read ahead of holding, and what was recorded on it.

    Attributes:
        journal: What was read.
        history: What its records add up to.
        records: Recorded since, to be queued once the session is held.
        built_on: Whether an agent was made of it.
    """

    journal: StoredJournal
    history: History
    records: list[Record] = field(default_factory=list)
    built_on: bool = False

    @property
    def head(self) -> int:
        """How many records were committed when it was read."""
        return self.journal.item.head

    @property
    def left(self) -> GuardItem | None:
        """What the session must still be for an agent that was built on it; None if there is none."""
        return self.journal.item if self.built_on else None

    def append(self, *records: Record) -> int:
        """Keep records, as they are now, until the session is held; returns the position after them.

        Raises:
            ValueRefused: Something in one has no JSON form; none was kept.
        """
        self.records += [decode_record(encode_record(record)) for record in records]
        return self.head + len(self.records)

    def read_for(self, item: GuardItem) -> StoredJournal | None:
        """What was read, if it is what a newly acquired item names; None if the session has gone on."""
        return self.journal.under(item)
