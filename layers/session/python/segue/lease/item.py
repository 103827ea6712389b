"""The guard: one DynamoDB item a session, as data.

    session_key   <principal>/<session's name>                 (partition key; see segue.ids)
    schema        version of this layout
    born          identity of this incarnation of the session; part of every S3 key
    epoch         fencing token; grows with every acquisition, release and deletion, never falls
    acquire_id    random, new with every acquisition, absent when free
    holder        that acquisition's process, for people and routing
    beat          counter that heartbeats and commits raise
    lease_ms      how long beat may stay the same before others may take over
    endpoint      where the holder takes frames
    route_token   the secret that its callers show
    head          committed records
    pages         sealed pages
    volumes       for each full run of pages: "1" bound into a volume, "0" left as it is
    tail          segments past the last page, as "<first record>.<epoch>.<commit id>"
    commit_id     of the last accepted commit
    inputs        each client's input that the records contain, or that has no effect, as
                  "<client id> <upto> <beyond,…>", latest last
    scrub         a redaction that is not finished in every object, as "<record>"
    deleted       present on a tombstone, which has no head
    expires_at    DynamoDB TTL, seconds since 1970 by DynamoDB's own clock
    prefix        of the keys of its objects, "" or ending in "/"; absent on items of older releases

This module needs neither boto3 nor Strands: the janitor's functions read items with it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from segue.errors import JournalCorrupt
from segue.lease.item_check import born_at, contradictions, unreadable
from segue.storage.attributes import Value, plain

FIRST_SCHEMA = 1
"""Version that an item begins with."""

VOLUMES_SCHEMA = 2
"""Version of an item that may have volumes: a release without volumes must not redact there (docs/rfcs/0007)."""

ESCAPES_SCHEMA = 3
"""Version from the first record with escapes, or the first window with ``drop``: an earlier release would misread
either (docs/rfcs/0010, 0013)."""

SCHEMA = ESCAPES_SCHEMA
"""Newest version that this library writes and reads. It refuses a newer one with JournalCorrupt."""


class TailEntry(msgspec.Struct, frozen=True):
    """One committed segment that no page contains yet."""

    first: int
    epoch: int
    commit_id: str

    def __str__(self) -> str:
        """The form in the item."""
        return f"{self.first}.{self.epoch}.{self.commit_id}"

    @classmethod
    @functools.lru_cache(maxsize=4096)  # each answer of the lock table names the tail's entries again
    def parse(cls, text: str) -> TailEntry:
        """Read the form in the item."""
        first, epoch, commit_id = text.split(".", 2)
        return cls(int(first), int(epoch), commit_id)


class Known(msgspec.Struct, frozen=True):
    """A client's input frames that are in the records, or have no effect: to ``upto``, and those in ``beyond``."""

    upto: int = 0
    beyond: tuple[int, ...] = ()

    def __contains__(self, seq: int) -> bool:
        """Tell whether a frame's effect is in the records."""
        return seq <= self.upto or seq in self.beyond

    def adding(self, seqs: tuple[int, ...]) -> Known:
        """Return what is known once ``seqs`` are in the records too."""
        more = {seq for seq in (*self.beyond, *seqs) if seq > self.upto}
        upto = self.upto
        while upto + 1 in more:
            upto += 1
            more.remove(upto)
        return Known(upto, tuple(sorted(more)))


class GuardItem(msgspec.Struct, frozen=True):  # a frozen dataclass takes seven times as long to make
    """A guard item that was read. Immutable: what is known of it is what storage answered."""

    session_key: str
    born: str
    epoch: int
    expires_at: int
    schema: int = FIRST_SCHEMA
    acquire_id: str | None = None
    holder: str | None = None
    beat: int = 0
    lease_ms: int = 0
    endpoint: str | None = None
    route_token: str | None = None
    head: int = 0
    pages: int = 0
    volumes: str = ""
    tail: tuple[TailEntry, ...] = ()
    commit_id: str | None = None
    inputs: Mapping[str, Known] = msgspec.field(default_factory=dict)
    scrub: str | None = None
    prefix: str | None = None
    deleted: bool = False

    @property
    def held(self) -> bool:
        """Tell whether the session has a holder, dead or alive."""
        return self.acquire_id is not None

    def ended(self, at: float, *, silent: bool = False) -> bool:
        """Tell whether the session has ended: deleted, or past its TTL though DynamoDB has not removed the item yet.

        No clock ends a held session: its holder has to be watched and stay silent for its lease first.

        Args:
            at: Time of the reading, by storage's own clock, in seconds since 1970.
            silent: Whether its holder was watched, and sent no heartbeat for its lease.
        """
        return self.deleted or (self.expires_at < int(at) and (silent or not self.held))

    @property
    def born_at(self) -> float:
        """Time at which this incarnation began, in seconds since 1970, from ``born``."""
        return born_at(self.born)

    @classmethod
    def parse(cls, attributes: Mapping[str, Value]) -> GuardItem:
        """Read plain attributes, and check them: everything else relies on what an item says.

        Raises:
            JournalCorrupt: A newer schema wrote them, they are not a guard item, or they cannot be right.
        """
        item, problems = cls.examine(attributes)
        if item is None or problems:
            problem = f"the lock table's item cannot be right: {'; '.join(problems)}"
            raise JournalCorrupt(str(attributes.get("session_key", "?")), problem)
        return item

    @classmethod
    def examine(cls, attributes: Mapping[str, Value]) -> tuple[GuardItem | None, list[str]]:
        """Read plain attributes as far as they can be read.

        Returns:
            The item, None if an attribute is missing or unreadable; and everything that is wrong.

        Raises:
            JournalCorrupt: A newer schema wrote them, or they are not a guard item at all.
        """
        fields: dict[str, Any] = dict(attributes)
        key = str(fields.get("session_key", "?"))
        schema = fields.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < FIRST_SCHEMA:
            raise JournalCorrupt(key, "the lock table's item is not a guard item (no schema)")
        if schema > SCHEMA:
            raise JournalCorrupt(key, f"written by a newer Segue (schema {schema}, this one reads {SCHEMA}): upgrade")
        if problems := unreadable(fields):
            return None, problems
        fields["tail"] = tuple(TailEntry.parse(entry) for entry in fields.get("tail", ()))
        fields["inputs"] = dict(_parse_input(line) for line in fields.get("inputs", ()))
        item = cls(**{name: fields[name] for name in cls.__struct_fields__ if name in fields})
        return item, contradictions(item)

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Mapping[str, Any]]) -> GuardItem:
        """Read an item as DynamoDB's low-level client answers it."""
        return cls.parse(plain(attributes))


def _parse_input(line: str) -> tuple[str, Known]:
    client_id, upto, beyond = line.split(" ")
    return client_id, Known(int(upto), tuple(int(seq) for seq in beyond.split(",") if seq))


def input_lines(inputs: Mapping[str, Known]) -> list[str]:
    """The form of ``inputs`` in the item."""
    return [f"{client} {known.upto} {','.join(map(str, known.beyond))}" for client, known in inputs.items()]
