"""The records of one agent: made and queued. What is refused of them is left out, and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from segue.errors import ValueRefused
from segue.journal.encoder import without_refused
from segue.journal.records import Record, encode_record
from segue.session.refused_values import OnRefused
from segue.session.weak_references import WeakAgent
from segue.strands.approvals import Inputs
from segue.strands.private import is_started

Append = Callable[..., int]
"""Queues records, to be committed together, and returns the position after them."""

_MESSAGES = frozenset({"message", "update", "redact"})

_WHOLE = frozenset({"state", "internal"})
"""Kinds whose records are refused as a whole: a record with a part of the data would be useless."""


class AgentRecords:
    """Maker of one agent's records, which it queues.

    Attributes:
        append: Queues records as they are; raises what it refuses.
        in_part: Tracking ids of the messages of whose latest record a part was refused.
    """

    def __init__(self, agent: WeakAgent, append: Append, refused: OnRefused) -> None:
        """Begin with no record.

        Args:
            agent: The agent, which is not kept alive.
            append: Queues records and returns the position after them.
            refused: Told of values that were not recorded as they are.
        """
        self.append = append
        self.in_part: set[str] = set()
        self._agent = agent
        self._refused = refused

    def record(self, kind: str, data: Any, inputs: Inputs = None) -> int:
        """Record a change and return its number.

        What is refused of it is replaced by a text that says so. Of a state, the one that was recorded last stands.
        """
        return self.queue(self.made(kind, data, inputs)) - 1

    def made(self, kind: str, data: Any, inputs: Inputs = None) -> Record:
        """Return the record of a change."""
        return Record(kind=kind, data=data, agent=self._agent.agent_id, at=int(time.time() * 1000), inputs=inputs)

    def queue(self, *records: Record) -> int:
        """Queue records, to be committed together, and return the position after them: 0 if there are none."""
        if not records:
            return 0
        try:
            return self.append(*records)
        except ValueRefused as refused:
            rest = self._rest_of(records)
            position = self.append(*rest) if rest else 0
            self.report_refused(refused)
            return position

    @contextmanager
    def collected(self) -> Iterator[list[Record]]:
        """Collect what is recorded instead of queuing it, so that all of it is queued together or nothing."""
        append, records = self.append, list[Record]()

        def keep(*more: Record) -> int:
            for record in more:
                encode_record(record)  # what cannot be encoded is seen here
            records.extend(more)
            return len(records)  # counted from the first of them

        self.append = keep
        try:
            yield records
        finally:
            self.append = append

    def report_refused(self, refused: ValueRefused) -> None:
        """Tell that a value was refused."""
        agent = self._agent.alive
        talking = agent is not None and is_started(agent)
        self._refused(self._agent.agent_id, refused, remember=not talking)  # an error in a hook would end the talk

    def _rest_of(self, records: Sequence[Record]) -> list[Record]:
        """Return the records that are not refused."""
        for one in records:
            if one.kind in _MESSAGES:
                self.in_part.add(one.data["message"]["tracking_id"])
        return [
            msgspec.structs.replace(one, data=without_refused(one.data, one.kind))
            for one in records
            if one.kind not in _WHOLE
        ]
