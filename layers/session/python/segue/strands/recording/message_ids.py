"""Tracking ids of an agent's messages, and what tells one message from another."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from segue.history.messages import differ, kept_copy
from segue.history.order import SessionOrder
from segue.journal.message_shape import Message, is_message
from segue.strands.recording.agent_messages import AgentMessages
from segue.strands.recording.outside_messages import OutsideMessages
from segue.strands.recording.seen_messages import SeenMessages


def has_id(message: Message) -> bool:
    """Tell whether a message has a usable tracking id."""
    return is_message(message) and isinstance(message.get("tracking_id"), str)


def with_id(message: Message) -> Message:
    """Return a message with a tracking id: the very same one if it has one."""
    if has_id(message) or not is_message(message):
        return message
    known = message.get("tracking_id")
    return {**message, "tracking_id": str(uuid.uuid4() if known is None else known)}


def id_or_new(message: Any) -> str:
    """Return the id of a message that has one; a new one for what is no message."""
    return message["tracking_id"] if is_message(message) else str(uuid.uuid4())


def content_of(message: Any) -> Any:
    """Return a message's content; empty if it only begins, or is no message."""
    return message.get("content") if is_message(message) else None


def are_different(message: Message, other: Message | None) -> bool:
    """Tell whether two messages are neither the same one nor equal."""
    return other is not None and other is not message and differ(other, message)


def last_place(messages: Sequence[Any], message: Message) -> int | None:
    """Return the last index of the very same message, None if it is not there."""
    return next((place for place in range(len(messages) - 1, -1, -1) if messages[place] is message), None)


class MessageIds:
    """Tracking ids for messages that an agent holds without one."""

    def __init__(
        self, messages: AgentMessages, seen: SeenMessages, outside: OutsideMessages, order: SessionOrder
    ) -> None:
        """Keep what may have an id.

        Args:
            messages: The agent's list.
            seen: Its messages as they were last seen.
            outside: Messages of the session that it does not hold.
            order: The messages of the session.
        """
        self._messages = messages
        self._seen = seen
        self._outside = outside
        self._order = order

    def assign_ids(self, come: slice, gone: slice) -> None:
        """Give messages without a tracking id one, in dictionaries of the agent's own.

        One that the caller appended to the session before has the id that the session knows it by. One that was copied
        from another and changed gets an id of its own; as long as the two are equal, a redaction is of both.

        Args:
            come: The messages that have come.
            gone: Those that were held in their place.
        """
        named: dict[int, Message] = {}
        held = self._held_by_id(come, gone)
        for place in range(come.start, come.stop):
            message = self._messages.current[place]
            if not is_message(message):
                continue
            known = self._outside.id_given(message)
            if known is None and has_id(message):
                shared = are_different(message, held.get(message["tracking_id"]))
                known = str(uuid.uuid4()) if shared else message["tracking_id"]
            if known is None or known != message.get("tracking_id"):
                own = named.setdefault(id(message), with_id({**kept_copy(message), "tracking_id": known}))
                self._messages.writable()[place] = message = own
            held.setdefault(message["tracking_id"], message)

    def _held_by_id(self, come: slice, gone: slice) -> dict[str, Message]:
        """The messages that stay, by their ids, if one that has come may have the id of one."""
        if not any(has_id(one) and one["tracking_id"] in self._order for one in self._messages.current[come]):
            return {}
        stay = (*range(gone.start), *range(gone.stop, len(self._seen)))
        return {self._seen.ids[place]: self._seen.messages[place] for place in stay}
