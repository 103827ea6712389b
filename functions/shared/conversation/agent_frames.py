"""Frames that tell clients of an agent's events.

    event of the agent           frame                                    leaves
    audio delta                  audio                                    at once
    barge-in                     barge_in                                 at once, after the queued audio was dropped
    transcript delta             transcript, final: false                 in order, not gated
    transcript block             transcript, final: true, with record     gated
    text block                   text, with record                        gated
    tool calls                   tool, started, with record               gated
    tool results                 tool, success or error, with record      gated
    (what a client typed)        history, with its line                   gated
    connection restart           restart                                  gated

A partial transcript carries all the words so far: partials may be lost on the way, and the next one makes up for it.
A text that no message holds is cut here; the journal has it all.
"""

from __future__ import annotations

import binascii
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Any, Final

from msgspec import Struct
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiTextBlockEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptBlockEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.types._events import ToolResultMessageEvent

from segue.history.messages import well_formed
from segue.wire.cutting import cut
from segue.wire.frames import (
    Approval,
    AudioOutput,
    BargeIn,
    HistoryLine,
    HistoryOutput,
    JournalFrame,
    Restart,
    Role,
    ServerFrame,
    TextOutput,
    Tool,
    Transcript,
)
from shared.conversation.messages import bidi_metadata, replaced_record, text_of
from shared.conversation.record_positions import Mark, Marks
from shared.log import logger

AUDIO_BYTES: Final = 22_500
"""PCM in one frame at most: 30,000 characters of base64, which leaves room for the rest within 32 KB. Divisible by 2
and by 3, so that no sample and no base64 group is cut."""


class Ordering(Enum):
    """Order in which a frame leaves: at once, after those queued, or once it is durable."""

    AT_ONCE = auto()
    IN_ORDER = auto()
    GATED = auto()


class Utterance(Struct, frozen=True):
    """A frame and how it leaves.

    Attributes:
        frame: The frame.
        ordering: How it leaves.
        position: Records that a gated one waits for; None: all that are queued.
        author: Of a line that was typed: the client that typed it.
    """

    frame: ServerFrame
    ordering: Ordering
    position: int | None = None
    author: str | None = None


class AgentFrames:
    """Maker of client frames from one agent's events."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._partials: dict[str, str] = {}
        self._tools: dict[str, str] = {}
        self._warned = False
        self._corrections: list[tuple[int, Utterance]] = []  # and typed lines, which are no events either

    @property
    def unshown(self) -> set[int | None]:
        """Records whose frames have not come out yet."""
        return self._marks.unshown | {record for record, _ in self._corrections}

    def frames_of(self, event: Any) -> Iterator[Utterance]:
        """Yield the frames of one event, often none, and corrections that waited for it."""
        for utterance in self._of(event):
            record = getattr(utterance.frame, "record", None)
            while self._corrections and record is not None and self._corrections[0][0] < record:
                yield self._corrections.pop(0)[1]
            yield utterance
        yield from self._due()

    def _of(self, event: Any) -> Iterator[Utterance]:
        match event:
            case BidiAudioDeltaEvent():
                yield from (Utterance(frame, Ordering.AT_ONCE) for frame in self._audio(event))
            case BidiBargeInEvent():
                yield Utterance(BargeIn(), Ordering.AT_ONCE)
            case BidiTranscriptStartEvent() | BidiTranscriptStopEvent():
                self._partials.pop(event.content_id, None)
            case BidiTranscriptDeltaEvent():
                text = self._partials[event.content_id] = self._partials.get(event.content_id, "") + event.delta
                yield Utterance(Transcript(role=event.role, text=_shown(text), final=False), Ordering.IN_ORDER)
            case BidiTranscriptBlockEvent():
                mark = self._marks.of_block("transcript", event.role, event.transcript)
                yield _gated(_transcript(event.role, event.transcript, _record(mark)), mark)
            case BidiTextBlockEvent():
                mark = self._marks.of_block("text", "assistant", event.text)
                yield _gated(TextOutput(text=_shown(event.text), record=_record(mark)), mark)
            case BidiToolUseBlocksEvent():
                yield from self._started(event)
            case ToolResultMessageEvent():
                yield from self._ended(event["message"])
            case BidiConnectionRestartEvent():
                self._partials.clear()
                yield Utterance(Restart(reason=event.reason), Ordering.GATED)

    def corrected(self, tracking_id: str, text: str, replaces: int | None) -> Iterator[Utterance]:
        """Yield the frame that corrects an answer's transcript, unless something recorded before it has to come first.

        It is no event of the agent's, so it can be ahead of those that still wait in the agent's queue. A client that
        has shown its record takes it that nothing is missing before that.

        Args:
            tracking_id: Of the answer's message, just corrected.
            text: What was heard of it.
            replaces: The record that the transcript was first shown with.
        """
        mark = self._marks.of_correction(tracking_id)
        if mark.record is None:  # what is not recorded has no place in the order of records
            yield _gated(_transcript("assistant", text, None, replaces), mark)
            return
        self._wait((mark.record, _gated(_transcript("assistant", text, mark.record, replaces), mark)))
        yield from self._due()

    def typed(self, message: Any, mark: Mark, author: tuple[str, int] | None) -> Iterator[Utterance]:
        """Yield the line that shows what was typed, unless something recorded before it has to come first.

        Args:
            message: The user's, just recorded.
            mark: Its position.
            author: The client that typed it, and its number there.
        """
        if mark.record is not None and (lines := typed_lines(message, mark.record, author and author[1])):
            frame = HistoryOutput(lines=lines)
            self._wait((mark.record, Utterance(frame, Ordering.GATED, mark.position, author and author[0])))
        yield from self._due()

    def _wait(self, waiting: tuple[int, Utterance]) -> None:
        insort(self._corrections, waiting, key=lambda one: one[0])

    def _due(self) -> Iterator[Utterance]:
        while self._corrections and not self._marks.unshown_before(self._corrections[0][0]):
            yield self._corrections.pop(0)[1]

    def _audio(self, event: BidiAudioDeltaEvent) -> Iterator[AudioOutput]:
        if event.format != "pcm" or event.channels != 1:
            if not self._warned:
                logger.error("the model's audio is not mono PCM and is not sent", format=event.format)
            self._warned = True
            return
        if len(event.audio) <= AUDIO_BYTES // 3 * 4:
            yield AudioOutput(audio=event.audio, rate=event.sample_rate)
            return
        pcm = binascii.a2b_base64(event.audio)
        for start in range(0, len(pcm), AUDIO_BYTES):
            piece = binascii.b2a_base64(pcm[start : start + AUDIO_BYTES], newline=False).decode("ascii")
            yield AudioOutput(audio=piece, rate=event.sample_rate)

    def _started(self, event: BidiToolUseBlocksEvent) -> Iterator[Utterance]:
        for use in event.tool_uses:
            self._tools[use["toolUseId"]] = use["name"]
            mark = self._marks.of_tool_use(use["toolUseId"])
            frame = Tool(name=use["name"], tool_use_id=use["toolUseId"], status="started", record=_record(mark))
            yield _gated(frame, mark)

    def _ended(self, message: Any) -> Iterator[Utterance]:
        mark = self._marks.of_message(message)
        for frame in _results(message, _record(mark), self._tools):
            self._tools.pop(frame.tool_use_id, None)
            yield _gated(frame, mark)


def retell(
    messages: Iterable[Any],
    record_of: Callable[[str], int | None],
    since: int,
    approvals: Iterable[Approval] = (),
    typed: Callable[[Any, int], tuple[HistoryLine, ...]] = lambda *_: (),
) -> list[JournalFrame]:
    """Say again what the journal has: the frames of all recorded messages from record ``since`` on, in order.

    Args:
        messages: The agent's history.
        record_of: Returns the record of the message with a tracking id.
        since: The first record wanted; -1 is the same as 0.
        approvals: What people were asked, of which only those records are wanted, too.
        typed: Returns the lines of what a user typed, for a client that wants them; see ``typed_lines``.
    """
    names: dict[str, str] = {}
    told: list[tuple[int, JournalFrame]] = [
        (frame.record, frame) for frame in approvals if frame.record is not None and frame.record >= since
    ]
    for message in messages:
        record = record_of(message.get("tracking_id", ""))
        frames = list(frames_of(message, record, names))
        if record is not None and record >= since:
            told += ((record, frame) for frame in frames)
            if lines := typed(message, record):
                told.append((record, HistoryOutput(lines=lines)))
    return [frame for _, frame in sorted(told, key=lambda one: one[0])]


def typed_lines(message: Any, record: int, seq: int | None = None) -> tuple[HistoryLine, ...]:
    """Return the lines that show what a user typed or sent as an image; none for any other message.

    Args:
        message: Of a session.
        record: Its record.
        seq: Its number, for the client that typed it.
    """
    content = message["content"]
    if message["role"] != "user" or bidi_metadata(message).get("kind") not in {None, "text"}:
        return ()
    if any("toolResult" in block for block in content):
        return ()
    lines: list[HistoryLine] = []
    if (text := text_of(message)).strip():
        lines.append(HistoryLine(record=record, role="user", kind="text", text=_shown(text), input=seq))
    if any("image" in block for block in content):
        lines.append(HistoryLine(record=record, role="user", kind="image", input=seq))
    return tuple(lines)


def frames_of(message: Any, record: int | None, names: dict[str, str]) -> Iterator[JournalFrame]:
    """Yield the frames that a message was shown with, and put its tool calls into ``names``."""
    for block in message["content"]:
        if "toolUse" in block and block["toolUse"]["toolUseId"] not in names:
            use = block["toolUse"]
            names[use["toolUseId"]] = use["name"]
            yield Tool(name=use["name"], tool_use_id=use["toolUseId"], status="started", record=record)
    metadata = bidi_metadata(message)
    if metadata.get("kind") != "tool_dispatch":
        yield from _results(message, record, names)
    complete = metadata.get("status", "complete") == "complete"
    if complete and metadata.get("kind") == "transcript":
        yield _transcript(message["role"], text_of(message), record, replaced_record(message))
    elif complete and message["role"] == "assistant" and (text := text_of(message)):
        yield TextOutput(text=_shown(text), record=record)


def _results(message: Any, record: int | None, names: dict[str, str]) -> Iterator[Tool]:
    for block in message["content"]:
        if "toolResult" in block:
            result = block["toolResult"]
            yield Tool(
                name=names.get(result["toolUseId"], ""),
                tool_use_id=result["toolUseId"],
                status="error" if result.get("status") == "error" else "success",
                record=record,
            )


def _transcript(role: Role, text: str, record: int | None, replaces: int | None = None) -> Transcript:
    return Transcript(role=role, text=_shown(text), final=True, record=record, replaces=replaces)


def _gated(frame: ServerFrame, mark: Mark | None) -> Utterance:
    return Utterance(frame, Ordering.GATED, mark.position if mark else None)


def _record(mark: Mark | None) -> int | None:
    return mark.record if mark else None


def _shown(text: str) -> str:
    """A text as a message can carry it."""
    return cut(well_formed(text))
