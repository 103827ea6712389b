"""Pages of a session's conversation, for clients that ask for it. See docs/rfcs/0025-history.md.

    places   … 3   5   6   9   12            of what is recorded and has been shown; the newest page ends here
                   └── page ──┘               before=12: whole records, within LINES and PAGE_BYTES

Lines are in the order of the conversation. Its places are records, which grow along it: a message's own, or that of the
record that it was first shown with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from segue.wire.frames import Hello, HistoryLine, HistoryOutput, HistoryRequest, JournalFrame, Tool, Transcript
from shared.conversation.agent_frames import frames_of, typed_lines
from shared.conversation.messages import replaced_record

LINES: Final = 50
"""Lines of a page at most, unless one record alone has more."""

PAGE_BYTES: Final = 30_000
"""Bytes of a page's lines at most, as encoded; leaves room for the rest of the frame. A single line fits, because its
text is cut; of a single record with more lines than that, the first ones are in the page."""


PAGES_PER_SECOND: Final = 10.0
"""Pages of the conversation a second that one client is told on average; more are refused with ``too_fast``."""

PAGES_AT_ONCE: Final = 20
"""Pages that one client may ask for at once after a pause; more are refused with ``too_fast``. Each is 30 KB at
most."""


def asks_for_page(frame: object) -> bool:
    """Tell whether a frame is answered with a page: a ``hello`` of a client that comes new, too."""
    return isinstance(frame, HistoryRequest) or (
        isinstance(frame, Hello) and frame.history and frame.last_record is None
    )


@dataclass(frozen=True, slots=True)
class RecordedMessages:
    """The messages of an agent, and what the session knows of each.

    Attributes:
        messages: The agent's history.
        record_of: Returns the record of the message with a tracking id.
        author_of: Returns the client that typed it, and its number there.
    """

    messages: Sequence[Any]
    record_of: Callable[[str], int | None]
    author_of: Callable[[str], tuple[str, int] | None]

    def typed_by(self, client_id: str) -> Callable[[Any, int], tuple[HistoryLine, ...]]:
        """Return what makes the lines of typed messages, as one client is shown them."""

        def lines(message: Any, record: int) -> tuple[HistoryLine, ...]:
            author = self.author_of(message.get("tracking_id", ""))
            return typed_lines(message, record, author[1] if author is not None and author[0] == client_id else None)

        return lines

    def page(self, client_id: str, before: int | None, unshown: Collection[int | None] = ()) -> HistoryOutput:
        """Make a page.

        Args:
            client_id: The client that it is for.
            before: Only lines whose place is before this record; None for the newest page.
            unshown: Records that clients are about to be shown: they are in no page.
        """
        typed, uses = self.typed_by(client_id), _ToolUses(self.messages)
        lines: deque[HistoryLine] = deque()
        room, more = PAGE_BYTES, False
        for place in self._places(before, unshown):
            here: list[HistoryLine] = []
            for record, index in place:
                message = self.messages[index]
                here += [*map(_line, uses.frames_of(message, record, index)), *typed(message, record)]
            size = sum(map(_size, here))
            more = bool(lines and here) and (len(lines) + len(here) > LINES or size > room)
            if more:
                break
            while size > room and len(here) > 1:
                size -= _size(here.pop())
            room -= size
            lines.extendleft(reversed(here))
        return HistoryOutput(lines=tuple(lines), before=before, more=more)

    def _places(self, before: int | None, unshown: Collection[int | None]) -> Iterator[list[tuple[int, int]]]:
        """Yield what may be in a page, the newest place first: records and indexes of the messages of each.

        A message that was changed since, by a redaction say, has a later record than those that follow it. It shares
        the place of the next one, and so its page.
        """
        place, here = float("inf"), list[tuple[int, int]]()
        last = len(self.messages) - 1 if before is None else self._last_index_before(before)
        for index in range(last, -1, -1):
            message = self.messages[index]
            record = self.record_of(message.get("tracking_id", ""))
            if record is None or record in unshown:
                continue
            replaces = replaced_record(message)
            own = record if replaces is None else replaces
            if own < place:
                if here:
                    yield here
                place, here = own, []
            if before is None or place < before:
                here.insert(0, (record, index))
        if here:
            yield here

    def _last_index_before(self, before: int) -> int:
        """Return the index of the last message whose own place is before a record, -1 if there is none.

        All that come after it are passed by here: an older page of a long history costs little more than the newest.
        """
        record_of, messages = self.record_of, self.messages
        for index in range(len(messages) - 1, -1, -1):
            message = messages[index]
            record = record_of(message.get("tracking_id", ""))
            if record is None:
                continue
            if record < before:  # its place is this, or an earlier one
                return index
            if "segue" in ((message.get("metadata") or {}).get("custom") or {}):
                replaces = replaced_record(message)
                if replaces is not None and replaces < before:
                    return index
        return -1


class _ToolUses:
    """The tool uses of a history: a voice agent records each twice, and clients are shown the first record.

    They are looked for once a page has one: most pages of a long history have none.
    """

    def __init__(self, messages: Sequence[Any]) -> None:
        self._messages = messages
        self._found: dict[str, tuple[int, str]] | None = None

    def frames_of(self, message: Any, record: int, index: int) -> Iterator[JournalFrame]:
        """Yield the frames that a message was shown with."""
        known = {}
        for block in message["content"]:
            for kind in ("toolUse", "toolResult"):
                first = self._uses.get(block[kind].get("toolUseId", "")) if kind in block else None
                if first is not None and first[0] < index:
                    known[block[kind]["toolUseId"]] = first[1]
        return frames_of(message, record, known)

    @property
    def _uses(self) -> dict[str, tuple[int, str]]:
        """The index and the name of the first use of each id."""
        if self._found is None:
            self._found = {}
            for index, message in enumerate(self._messages):
                for block in message["content"]:
                    if "toolUse" in block:
                        self._found.setdefault(block["toolUse"]["toolUseId"], (index, block["toolUse"]["name"]))
        return self._found


def _line(frame: JournalFrame) -> HistoryLine:
    """Return the line that shows what a frame shows."""
    record = frame.record or 0
    match frame:
        case Transcript():
            return HistoryLine(
                record=record, role=frame.role, kind="transcript", text=frame.text, replaces=frame.replaces
            )
        case Tool():
            return HistoryLine(
                record=record,
                role="assistant",
                kind="tool",
                name=frame.name,
                tool_use_id=frame.tool_use_id,
                status=frame.status,
            )
        case _:
            return HistoryLine(record=record, role="assistant", kind="text", text=getattr(frame, "text", ""))


def _size(line: HistoryLine) -> int:
    return len(msgspec.json.encode(line)) + len(",")
