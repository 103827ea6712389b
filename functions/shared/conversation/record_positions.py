"""Which record of the journal an event of the agent belongs to.

The agent's events carry no record numbers. But each message passes the hooks before its event comes out, and the
session manager queues its record there. So a hook just after the manager's notes where the message went:

    a transcript ends ─▶ the manager queues record 41 ─▶ noted: record 41, position 42 ─▶ … ─▶ the event comes out

The frame made from the event shows record 41 and may leave when 42 records are durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from strands.hooks import HookRegistry, MessageAddedEvent, MessageUpdatedEvent

from segue.bounded import BoundedDict
from shared.conversation.messages import bidi_metadata, text_of

BEFORE_THE_MANAGER: Final = -1_000_000
"""A hook order before all that Strands and the session manager use."""

AFTER_THE_MANAGER: Final = 1_000_000
"""A hook order behind all that Strands and the session manager use."""

_KEPT: Final = 256
"""Messages remembered at most; an older one is forgotten. An event follows its message within a few others."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A message's position in the journal.

    Attributes:
        record: The number of its record, None if it has none.
        position: Records that must be durable for it to be so.
    """

    record: int | None
    position: int


class Marks:
    """Places of messages, noted as they are recorded, for the events that follow.

    Attributes:
        on_user: Called with each message of the user that was recorded whole, of which no event follows, and its place.
    """

    def __init__(self, record_of: Callable[[str], int | None], position: Callable[[], int]) -> None:
        """Keep where to look.

        Args:
            record_of: Returns the record of the message with a tracking id.
            position: Returns how many records are committed or queued.
        """
        self._record_of = record_of
        self._position = position
        self._tools: BoundedDict[str, Mark] = BoundedDict(_KEPT)
        self._messages: BoundedDict[str, Mark] = BoundedDict(_KEPT)
        self.on_user: Callable[[Any, Mark], None] = lambda *_: None
        self._blocks: deque[tuple[str, str, str, Mark]] = deque(maxlen=_KEPT)

    def register(self, hooks: HookRegistry) -> None:
        """Look after the session manager."""
        hooks.add_callback(MessageAddedEvent, self._added, order=AFTER_THE_MANAGER)
        hooks.add_callback(MessageUpdatedEvent, self._updated, order=AFTER_THE_MANAGER)

    @property
    def unshown(self) -> set[int | None]:
        """Records whose events have not come out yet."""
        blocks = (mark for _, _, _, mark in self._blocks)
        return {mark.record for mark in (*blocks, *self._tools.values(), *self._messages.values())}

    def of_block(self, kind: str, role: str, text: str) -> Mark | None:
        """Return the position of a completed text or transcript. Each is found once, in order.

        Args:
            kind: "text" or "transcript".
            role: Who said it.
            text: All of it.
        """
        for index, (a_kind, a_role, a_text, mark) in enumerate(self._blocks):
            if (a_kind, a_role, a_text) == (kind, role, text):
                # Those before it were completed on a model connection that was replaced: no event follows them.
                for _ in range(index + 1):
                    self._blocks.popleft()
                return mark
        return None

    def of_correction(self, tracking_id: str) -> Mark:
        """Return the position of a transcript's correction. It does not wait for earlier records to be shown.

        Args:
            tracking_id: Of the message that was corrected just now.
        """
        mark = Mark(self._record_of(tracking_id), self._position())
        for index, (_, _, _, noted) in enumerate(self._blocks):
            if noted.record == mark.record:
                del self._blocks[index]
                return noted
        return mark

    def unshown_before(self, record: int) -> bool:
        """Return true if the event of a lower record has not been shown yet."""
        return any(one is not None and one < record for one in self.unshown)

    def of_tool_use(self, tool_use_id: str) -> Mark | None:
        """Return the position of a tool call."""
        return self._tools.pop(tool_use_id, None)

    def of_message(self, message: Any) -> Mark | None:
        """Return the position of an event's message with tool results."""
        for block in message["content"]:
            if "toolResult" in block:  # its call came out before it; what is noted of that is the second recording
                self._tools.pop(block["toolResult"]["toolUseId"], None)
        return self._messages.pop(message.get("tracking_id", ""), None)

    def _mark(self, message: Any) -> Mark:
        return Mark(self._record_of(message.get("tracking_id", "")), self._position())

    def _added(self, event: Any) -> None:
        message, mark = event.message, self._mark(event.message)
        if message["role"] == "user":
            self.on_user(message, mark)
        if bidi_metadata(message).get("kind") == "tool_result":
            self._messages[message.get("tracking_id", "")] = mark
        for block in message["content"]:
            # BidiAgent records a tool call twice: when it is made, and again next to its result. The first counts.
            if "toolUse" in block and block["toolUse"]["toolUseId"] not in self._tools:
                self._tools[block["toolUse"]["toolUseId"]] = mark

    def _updated(self, event: Any) -> None:
        metadata = bidi_metadata(event.message)
        if metadata.get("status") == "complete":
            entry = (
                str(metadata.get("kind")),
                event.message["role"],
                text_of(event.message),
                self._mark(event.message),
            )
            self._blocks.append(entry)
