"""The messages that an agent holds, what of them is recorded, and the records for what is not.

Events tell of messages that are added or completed. What else is done to the history is found by looking: at the list
(``align``), and into the messages as well (``comparing``).

A dictionary that the agent holds may be the caller's, and so may the list. Neither is ever written to: what has to be
changed is replaced by a copy, in a list that is the agent's own (docs/rfcs/0013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from segue.errors import FirstError, ValueRefused
from segue.history.agent_history import AgentHistory
from segue.history.messages import differ, is_cut_speech, kept_copy
from segue.journal.message_shape import Message, id_of, is_message
from segue.session.weak_references import WeakAgent
from segue.strands.approvals import Inputs
from segue.strands.recording.agent_messages import AgentMessages
from segue.strands.recording.agent_records import AgentRecords
from segue.strands.recording.message_ids import (
    MessageIds,
    are_different,
    content_of,
    has_id,
    id_or_new,
    last_place,
    with_id,
)
from segue.strands.recording.message_records import MessageRecords
from segue.strands.recording.message_redaction import MessageRedaction
from segue.strands.recording.outside_messages import OutsideMessages
from segue.strands.recording.seen_messages import UNSEEN, SeenMessages

STEP = 256
"""Messages that are compared in one go: half a millisecond."""

_NO_MESSAGE = "no message, which is a dictionary with a role and content"

RECENT = 64
"""Newest messages of a voice agent that are compared after each response; a flush compares all."""


class HeldMessages:
    """Recorder of all that happens to one agent's messages. One thread at a time may use it."""

    def __init__(self, agent: WeakAgent, stored: AgentHistory | None, records: AgentRecords) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent, which is not kept alive. Its list of messages is.
            stored: Its history in the session, None if it is new there.
            records: Its records.
        """
        self._refuse = records.report_refused
        self._messages = AgentMessages(agent)
        self._seen = SeenMessages()
        self._outside = OutsideMessages()
        self._records = MessageRecords(stored, records, self._seen)
        self._ids = MessageIds(self._messages, self._seen, self._outside, self._records.order)
        self._redaction = MessageRedaction(self._messages, self._seen, self._outside, self._records)
        self._initial: list[Any] = []  # what a new agent was built with, until something is added

    @property
    def numbers(self) -> dict[str, int]:
        """For each message's tracking id, the record that last determined it."""
        return self._records.numbers

    @property
    def authors(self) -> dict[str, tuple[str, int]]:
        """For the tracking id of what a client said, the client's id and the number of its last input."""
        return self._records.authors

    def record_new_agent(self) -> None:
        """Give a new agent messages of its own instead of those that it was built with, and record them."""
        self._initial = list(self._messages.current)
        self._messages.own([with_id(kept_copy(message)) for message in self._initial])
        self.align()

    def count_from(self, first: int) -> None:
        """Renumber collected records from ``first``: they got numbers from 0 before they were queued."""
        self._records.count_from(first)

    def holds(self, tracking_id: str) -> bool:
        """Tell whether the agent held a message at the latest comparison."""
        return tracking_id in self._seen.ids

    def named(self, message: Message) -> Message:
        """Return a message with a tracking id, once all that was done before it is added is recorded."""
        self.align()
        return with_id(message)

    def add_recorded(self, message: Message, number: int) -> None:
        """Append a message that is recorded already to the agent's history."""
        end, tracking_id = len(self._seen), message["tracking_id"]
        self._messages.writable().append(message)
        self._seen.replace(slice(end, end), [message], [tracking_id])
        self._seen.copies[end] = message if self._records.in_part(tracking_id) else kept_copy(message)
        self._records.note_recorded(tracking_id, number)

    def restored(self, stored: Sequence[Message]) -> None:
        """Take the agent's messages as recorded: repairs and limits are no changes of the agent's.

        Args:
            stored: The messages as the session has them, in dictionaries that are changed no more.
        """
        self._messages.own([with_id(message) for message in self._messages.current])
        pristine = {id_of(message): message for message in stored}
        seen = self._seen
        seen.messages = list(self._messages.current)
        seen.ids = [message["tracking_id"] for message in seen.messages]
        seen.copies = [
            kept_copy(message) if differ(same := pristine.pop(known, UNSEEN), message) else same
            for known, message in zip(seen.ids, seen.messages, strict=True)
        ]
        self._outside.reset(pristine)

    def added(self, message: Message, inputs: Inputs) -> None:
        """Record a message that was added. One that has only begun is recorded when it is complete."""
        self._initial, end = [], len(self._seen)
        new = has_id(message) and message["tracking_id"] not in self._outside
        new = new and message["tracking_id"] not in self._records.order
        if new and self._seen.is_continued_by(self._messages.current, message):
            self._seen.replace(slice(end, end), [message], [message["tracking_id"]])
            self._enter(end, inputs, None)
        elif not self.align(told=message, inputs=inputs) and inputs is not None:
            self._records.effect_of(inputs)  # a hook has taken the message out again

    def updated(self, message: Message, inputs: Inputs) -> None:
        """Record that a message was completed or replaced."""
        tracking_id, seen = message["tracking_id"], self._seen
        place = last_place(self._messages.current, message)
        if place is not None and seen.ids[place : place + 1] == [tracking_id]:
            seen.messages[place] = message
            self._change(place, inputs)
            self._arrange()
        elif not self.align(told=message, inputs=inputs) and tracking_id in self._records.order:
            self._records.update(kept_copy(message), inputs)

    def append(self, message: Message, inputs: Inputs) -> None:
        """Record a message of the session that the agent may hold already, later or never."""
        brought, self._initial = self._initial, []
        held = self.align(told=message, inputs=inputs) or any(message is one for one in brought)
        if not is_message(message):
            self._refuse(ValueRefused("message", _NO_MESSAGE))
        if held or not content_of(message):
            return
        copied = with_id(kept_copy(message))
        tracking_id = copied["tracking_id"]
        if tracking_id in self._seen.ids:
            return
        self._outside.append(tracking_id, copied, message)
        if tracking_id in self._records.order:
            self._records.update(copied, inputs)
        else:
            self._records.put(copied, inputs, None)

    def align(self, told: Message | None = None, inputs: Inputs = None) -> bool:
        """Record which messages were put in, taken out, moved or replaced since the agent was last looked at.

        Args:
            told: The message that an event tells of. New ones after it are left to events of their own.
            inputs: Whose input it is the effect of.

        Returns:
            Whether the agent holds the message that was told of.

        Raises:
            RecordTooLarge: A message is; the others are recorded.
        """
        seen, current = self._seen, self._messages.current
        if not current and self._messages.kept_by_model:
            self._put_aside()
        place = None if told is None else last_place(current, told)
        gone, come = seen.difference(current)
        self._ids.assign_ids(come, gone)
        current = self._messages.current
        messages = current[come]
        ids = [id_or_new(message) for message in messages]
        if place is not None and come.stop == len(current):
            known = set(seen.ids[gone])
            while come.start + len(ids) - 1 > place and ids[-1] not in known:
                messages, ids = messages[:-1], ids[:-1]
        if gone.start < gone.stop or not self._outside.ids.isdisjoint(ids):
            self._records.moved = True
        seen.replace(gone, messages, ids)
        try:
            self._record_all(come.start, come.start + len(ids), place, inputs)
        finally:
            self._arrange()
        return place is not None

    def _put_aside(self) -> None:
        """Keep all held messages as part of the session, outside the agent's list."""
        self._outside.add(zip(self._seen.ids, self._seen.copies, strict=True))
        self._seen.replace(slice(0, len(self._seen)), [], [])

    def comparing(self, newest: int | None = None) -> Iterator[None]:
        """Record what was done without an event, step by step; the agent may go on between two steps.

        Args:
            newest: Look into so many messages; default: into all.

        Raises:
            RecordTooLarge: A message is; the others are recorded.
        """
        seen = self._seen
        with FirstError() as error:
            with error.kept():
                if newest is None or not seen.equals(self._messages.current):
                    self.align()
            start = 0 if newest is None else max(len(seen) - newest, 0)
            messages, copies = seen.messages[start:], seen.copies[start:]
            for first in range(0, len(messages), STEP):
                if first:
                    yield
                part = slice(first, first + STEP)
                if differ(messages[part], copies[part]):
                    for place, (message, copied) in enumerate(
                        zip(messages[part], copies[part], strict=True), start + first
                    ):
                        if differ(message, copied) and (now := seen.place(message, copied, place)) is not None:
                            with error.kept():
                                self._change(now, None)
                    self._arrange()

    def redact(self, tracking_id: str, replacement: str) -> Message:
        """Replace a message's content in the agent; see ``MessageRedaction.without_content``."""
        self.align()
        return self._redaction.without_content(tracking_id, replacement)

    def redact_latest(self, message: Message) -> Message | None:
        """Record that a message's content is to be gone; see ``MessageRedaction.latest``."""
        self.align()
        return self._redaction.latest(message)

    def _record_all(self, start: int, stop: int, told: int | None, inputs: Inputs) -> None:
        """Record what is new, and what came in another's place, of a part of the messages."""
        following = self._records.following(start, stop)
        places = [*range(start, stop)]
        if told is not None and inputs is not None and not start <= told < stop:
            places.append(told)
        with FirstError() as error:
            for place in places:
                whose = inputs if place == told else None
                with error.kept():
                    if self._seen.copies[place] is UNSEEN:
                        self._enter(place, whose, following[place - start])
                    elif whose is not None or differ(self._seen.messages[place], self._seen.copies[place]):
                        self._change(place, whose)

    def _enter(self, place: int, inputs: Inputs, before: str | None) -> None:
        """Record a message that was not held before."""
        copied = self._seen.copies[place] = kept_copy(self._seen.messages[place])
        if not is_message(copied):
            self._refuse(ValueRefused(f"messages[{place}]", _NO_MESSAGE))
            return
        known = self._outside.pop(self._seen.ids[place])
        if not content_of(copied):
            return
        if known is None:
            self._records.put(copied, inputs, before)
        elif inputs is not None or differ(copied, known):
            self._records.update(copied, inputs)

    def _change(self, place: int, inputs: Inputs) -> None:
        """Record a message that may have been changed, completed or emptied, or whose id may be another now."""
        message, was, tracking_id = self._seen.messages[place], self._seen.copies[place], self._seen.ids[place]
        if not is_message(message):
            self._seen.copies[place] = kept_copy(message)
            return
        sharing = self._records.sharing(place)
        split = any(are_different(message, self._seen.messages[other]) for other in sharing)
        if split or message.get("tracking_id") != tracking_id:
            self._seen.replace(slice(place, place + 1), [], [])
            self._records.moved = True
            self.align()
            return
        copied = self._seen.copies[place] = kept_copy(message)
        for other in sharing:
            self._seen.copies[other] = copied
        if tracking_id not in self._records.order:
            if content_of(copied) and not is_cut_speech(copied):  # the audio of that is sent again
                self._records.put(copied, inputs, *self._records.following(place, place + 1))
        elif not content_of(copied):
            self._records.moved = True
        elif inputs is not None or differ(copied, was):
            self._records.update(copied, inputs)
            if sharing:
                self._records.keep_all()

    def _arrange(self) -> None:
        """Record the order of the messages, where it is not the session's already."""
        self._records.arrange(self._outside.ids)
