"""Deliberate faults of the Python client, one for each kind of rule. The kit has to find each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segue.client.conversation import Conversation
from segue.client.link import Link
from segue.wire.output import JournalCursor, OutputOrder
from segue.wire.sender import Sender


def shows_repeats() -> None:
    """Show journal content as often as it comes."""
    accept = JournalCursor.accept

    def mutant(cursor: JournalCursor, frame: Any) -> bool:
        cursor._shown.clear()
        return accept(cursor, frame)

    JournalCursor.accept = mutant  # type: ignore[method-assign]


def ignores_order() -> None:
    """Show frames as they come."""
    OutputOrder.offer = lambda order, frame, now: [frame]  # type: ignore[method-assign]


def forgets_input() -> None:
    """Forget what the holder has received, as if that were durable."""
    Sender.arrived = lambda sender, upto, beyond, *, now: sender.ack(upto, beyond, now=now)  # type: ignore[method-assign]


def skips_numbers() -> None:
    """Leave the first number out."""
    due = Sender.due

    def mutant(sender: Sender, now: float) -> Any:
        sender._next_seq = max(sender._next_seq, 2)
        return due(sender, now)

    Sender.due = mutant  # type: ignore[method-assign]


def speaks_too_early() -> None:
    """Send input before a holder is ready."""
    Conversation.greeted = property(lambda conversation: True)  # type: ignore[assignment, method-assign]


def knows_no_window() -> None:
    """Send all at once."""
    Sender._room = lambda sender: sender.unacknowledged  # type: ignore[method-assign]


def ignores_reconnect() -> None:
    """Stay on a connection whose worker says that it ends."""
    Link.renew = lambda self, at: None  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        shows_repeats,
        ignores_order,
        forgets_input,
        skips_numbers,
        speaks_too_early,
        knows_no_window,
        ignores_reconnect,
    )
}
