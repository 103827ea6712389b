"""Messages of an agent redacted: in its list, in the session, and in what was last seen of both."""

from __future__ import annotations

from segue.history.messages import copy_of, differ, kept_copy, without_content
from segue.journal.message_shape import Message
from segue.strands.recording.agent_messages import AgentMessages
from segue.strands.recording.message_records import MessageRecords
from segue.strands.recording.outside_messages import OutsideMessages
from segue.strands.recording.seen_messages import SeenMessages


class MessageRedaction:
    """Redaction of one agent's messages, once all that was done to them before is recorded."""

    def __init__(
        self, messages: AgentMessages, seen: SeenMessages, outside: OutsideMessages, records: MessageRecords
    ) -> None:
        """Keep where a message may be.

        Args:
            messages: The agent's list.
            seen: Its messages as they were last seen.
            outside: Messages of the session that it does not hold.
            records: The records of its messages.
        """
        self._messages = messages
        self._seen = seen
        self._outside = outside
        self._records = records

    def without_content(self, tracking_id: str, replacement: str) -> Message:
        """Replace a message's content, and record that the old content is to be gone.

        Tool blocks keep their ids, so that uses and results stay paired.

        Returns:
            The message as it is now.

        Raises:
            KeyError: The session has no such message.
        """
        if tracking_id not in self._records.numbers:
            raise KeyError(f"no message {tracking_id!r} in the session: give the tracking id of a recorded one")
        places = self._seen.places(tracking_id)
        message = self._seen.messages[places[0]] if places else self._outside.get(tracking_id)
        if message is None:  # not in the history any more, but in the records
            message = {"role": "user", "content": [{}], "tracking_id": tracking_id}
        content = [without_content(block, replacement) for block in message["content"]]
        return self._redact(copy_of({**message, "content": content}))

    def latest(self, message: Message) -> Message | None:
        """Record that a message's content is to be gone, given what stands in its place.

        Args:
            message: A message that the session has, redacted already; or else what is to stand in the place of the
                message that was added last.

        Returns:
            The message as it is now; None if nothing of it was ever recorded.

        Raises:
            LookupError: There is no message yet.
        """
        tracking_id = message.get("tracking_id")
        if tracking_id not in self._records.numbers:
            if tracking_id in self._seen.ids:
                return None
            tracking_id = self._records.order.latest
        if tracking_id is None:
            raise LookupError("no message to redact: the session has none yet")
        return self._redact({**kept_copy(message), "tracking_id": tracking_id})

    def _redact(self, message: Message) -> Message:
        tracking_id = message["tracking_id"]
        for place in self._seen.places(tracking_id):
            held = self._seen.messages[place]
            if differ(held, message):
                own = kept_copy(message)
                self._messages.replace(held, own)
                self._seen.messages[place] = own
            self._seen.copies[place] = message
        self._outside.replace(tracking_id, message)
        self._records.redact(message)
        return message
