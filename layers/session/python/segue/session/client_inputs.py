"""The client frames whose effect a record is, noted before the effect is recorded.

Apart from the handle because it needs no session: the note waits for the next record.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Iterator, Sequence

from segue.ids import valid_id
from segue.journal.records import Record

Input = tuple[str, tuple[int, ...]]
"""A client's input frames: its id and their sequence numbers."""

_taking: contextvars.ContextVar[Input | None] = contextvars.ContextVar("segue_taking", default=None)


MAX_SEQ = 2**53 - 1
"""The largest sequence number, as in the wire protocol. A guard item that named a larger one could not be read."""


def valid_input(client_id: str, seqs: Sequence[int]) -> Input:
    """Check whose input it is.

    Raises:
        ValueError: The client's id or a sequence number is none.
    """
    for seq in seqs:
        if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
            raise ValueError(f"sequence number {seq!r} is not valid: a whole number from 0 to {MAX_SEQ}")
    return valid_id(client_id, "client id"), tuple(seqs)


def input_record(client_id: str, seqs: Sequence[int]) -> Record:
    """Return a record of input that has no effect to record, such as silence.

    Raises:
        ValueError: The client's id or a sequence number is none.
    """
    return Record(kind="input", agent="", at=int(time.time() * 1000), inputs=valid_input(client_id, seqs))


class ClientInput:
    """Client frames that the next record is the effect of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._noted: Input | None = None

    @contextlib.contextmanager
    def taking(self, client_id: str, *seqs: int) -> Iterator[None]:
        """Say that what is recorded within, in this task, is the effect of a client's input frames."""
        token = _taking.set(valid_input(client_id, seqs))
        try:
            yield
        finally:
            _taking.reset(token)

    def note_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Say that the next message recorded is the effect of a client's input frames."""
        self._noted = valid_input(client_id, seqs)

    def take_input(self) -> Input | None:
        """Take the input that the record which is made now is the effect of."""
        noted, self._noted = self._noted, None
        return noted or _taking.get()
