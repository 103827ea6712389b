"""Clients' input that the guard item names as known: its effect is in the records, or it has none.

    input with an effect   text, images, audio that was transcribed   named with its record, in the same commit
    settled input          silence, skipped numbers                   named by a write of the item alone

The second kind is docs/rfcs/0031.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from segue.journal.records import Record
from segue.lease.item import Known

KNOWN_CLIENTS = 16
"""Clients whose input the guard item keeps, at most; the client whose input is oldest is dropped first."""


def remember(inputs: OrderedDict[str, Known], record: Record) -> None:
    """Note the client input that a record contains."""
    if record.inputs is None:
        return
    client_id, seqs = record.inputs
    inputs[client_id] = inputs.get(client_id, Known()).adding(seqs)
    inputs.move_to_end(client_id)
    # Not a BoundedDict: an item of a later release may name more, which are known until then.
    while len(inputs) > KNOWN_CLIENTS:
        inputs.popitem(last=False)


def inputs_after(before: Mapping[str, Known], records: Iterable[Record]) -> OrderedDict[str, Known]:
    """Return the known input once the input of some records is known too."""
    after = OrderedDict(before)
    for record in records:
        remember(after, record)
    return after


def contain(inputs: Mapping[str, Known], records: Iterable[Record]) -> bool:
    """Tell whether all input of some records is known."""
    named = (record.inputs for record in records if record.inputs is not None)
    return all(seq in inputs.get(client_id, Known()) for client_id, seqs in named for seq in seqs)


class SettledInput:
    """Settled input that the guard item does not name yet, oldest first. Used on the storage loop."""

    def __init__(self, on_named: Callable[[Sequence[Record]], None]) -> None:
        """Begin with none.

        Args:
            on_named: Called with input that the guard item names from now on.
        """
        self._on_named = on_named
        self._waiting: list[Record] = []

    def __bool__(self) -> bool:
        """Tell whether any waits."""
        return bool(self._waiting)

    @property
    def waiting(self) -> tuple[Record, ...]:
        """All that waits now, to be named by the next write of the item."""
        return tuple(self._waiting)

    def add(self, record: Record) -> None:
        """Add input without an effect."""
        self._waiting.append(record)

    def named(self, records: Sequence[Record]) -> None:
        """Note that the guard item names the oldest of the input, which was ``waiting`` when the write was made."""
        del self._waiting[: len(records)]
        self._on_named(records)

    def withdraw(self) -> list[Record]:
        """Return all that waits, which waits no longer: it becomes records."""
        records, self._waiting = self._waiting, []
        return records
