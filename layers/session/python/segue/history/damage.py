"""Faults of single records of a session that was read."""

from __future__ import annotations

from collections.abc import Sequence

from segue.errors import JournalCorrupt
from segue.history.agent_history import AgentHistory
from segue.history.points import history_at
from segue.journal.message_shape import id_of
from segue.journal.reader import StoredJournal
from segue.journal.records import Record, skips
from segue.journal.values import NESTING, depth_of

_DEEP = 200
"""Levels of a message that may be why the stack has run out."""


def damage_of(journal: StoredJournal) -> list[JournalCorrupt]:
    """Return what is wrong with single records of a session that was read, those that are skipped left out."""
    damaged: list[JournalCorrupt] = []
    history_at(journal, damaged=damaged)
    known = {error.record for error in damaged} | skips(journal.records)
    deep = [journal.located(error) for error in too_deep(journal.records) if error.record not in known]
    return sorted([*damaged, *deep], key=lambda error: error.record or 0)


def too_deep(records: Sequence[Record]) -> list[JournalCorrupt]:
    """Return which records are nested more deeply than an agent can be sure to be restored with.

    Earlier releases recorded such values.
    """
    numbers = [number for number, record in enumerate(records) if depth_of(record.data) >= NESTING]
    return [JournalCorrupt("journal", f"is nested {NESTING} levels deep or more", number) for number in numbers]


def deepest(stored: AgentHistory) -> JournalCorrupt | None:
    """Return which message of an agent is nested too deeply to be restored, None if none is."""
    for message in stored.messages:
        if depth_of(message) >= _DEEP:
            number = stored.numbers.get(id_of(message))
            return JournalCorrupt("journal", "is nested too deeply to be restored here", number)
    return None
