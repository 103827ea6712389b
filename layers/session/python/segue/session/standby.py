"""A session that a successor reads before it acquires it: the successor's half of a handoff.

    predecessor holds ─────────────────────────▶ releases
    successor    prepare: read, build the agent ─────────▶ open: acquire, and read nothing
                          the agent's records wait ──────▶ are queued

Reading without the lease promises nothing, so the standby counts only if the acquired item names the very same records.
An agent that was built on other records must not write: then ``open`` acquires nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.history.agent_history import History
from segue.journal.reader import StoredJournal
from segue.journal.records import Record, decode_record, encode_record
from segue.lease.item import GuardItem


@dataclass(slots=True)
class Standby:
    """A session as it was read in advance, and the records that an agent made on it.

    Attributes:
        journal: The journal as it was read.
        history: The history of its records.
        records: Records of the agent since, to be queued once the session is held.
        built_on: Whether an agent was built on it.
    """

    journal: StoredJournal
    history: History
    records: list[Record] = field(default_factory=list)
    built_on: bool = False

    @property
    def head(self) -> int:
        """The number of records that were committed when it was read."""
        return self.journal.item.head

    @property
    def item_left(self) -> GuardItem | None:
        """The item that an acquisition must find unchanged, if an agent was built on it; None if none was."""
        return self.journal.item if self.built_on else None

    def append(self, *records: Record) -> int:
        """Keep records, as they are now, until the session is held; returns the position after them.

        Raises:
            ValueRefused: A value in one of them has no JSON form; none was kept.
        """
        self.records += [decode_record(encode_record(record)) for record in records]
        return self.head + len(self.records)

    def read_for(self, item: GuardItem) -> StoredJournal | None:
        """Return the journal, if a newly acquired item names its records; None if the session has gone on."""
        return self.journal.under(item)
