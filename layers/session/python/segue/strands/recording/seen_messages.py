"""The messages of an agent as they were last seen: the very dictionaries, and a copy of each.

Whether the agent still holds the same dictionaries is answered in microseconds, also for ten thousand. Whether
something was changed inside one of them is a comparison with its copy.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from segue.history.messages import differ
from segue.journal.message_shape import Message

UNSEEN: Message = {}
"""Stands for the copy of a message that has just come; no message is equal to it."""


class SeenMessages:
    """Three lists of one length.

    Attributes:
        messages: The dictionaries that the agent held.
        ids: Their tracking ids.
        copies: Each as it was when it was recorded, restored or refused; ``UNSEEN`` if it has just come.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.messages: list[Message] = []
        self.ids: list[str] = []
        self.copies: list[Message] = []

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.messages)

    def is_continued_by(self, messages: Sequence[Any], message: Message) -> bool:
        """Tell whether an agent's list is this one and one message more, judged by its end."""
        end = len(self.messages)
        if len(messages) != end + 1 or messages[end] is not message:
            return False
        return not end or messages[end - 1] is self.messages[end - 1]

    def equals(self, messages: Sequence[Any]) -> bool:
        """Tell whether an agent's list is equal to this one, and has the very same messages at its ends.

        Fifty times as fast as a full comparison. An equal message in place of another in between is overlooked.
        """
        if len(messages) != len(self.messages) or differ(messages, self.messages):
            return False
        return not messages or (messages[0] is self.messages[0] and messages[-1] is self.messages[-1])

    def difference(self, messages: Sequence[Any]) -> tuple[slice, slice]:
        """Find what has come in place of what.

        Args:
            messages: What the agent holds now.

        Returns:
            The part that is not there any more, and the part of ``messages`` that is there instead.
        """
        if len(messages) == len(self.messages) and all(map(operator.is_, messages, self.messages)):
            return slice(0, 0), slice(0, 0)
        start = _common(messages, self.messages)
        end = _common(messages[start:][::-1], self.messages[start:][::-1])
        return slice(start, len(self.messages) - end), slice(start, len(messages) - end)

    def replace(self, part: slice, messages: Sequence[Message], ids: Sequence[str]) -> None:
        """Put messages in the place of others. One with the id of another that goes takes over its copy."""
        left: dict[str, list[Message]] = {}
        for tracking_id, copied in zip(self.ids[part], self.copies[part], strict=True):
            left.setdefault(tracking_id, []).append(copied)
        self.copies[part] = [same.pop(0) if (same := left.get(known)) else UNSEEN for known in ids]
        self.messages[part] = messages
        self.ids[part] = ids

    def places(self, tracking_id: str) -> list[int]:
        """Return the places of the messages with an id."""
        return [place for place, known in enumerate(self.ids) if known == tracking_id]

    def place(self, message: Message, copied: Message, near: int) -> int | None:
        """Find a message of which just this was seen, first where it was before."""
        for index in (near, *range(len(self.messages))):
            if index < len(self.messages) and self.messages[index] is message:
                return index if self.copies[index] is copied else None
        return None


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return the number of leading elements that are the very same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a is not b), min(len(one), len(other)))
