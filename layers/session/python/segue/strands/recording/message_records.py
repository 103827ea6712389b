"""The records of an agent's messages: added, changed, redacted, and in which order the session has them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from segue.history.agent_history import AgentHistory
from segue.history.order import SessionOrder
from segue.journal.message_shape import Message, id_of
from segue.strands.approvals import Inputs
from segue.strands.recording.agent_records import AgentRecords
from segue.strands.recording.message_ids import content_of
from segue.strands.recording.seen_messages import UNSEEN, SeenMessages


class MessageRecords:
    """Recorder of one agent's messages, with what the records say of each.

    Attributes:
        numbers: For each message's tracking id, the record that last determined it.
        authors: For the tracking id of what a client said, the client's id and the number of its last input.
        order: The messages of the session, in its order.
        moved: Whether the session's order may not be the agent's; ``arrange`` looks.
    """

    def __init__(self, stored: AgentHistory | None, records: AgentRecords, seen: SeenMessages) -> None:
        """Begin with the session's history of an agent.

        Args:
            stored: Its history in the session, None if it is new there.
            records: Its records.
            seen: Its messages as they were last seen.
        """
        self.numbers: dict[str, int] = dict(stored.numbers) if stored else {}
        self.authors: dict[str, tuple[str, int]] = dict(stored.authors) if stored else {}
        self.order = SessionOrder(id_of(message) for message in (stored.messages if stored else ()))
        self.moved = False
        self._records = records
        self._seen = seen

    def count_from(self, first: int) -> None:
        """Renumber collected records from ``first``: they got numbers from 0 before they were queued."""
        self.numbers = {tracking_id: first + number for tracking_id, number in self.numbers.items()}

    def note_recorded(self, tracking_id: str, number: int) -> None:
        """Note a message at the end of the session that is recorded already."""
        self.numbers[tracking_id] = number
        self.order.put(tracking_id, None)

    def put(self, message: Message, inputs: Inputs, before: str | None) -> None:
        """Record a message that is new to the session: before another one, or at the end."""
        data: dict[str, Any] = {"message": message}
        if before is not None:
            data["before"] = before
            self.moved = self.moved or self.order.is_shared(before)  # then it is not clear before which
        self._record("message", data, inputs)
        self.order.put(message["tracking_id"], before)

    def update(self, message: Message, inputs: Inputs) -> None:
        """Record that a message is another now."""
        self._record("update", {"message": message}, inputs)

    def redact(self, message: Message) -> None:
        """Record that a message's former content is to be gone."""
        self._record("redact", {"message": message}, None)

    def effect_of(self, inputs: Inputs) -> None:
        """Record that a client's input has no message: it is dealt with."""
        self._records.record("input", None, inputs)

    def keep_all(self) -> None:
        """Record the session's order as it is: of messages that share an id, an update is of the newest only."""
        self._records.record("window", {"keep": self.order.ids})

    def arrange(self, outside: AbstractSet[str]) -> None:
        """Record the order of the agent's messages, where it is not the session's already.

        Args:
            outside: Tracking ids of the messages of the session that the agent does not hold.
        """
        if not self.moved:
            return
        held = zip(self._seen.ids, self._seen.copies, strict=True)
        ids = [known for known, copied in held if known in self.order and content_of(copied)]
        self.moved = False
        if (window := self.order.window(ids, outside)) is not None:
            self._records.record("window", window)

    def following(self, start: int, stop: int) -> list[str | None]:
        """For each place of a part of the seen messages, the next message after it that is recorded already."""
        ids, copies = self._seen.ids, self._seen.copies
        following = next((ids[index] for index in range(stop, len(ids)) if ids[index] in self.order), None)
        found = []
        for place in range(stop - 1, start - 1, -1):
            found.append(following)
            recorded = ids[place] in self.order and copies[place] is not UNSEEN  # it may be in another place only
            following = ids[place] if recorded else following
        return found[::-1]

    def sharing(self, place: int) -> list[int]:
        """Other places of the seen messages with the id of one."""
        tracking_id = self._seen.ids[place]
        if not self.order.is_shared(tracking_id):
            return []
        return [other for other in self._seen.places(tracking_id) if other != place]

    def _record(self, kind: str, data: dict[str, Any], inputs: Inputs) -> None:
        tracking_id = data["message"]["tracking_id"]
        self._records.in_part.discard(tracking_id)
        if inputs is not None and inputs[1]:
            self.authors[tracking_id] = inputs[0], inputs[1][-1]
        self.numbers[tracking_id] = self._records.record(kind, data, inputs)
        if self.in_part(tracking_id):
            for place in self._seen.places(tracking_id):
                self._seen.copies[place] = self._seen.messages[place]

    def in_part(self, tracking_id: str) -> bool:
        """Tell whether a part of a message was refused.

        Such a message is not looked into any more, until it is replaced or told of again: what it holds may raise when
        it is compared.
        """
        return tracking_id in self._records.in_part
