"""The messages of a session that its agent does not hold.

A restore left them out, the program took them out of the agent's list while their model keeps them, or a caller
appended them to the session only.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView
from typing import Any

from segue.journal.message_shape import Message


class OutsideMessages:
    """Messages of the session by tracking id, each as it was recorded."""

    def __init__(self) -> None:
        """Begin with none."""
        self._recorded: dict[str, Message] = {}
        self._as_appended: dict[str, Message] = {}  # of those that callers appended: as the callers have them

    def __contains__(self, tracking_id: object) -> bool:
        """Tell whether a message is outside the agent's list."""
        return tracking_id in self._recorded

    @property
    def ids(self) -> KeysView[str]:
        """The tracking ids."""
        return self._recorded.keys()

    def get(self, tracking_id: str) -> Message | None:
        """Return a message; None if there is no such message outside."""
        return self._recorded.get(tracking_id)

    def reset(self, recorded: dict[str, Message]) -> None:
        """Begin anew with what a restore left out."""
        self._recorded = recorded

    def add(self, recorded: Iterable[tuple[str, Message]]) -> None:
        """Note messages that were taken out of the agent's list."""
        self._recorded.update(recorded)

    def append(self, tracking_id: str, recorded: Message, given: Message) -> None:
        """Note a message that a caller appended: as it is recorded, and as the caller has it."""
        self._recorded[tracking_id], self._as_appended[tracking_id] = recorded, given

    def replace(self, tracking_id: str, message: Message) -> None:
        """Put a redacted message in the place of itself, if it is here."""
        if tracking_id in self._recorded:
            self._recorded[tracking_id] = message

    def pop(self, tracking_id: str) -> Message | None:
        """Take out a message that the agent holds now, and return it as it was recorded; None if it was not here."""
        self._as_appended.pop(tracking_id, None)
        return self._recorded.pop(tracking_id, None)

    def id_given(self, message: Any) -> str | None:
        """Return the id of a message that a caller appended before; None if none did."""
        return next((known for known, given in self._as_appended.items() if given is message), None)
