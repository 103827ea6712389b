"""Frames of the server: of a session's holder, and in few cases of the gateway itself."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from segue.lease.item import Known
from segue.wire.codes import RETRYABLE_CODES, standard_text
from segue.wire.fields import (
    ApprovalStatus,
    Base64,
    Count,
    HolderName,
    LineKind,
    RecordOrNone,
    Role,
    Seq,
    ToolStatus,
    Trace,
    from_base64,
)


class AudioFormat(Struct, frozen=True, kw_only=True):
    """The coding of audio: ``rate`` in samples a second, ``channels``, and ``format`` ("pcm")."""

    rate: Annotated[int, Meta(gt=0)]
    channels: Annotated[int, Meta(gt=0)]
    format: str


class AudioFormats(Struct, frozen=True, kw_only=True):
    """The audio formats of the agent's input and output."""

    input: AudioFormat
    output: AudioFormat


class ServerStruct(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The fields that every server frame carries.

    Attributes:
        epoch: of the holder that said it; ``None`` if the gateway itself answered.
        seq: from 1, per client id within the epoch.
        trace: W3C traceparent of what it belongs to, if that is known.
    """

    epoch: Count | None = None
    seq: Seq | None = None
    trace: Trace | None = None


class Ready(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ready"):
    """Notice that the session's holder speaks to this client.

    Attributes:
        session: session id.
        known: which of this client's input the committed records contain.
        history: how many messages the agent started with.
        head: how many records are committed.
        since: ``last_record`` of the ``Hello`` that this answers: the frames of that record and of all after it follow,
            said again. ``None`` if that had none, and when the holder speaks unasked (it has just taken the session).
        audio: what the agent hears and speaks; ``None`` if it does neither.
        window: how many frames may be on their way, sent and not ``Received``; ``None`` if the holder does not say
            what it has received.
        features: optional parts of the protocol that this holder knows (``history``, ``played``, ``silence``) or this
            connection takes (``direct``, ``binary``). An open set.
        holder: the name of the process that holds the session, for people; ``None`` if that is not said.
    """

    session: str
    known: Known
    history: Count
    head: Count
    since: RecordOrNone | None = None
    audio: AudioFormats | None = None
    window: Annotated[int, Meta(gt=0)] | None = None
    features: tuple[str, ...] = ()
    holder: HolderName | None = None


class InputAck(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="ack"):
    """Acknowledgement of durable inputs: every seq up to ``upto``, and those in ``beyond``."""

    upto: Count
    beyond: tuple[Seq, ...] = msgspec.field(default=())


class Received(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="received"):
    """Receipt of inputs that the holder has, but need not be durable: keep them, and do not repeat them.

    Attributes:
        upto: every seq up to this.
        beyond: those above it that have come, in order; they wait for what is missing between.
    """

    upto: Count
    beyond: tuple[Seq, ...] = msgspec.field(default=())


class AudioOutput(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="audio"):
    """A piece of the agent's speech: base64 of PCM16 mono at ``rate`` samples a second."""

    audio: Base64
    rate: Annotated[int, Meta(gt=0)]

    @property
    def pcm(self) -> bytes:
        """The raw samples."""
        return from_base64(self.audio, "audio")


class Transcript(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="transcript"):
    """A transcript of speech, of caller or agent. Only a final one is journal content and carries ``record``.

    With ``replaces`` it corrects the one with that ``record``: the caller barged in, and this much was heard.
    """

    role: Role
    text: str
    final: bool
    record: Count | None = None
    replaces: Count | None = None


class TextOutput(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """Text of the agent that was never speech."""

    text: str
    record: Count | None = None


class Tool(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="tool"):
    """Start or end of a tool."""

    name: str
    tool_use_id: str
    status: ToolStatus
    record: Count | None = None


class ApprovalRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the questions of an ``Approval``.

    Attributes:
        id: names it in the answer.
        name: what the agent's code calls it.
        reason: why it asks, any JSON value; a long one is cut.
        tool_use_id: the tool call that it is about, if it is about one.
    """

    id: str
    name: str
    reason: Any = None
    tool_use_id: str | None = None


class WaitingTool(Struct, frozen=True, kw_only=True):
    """A tool call that does not run before an ``Approval`` is answered.

    Attributes:
        tool_use_id: as in its ``Tool``.
        name: of the tool.
        input: what it is called with; a long one is cut.
    """

    tool_use_id: str
    name: str
    input: Any


class Approval(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="approval"):
    """A person's answer that the agent waits for (``asked``), or does not wait for any more.

    While it waits, the one that was asked is said again after every ``Ready``, whatever ``since`` says: show it once
    for each ``record``.

    Attributes:
        status: ``asked``; ``answered`` by a client; ``denied``, because no client can answer; ``expired``, because
            none did in time; ``withdrawn``, because the session went on without it.
        requests: with ``asked``: what is asked. All are answered together.
        tools: with ``asked``: the tool calls that wait.
        seconds: with ``asked``: how long it can still be answered. Afterwards say ``Hello``, and it is denied.
        of: otherwise: ``record`` of what was asked, if it was asked at all.
        reason: otherwise: in words, why.
        record: the journal's record that this shows.
    """

    status: ApprovalStatus
    requests: tuple[ApprovalRequest, ...] = ()
    tools: tuple[WaitingTool, ...] = ()
    seconds: Annotated[float, Meta(ge=0)] | None = None
    of: Count | None = None
    reason: str | None = None
    record: Count | None = None


class HistoryLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the conversation. Its place is ``replaces``, or else ``record``.

    Attributes:
        record: the journal's record that it shows.
        role: whose it is; a tool is the assistant's.
        kind: ``transcript``, ``text``, ``tool``, or ``image`` for an image of the user, which is not in the line.
        text: of a transcript or a text; a long one is cut.
        name: of a tool.
        tool_use_id: of a tool, as in ``Tool``.
        status: of a tool.
        replaces: of a transcript that was shortened after a barge-in: the record that it was first shown with.
        input: of what this client itself has typed: its ``seq``.
    """

    record: Count
    role: Role
    kind: LineKind
    text: str | None = None
    name: str | None = None
    tool_use_id: str | None = None
    status: ToolStatus | None = None
    replaces: Count | None = None
    input: Seq | None = None

    @property
    def place(self) -> int:
        """The record after whose predecessors it stands in the conversation."""
        return self.record if self.replaces is None else self.replaces


class HistoryOutput(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="history"):
    """Lines of the conversation, for clients whose ``Hello`` asked for them: a page of it, or a line typed just now.

    Attributes:
        lines: in order.
        before: of a page: as in the ``HistoryRequest`` that it answers.
        more: of a page: whether there are lines before it. ``None``: this is no page, but a line typed just now.
    """

    lines: tuple[HistoryLine, ...]
    before: Count | None = None
    more: bool | None = None

    @property
    def record(self) -> int | None:
        """The record of a line that was typed just now; ``None`` for a page."""
        return self.lines[0].record if self.lines and self.more is None else None


class BargeIn(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="barge_in"):
    """The user's speech over the agent's: stop playing and drop what is queued."""


class Restart(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="restart"):
    """Renewal of the connection to the model; the conversation goes on."""

    reason: str


class Moved(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="moved"):
    """Handoff of the session under way: hold input back until ``Ready``."""


class Pause(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="pause"):
    """A wait of the holder (``active``), or its end. There is nothing to do, and nothing lost.

    It has no ``seq``, so that a client that does not know it misses no number. Journal content, an ``ack`` or a
    ``ready`` that comes after it ends a pause, too.

    Attributes:
        active: whether it waits.
        reason: for what: ``storage`` is slow to save what was said, so that what shows it waits. The set is open.
    """

    active: bool
    reason: str


class Resume(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="resume"):
    """Room again for input that was refused: send everything unacknowledged again.

    A ``Received`` that follows it says what of that has come and need not be sent.
    """


class Reconnect(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="reconnect"):
    """The worker that owns this connection ends soon: open the next connection beside it, and say ``Hello`` there.

    Like ``Pong`` it is of the connection, not of the session, and has neither epoch nor number.

    Attributes:
        after_ms: milliseconds to wait before, so that a worker's clients do not all come at once.
    """

    after_ms: Count = 0


class Error(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="error"):
    """Refusal of a frame, or a failure. ``retryable``: the same may succeed later.

    Attributes:
        code: one of ``segue.wire.frames.MESSAGES``, or another.
        message: for people.
        retryable: whether the same may succeed later.
        input: ``seq`` of the input that was refused, where the holder says so.
    """

    code: str
    message: str
    retryable: bool
    input: Seq | None = None


class Pong(ServerStruct, frozen=True, kw_only=True, omit_defaults=True, tag="pong"):
    """The answer to ``Ping``."""


ServerFrame: TypeAlias = (
    Ready
    | InputAck
    | Received
    | AudioOutput
    | Transcript
    | TextOutput
    | Tool
    | Approval
    | HistoryOutput
    | BargeIn
    | Restart
    | Moved
    | Pause
    | Resume
    | Error
    | Reconnect
    | Pong
)
JournalFrame: TypeAlias = Transcript | TextOutput | Tool | Approval | HistoryOutput


def error_frame(code: str, message: str | None = None, *, retryable: bool | None = None) -> Error:
    """The frame that tells a client of an error.

    Args:
        code: one of the codes of ``MESSAGES``, or another.
        message: for people; the code's own text if left out.
        retryable: whether the same may succeed later; what the code says if left out, and no for one that is not known.
    """
    again = code in RETRYABLE_CODES if retryable is None else retryable
    return Error(code=code, message=message or standard_text(code), retryable=again)
