"""The loser of a conditional write: the holder that has the session now, and the error that says so."""

from __future__ import annotations

from segue.errors import RELEASED, SessionFenced
from segue.ids import shown
from segue.lease.item import GuardItem
from segue.storage.interface import ConditionFailed


def winner_of(lost: ConditionFailed) -> GuardItem | None:
    """Return the item that made a write fail, None if there is none."""
    return None if lost.item is None else GuardItem.parse(lost.item)


def name_of(winner: GuardItem | None) -> str | None:
    """Return the name of a session's later holder; None if the session has ended, or if that is not known."""
    return None if winner is None or winner.deleted else winner.holder or RELEASED


def fenced(session_key: str, epoch: int, winner: str | None) -> SessionFenced:
    """Return the error for a writer of a session after a later acquisition: the writer's epoch, the later holder."""
    return SessionFenced(epoch, winner, session_key, shown=shown(session_key))
