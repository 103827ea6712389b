"""The messages that an agent holds, what of them is recorded, and the records for what is not.

Events tell of messages that are added or completed. What else is done to the history is found by looking: at the list
(``align``), and into the messages as well (``comparing``).

A dictionary that the agent holds may be the caller's, and so may the list. Neither is ever written to: what has to be
changed is replaced by a copy, in a list that is the agent's own (docs/rfcs/0013).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from segue.errors import FirstError, ValueRefused
from segue.history.fold import AgentHistory, Message
from segue.history.messages import copy_of, differ, is_cut_speech, kept_by_model, kept_copy, without_content
from segue.history.order import SessionOrder
from segue.journal.message_shape import id_of, is_message
from segue.session.weak_references import WeakAgent
from segue.strands.recording.seen_messages import UNSEEN, SeenMessages

Inputs = tuple[str, tuple[int, ...]] | None

Write = Callable[..., int]
"""Queues a record, given its kind, its data and its inputs, and returns its number."""

Refuse = Callable[[ValueRefused], object]

STEP = 256
"""Messages that are compared in one go: half a millisecond."""

_NO_MESSAGE = "no message, which is a dictionary with a role and content"

RECENT = 64
"""Newest messages of a voice agent that are compared after each response; a flush compares all."""


class HeldMessages:
    """Turns what happens to one agent's messages into records. One thread at a time may use it.

    Attributes:
        numbers: For each message's tracking id, the record that last determined it.
        authors: For the tracking id of what a client said, the client's id and the number of its last input.
    """

    def __init__(self, agent: WeakAgent, stored: AgentHistory | None, write: Write, refuse: Refuse) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent, which is not kept alive. Its list of messages is.
            stored: Its history in the session, None if it is new there.
            write: Queues a record.
            refuse: Told of what the agent holds that is no message.
        """
        self.numbers: dict[str, int] = dict(stored.numbers) if stored else {}
        self.authors: dict[str, tuple[str, int]] = dict(stored.authors) if stored else {}
        self._agent = agent
        self._list: list[Any] = agent.agent.messages
        self._write = write
        self._refuse = refuse
        self._order = SessionOrder(id_of(message) for message in (stored.messages if stored else ()))
        self._seen = SeenMessages()
        self._own_list: list[Message] | None = None
        self._outside: dict[str, Message] = {}  # in the session, and not held
        self._brought: list[Any] = []  # what a new agent was built with, until something is added
        self._appended: dict[str, Message] = {}  # of these, what callers appended, as they have it
        self._odd: set[str] = set()  # recorded in part, since something of them was refused
        self._moved = False  # whether the session's order may not be the agent's

    @property
    def _current(self) -> list[Any]:
        """The agent's list of messages; that of an agent that is gone as it was last."""
        if (agent := self._agent.alive) is not None:
            self._list = agent.messages
        return self._list

    @_current.setter
    def _current(self, messages: list[Any]) -> None:
        self._list = messages
        if (agent := self._agent.alive) is not None:
            agent.messages = messages

    def introduce(self) -> None:
        """Give a new agent messages of its own instead of those that it was built with, and record them."""
        self._brought = list(self._current)
        self._own_list = self._current = [_named(kept_copy(message)) for message in self._brought]
        self.align()

    def count_from(self, first: int) -> None:
        """Renumber collected records from ``number``: they got numbers from 0 before they were queued."""
        self.numbers = {tracking_id: first + number for tracking_id, number in self.numbers.items()}

    def holds(self, tracking_id: str) -> bool:
        """Tell whether the agent held a message at the latest comparison."""
        return tracking_id in self._seen.ids

    def named(self, message: Message) -> Message:
        """Return a message with a tracking id, once all that was done before it is added is recorded."""
        self.align()
        return _named(message)

    def add_recorded(self, message: Message, number: int) -> None:
        """Append a message that is recorded already to the agent's history."""
        end, tracking_id = len(self._seen), message["tracking_id"]
        self._writable().append(message)
        self._seen.replace(slice(end, end), [message], [tracking_id])
        self._seen.copies[end] = message if tracking_id in self._odd else kept_copy(message)
        self.numbers[tracking_id] = number
        self._order.put(tracking_id, None)

    def recorded_in_part(self, tracking_id: str) -> None:
        """Note that a part of a message was refused.

        It is not looked into any more, until it is replaced or told of again: what it holds may raise when it is
        compared.
        """
        self._odd.add(tracking_id)

    def restored(self, stored: Sequence[Message]) -> None:
        """Take the agent's messages as recorded: repairs and limits are no changes of the agent's.

        Args:
            stored: The messages as the session has them, in dictionaries that are changed no more.
        """
        self._own_list = self._current = [_named(message) for message in self._current]
        pristine = {id_of(message): message for message in stored}
        seen = self._seen
        seen.messages = list(self._own_list)
        seen.ids = [message["tracking_id"] for message in seen.messages]
        seen.copies = [
            kept_copy(message) if differ(same := pristine.pop(known, UNSEEN), message) else same
            for known, message in zip(seen.ids, seen.messages, strict=True)
        ]
        self._outside = pristine

    def added(self, message: Message, inputs: Inputs) -> None:
        """Record a message that was added. One that has only begun is recorded when it is complete."""
        self._brought, end = [], len(self._seen)
        new = has_id(message) and message["tracking_id"] not in self._outside
        new = new and message["tracking_id"] not in self._order
        if new and self._seen.goes_on_with(self._current, message):
            self._seen.replace(slice(end, end), [message], [message["tracking_id"]])
            self._enter(end, inputs, None)
        elif not self.align(told=message, inputs=inputs) and inputs is not None:
            self._write("input", None, inputs)  # a hook has taken the message out again: its input is dealt with

    def updated(self, message: Message, inputs: Inputs) -> None:
        """Record that a message was completed or replaced."""
        tracking_id, seen = message["tracking_id"], self._seen
        place = _last_place(self._current, message)
        if place is not None and seen.ids[place : place + 1] == [tracking_id]:
            seen.messages[place] = message
            self._change(place, inputs)
            self._arrange()
        elif not self.align(told=message, inputs=inputs) and tracking_id in self._order:
            self._update(kept_copy(message), inputs)

    def append(self, message: Message, inputs: Inputs) -> None:
        """Record a message of the session that the agent may hold already, later or never."""
        brought, self._brought = self._brought, []
        held = self.align(told=message, inputs=inputs) or any(message is one for one in brought)
        if not is_message(message):
            self._refuse(ValueRefused("message", _NO_MESSAGE))
        if held or not _content(message):
            return
        copied = _named(kept_copy(message))
        tracking_id = copied["tracking_id"]
        if tracking_id in self._seen.ids:
            return
        self._outside[tracking_id], self._appended[tracking_id] = copied, message
        if tracking_id in self._order:
            self._update(copied, inputs)
        else:
            self._put(copied, inputs, None)

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
        seen = self._seen
        if not self._current and kept_by_model(self._agent.alive):
            self._put_aside()
        place = None if told is None else _last_place(self._current, told)
        gone, come = seen.difference(self._current)
        self._name(come, gone)
        messages = self._current[come]
        ids = [message["tracking_id"] if is_message(message) else str(uuid.uuid4()) for message in messages]
        if place is not None and come.stop == len(self._current):
            known = set(seen.ids[gone])
            while come.start + len(ids) - 1 > place and ids[-1] not in known:
                messages, ids = messages[:-1], ids[:-1]
        self._moved = self._moved or gone.start < gone.stop or not self._outside.keys().isdisjoint(ids)
        seen.replace(gone, messages, ids)
        try:
            self._record_all(come.start, come.start + len(ids), place, inputs)
        finally:
            self._arrange()
        return place is not None

    def _put_aside(self) -> None:
        """Keep all held messages as part of the session, outside the agent's list."""
        self._outside.update(zip(self._seen.ids, self._seen.copies, strict=True))
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
                if newest is None or not seen.equals(self._current):
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
        """Replace a message's content in the agent, and record that the old content is to be gone.

        Tool blocks keep their ids, so that uses and results stay paired.

        Returns:
            The message as it is now.

        Raises:
            KeyError: The session has no such message.
        """
        self.align()
        if tracking_id not in self.numbers:
            raise KeyError(f"no message {tracking_id!r} in the session")
        place = next((index for index, known in enumerate(self._seen.ids) if known == tracking_id), None)
        message = self._outside.get(tracking_id) if place is None else self._seen.messages[place]
        if message is None:  # not in the history any more, but in the records
            message = {"role": "user", "content": [{}], "tracking_id": tracking_id}
        content = [without_content(block, replacement) for block in message["content"]]
        return self._redact(copy_of({**message, "content": content}))

    def redact_latest(self, message: Message) -> Message | None:
        """Record that a message's content is to be gone, given what stands in its place.

        Args:
            message: A message that the session has, redacted already; or else what is to stand in the place of the
                message that was added last.

        Returns:
            The message as it is now; None if nothing of it was ever recorded.

        Raises:
            LookupError: There is no message yet.
        """
        self.align()
        tracking_id = message.get("tracking_id")
        if tracking_id not in self.numbers:
            if tracking_id in self._seen.ids:
                return None
            tracking_id = self._order.latest
        if tracking_id is None:
            raise LookupError("no message to redact: the session has none yet")
        return self._redact({**kept_copy(message), "tracking_id": tracking_id})

    def _redact(self, message: Message) -> Message:
        tracking_id = message["tracking_id"]
        for place, known in enumerate(self._seen.ids):
            if known == tracking_id:
                if differ(self._seen.messages[place], message):
                    self._replace(place, kept_copy(message))
                self._seen.copies[place] = message
        if tracking_id in self._outside:
            self._outside[tracking_id] = message
        self._say("redact", {"message": message})
        return message

    def _record_all(self, start: int, stop: int, told: int | None, inputs: Inputs) -> None:
        """Record what is new, and what came in another's place, of a part of the messages."""
        following = self._following(start, stop)
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
        tracking_id = self._seen.ids[place]
        known = self._outside.pop(tracking_id, None)
        self._appended.pop(tracking_id, None)
        if not _content(copied):
            return
        if known is None:
            self._put(copied, inputs, before)
        elif inputs is not None or differ(copied, known):
            self._update(copied, inputs)

    def _change(self, place: int, inputs: Inputs) -> None:
        """Record a message that may have been changed, completed or emptied, or whose id may be another now."""
        message, was, tracking_id = self._seen.messages[place], self._seen.copies[place], self._seen.ids[place]
        if not is_message(message):
            self._seen.copies[place] = kept_copy(message)
            return
        sharing = self._sharing(place)
        split = any(_are_different(message, self._seen.messages[other]) for other in sharing)
        if split or message.get("tracking_id") != tracking_id:
            self._seen.replace(slice(place, place + 1), [], [])
            self._moved = True
            self.align()
            return
        copied = self._seen.copies[place] = kept_copy(message)
        for other in sharing:
            self._seen.copies[other] = copied
        if tracking_id not in self._order:
            if _content(copied) and not is_cut_speech(copied):  # the audio of that is sent again
                self._put(copied, inputs, *self._following(place, place + 1))
        elif not _content(copied):
            self._moved = True
        elif inputs is not None or differ(copied, was):
            self._update(copied, inputs)
            if sharing:  # an update is of the newest only
                self._write("window", {"keep": self._order.ids})

    def _sharing(self, place: int) -> list[int]:
        """Other places with the id of a message."""
        tracking_id = self._seen.ids[place]
        if not self._order.is_shared(tracking_id):
            return []
        return [other for other, known in enumerate(self._seen.ids) if known == tracking_id and other != place]

    def _put(self, message: Message, inputs: Inputs, before: str | None) -> None:
        data: dict[str, Any] = {"message": message}
        if before is not None:
            data["before"] = before
            self._moved = self._moved or self._order.is_shared(before)  # then it is not clear before which
        self._say("message", data, inputs)
        self._order.put(message["tracking_id"], before)

    def _update(self, message: Message, inputs: Inputs) -> None:
        self._say("update", {"message": message}, inputs)

    def _say(self, kind: str, data: dict[str, Any], inputs: Inputs = None) -> None:
        tracking_id = data["message"]["tracking_id"]
        self._odd.discard(tracking_id)
        if inputs is not None and inputs[1]:
            self.authors[tracking_id] = inputs[0], inputs[1][-1]
        self.numbers[tracking_id] = self._write(kind, data, inputs)
        if tracking_id in self._odd:
            for place, known in enumerate(self._seen.ids):
                if known == tracking_id:
                    self._seen.copies[place] = self._seen.messages[place]

    def _arrange(self) -> None:
        """Record the order of the messages, where it is not the session's already."""
        if not self._moved:
            return
        held = zip(self._seen.ids, self._seen.copies, strict=True)
        ids = [known for known, copied in held if known in self._order and _content(copied)]
        self._moved = False
        if (window := self._order.window(ids, self._outside.keys())) is not None:
            self._write("window", window)

    def _following(self, start: int, stop: int) -> list[str | None]:
        """For each place of a part, the next message after it that is recorded already."""
        ids, copies = self._seen.ids, self._seen.copies
        following = next((ids[index] for index in range(stop, len(ids)) if ids[index] in self._order), None)
        found = []
        for place in range(stop - 1, start - 1, -1):
            found.append(following)
            recorded = ids[place] in self._order and copies[place] is not UNSEEN  # it may be in another place only
            following = ids[place] if recorded else following
        return found[::-1]

    def _name(self, part: slice, gone: slice) -> None:
        """Give messages without a tracking id one, in dictionaries of the agent's own.

        One that the caller appended to the session before has the id that the session knows it by. One that was copied
        from another and changed gets an id of its own; as long as the two are equal, a redaction is of both.

        Args:
            part: The messages that have come.
            gone: Those that were held in their place.
        """
        named: dict[int, Message] = {}
        held = self._held_by_id(part, gone)
        for place in range(part.start, part.stop):
            message = self._current[place]
            if not is_message(message):
                continue
            known = next((known for known, given in self._appended.items() if given is message), None)
            if known is None and has_id(message):
                shared = _are_different(message, held.get(message["tracking_id"]))
                known = str(uuid.uuid4()) if shared else message["tracking_id"]
            if known is None or known != message.get("tracking_id"):
                own = named.setdefault(id(message), _named({**kept_copy(message), "tracking_id": known}))
                self._writable()[place] = message = own
            held.setdefault(message["tracking_id"], message)

    def _held_by_id(self, part: slice, gone: slice) -> dict[str, Message]:
        """The messages that stay, by their ids, if one that has come may have the id of one."""
        if not any(has_id(message) and message["tracking_id"] in self._order for message in self._current[part]):
            return {}
        stay = (*range(gone.start), *range(gone.stop, len(self._seen)))
        return {self._seen.ids[place]: self._seen.messages[place] for place in stay}

    def _replace(self, place: int, message: Message) -> None:
        held = self._seen.messages[place]
        for index, one in enumerate(self._writable()):
            if one is held:
                self._writable()[index] = message
        self._seen.messages[place] = message

    def _writable(self) -> list[Message]:
        """The agent's list of messages; a copy in its place if the program has put one of its own there."""
        if self._current is not self._own_list:
            self._own_list = self._current = list(self._current)
        return self._own_list


def _last_place(messages: Sequence[Any], message: Message) -> int | None:
    return next((place for place in range(len(messages) - 1, -1, -1) if messages[place] is message), None)


def has_id(message: Message) -> bool:
    """Tell whether a message has a usable tracking id."""
    return is_message(message) and isinstance(message.get("tracking_id"), str)


def _content(message: Any) -> Any:
    """Return a message's content; empty if it only begins, or is no message."""
    return message.get("content") if is_message(message) else None


def _are_different(message: Message, other: Message | None) -> bool:
    return other is not None and other is not message and differ(other, message)


def _named(message: Message) -> Message:
    """Return a message with a tracking id: the very same one if it has one."""
    if has_id(message) or not is_message(message):
        return message
    known = message.get("tracking_id")
    return {**message, "tracking_id": str(uuid.uuid4() if known is None else known)}
