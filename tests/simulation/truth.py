"""The content that a session must have, and the writer of each record."""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.journal.blocks import Block
from segue.journal.records import Record, decode_record

GONE = "gone"
"""Text in place of a redacted one."""

HOUR_SECONDS = 3600.0
"""Seconds that a request may be late, at most."""


def secret(tracking_id: str) -> str:
    """The text of a message, which a redaction has to remove from everywhere."""
    return f"<{tracking_id}>"


class Violation(AssertionError):  # noqa: N818 - what it is called everywhere
    """Raised when an invariant is broken."""


@dataclass
class Owner:
    """One session object of one process, which can be the holder. Never acquires as another.

    Attributes:
        appended: Ids of its records, in order, and the position that ``append`` gave each.
        committed: How many of them are in the journal.
        acknowledged: How many of them it was told are durable.
        acquired: Number of its latest acquisition among all, None before the first.
        rate: How fast its process's clock runs.
        born: The incarnation that its records are in; an owner never sees more than one.
    """

    name: str
    appended: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    committed: int = 0
    acknowledged: int = 0
    acquired: int | None = None
    rate: float = 1.0
    born: str = ""


@dataclass
class Entry:
    """A committed record, as it must be restored."""

    name: str
    tracking_id: str
    text: str
    redacts: bool = False
    settled: bool = False

    @property
    def original(self) -> str:
        """Return the text before its redaction."""
        return secret(self.tracking_id)

    def __str__(self) -> str:
        return f"{self.name}:{self.text}"


@dataclass
class Incarnation:
    """A session between creation and deletion.

    Attributes:
        born: Its name.
        entries: What is committed, as it must be restored.
        ends: Where each commit ended.
        secrets: Texts that a committed redaction replaced.
        gone: Those of them whose sweep is finished.
        ended: Whether it was deleted.
        ended_by: Whose tombstone ended it.
        left: The objects that it had then, which are to go.
        set_back: Whether a late heartbeat has set its expiry back to within an hour, as can only be where sessions
            live for a minute: a reader in between takes it for expired.
    """

    born: str
    entries: list[Entry] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    ended: bool = False
    ended_by: Owner | None = None
    left: dict[str, bytes] = field(default_factory=dict)
    set_back: bool = False


def entry_of(record: Record) -> Entry:
    """Read a record as the simulation's actors write it, or as the library does that settles input."""
    if record.inputs is not None:
        client_id, seqs = record.inputs
        return Entry(f"input of {client_id}: {seqs}", "", "", settled=True)
    message = record.data["message"]
    return Entry(record.data["id"], message["tracking_id"], str(message["text"]), redacts=record.kind == "redact")


def entries_of(block: Block) -> list[Entry]:
    """Read a segment's or a page's records."""
    return [entry_of(decode_record(raw)) for raw in block.records]
