"""A conversation as text: who, when, what was said, which tools ran."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from segue.cli.output import clean, iso
from segue.history.agent_history import AgentHistory
from segue.history.approvals import RecordedApproval, open_of
from segue.history.fold import under_way
from segue.journal.message_shape import Message
from segue.journal.records import Record

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "yellow"}

_ROLE_WIDTH = 9
"""Characters of the column of roles, as many as ``assistant`` has; what is longer moves its own line to the right."""

_VALUE_LENGTH = 200
"""Characters of a tool's arguments or of a state that are shown in one line; ``--json`` has them all."""


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One thing in a transcript.

    Attributes:
        who: A role, ``tool``, or what kind of record it is.
        text: What it says, maybe on several lines.
    """

    who: str
    text: str


def lines_of(message: Message) -> Iterator[TranscriptLine]:
    """Say what is in a message, block by block."""
    for block in message["content"]:
        yield _line_of(block, str(message["role"]))


def _line_of(block: Mapping[str, Any], role: str) -> TranscriptLine:
    return TranscriptLine("tool" if "toolResult" in block else role, _text_of(block))


def _text_of(block: Mapping[str, Any]) -> str:
    match block:
        case {"text": str(said)}:
            text = said
        case {"toolUse": {"name": name, **use}}:
            text = f"calls {name}({_short(use.get('input'))})"
        case {"toolResult": {"content": content, **result}}:
            text = f"{result.get('status', 'success')}: {_parts_of(content)}"
        case {"json": value}:
            text = _short(value)
        case {"reasoningContent": {"reasoningText": {"text": str(thought)}}}:
            text = f"(thinks) {thought}"
        case {"image": dict()} | {"document": dict()} | {"video": dict()} | {"audio": dict()}:
            text = _media(block)
        case _:
            text = f"<{', '.join(map(str, block))}>"
    return text


def _parts_of(content: Any) -> str:
    """Return a tool's result as text: blocks as a rule, but any value may come."""
    if not isinstance(content, list | tuple):
        return _short(content)
    return " ".join(_text_of(part) if isinstance(part, dict) else _short(part) for part in content)


def _media(block: Mapping[str, Any]) -> str:
    kind, content = next(iter(block.items()))
    source = content.get("source")
    body = source.get("bytes") if isinstance(source, dict) else None
    size = f"{len(body):,} bytes" if isinstance(body, bytes) else "elsewhere"
    return f"<{' '.join(map(str, filter(None, (kind, content.get('name'), content.get('format')))))}, {size}>"


def record_line(record: Record) -> Iterator[TranscriptLine]:
    """Say what a record changes."""
    try:
        yield from _told(record.kind, record.data)
    except (AttributeError, KeyError, TypeError):
        yield TranscriptLine(record.kind, "cannot be shown: run 'segue sessions verify'")


def _told(kind: str, data: Any) -> Iterator[TranscriptLine]:
    match kind:
        case "message":
            yield from lines_of(data["message"])
        case "update" | "redact":
            yield from (TranscriptLine(kind, f"{line.who}: {line.text}") for line in lines_of(data["message"]))
        case "agent":
            yield TranscriptLine(kind, f"{data['class']} {data.get('name') or ''}".strip())
        case "tool":
            ended = f" {data['status']} in {data['ms']} ms" if "status" in data and "ms" in data else ""
            yield TranscriptLine(kind, f"{data['name']} {data['phase']}{ended}")
        case "connection":
            yield TranscriptLine(kind, " ".join(str(data[name]) for name in ("provider", "model_id") if data.get(name)))
        case "window" if "drop" in data:
            yield TranscriptLine(kind, f"{len(data['drop'])} messages left the history")
        case "window":
            yield TranscriptLine(kind, f"the history is now {len(data['keep'])} messages")
        case "approval":
            yield TranscriptLine(kind, _approval(data))
        case "rewind" | "skip" | "unreadable":
            yield TranscriptLine(kind, _of_records(kind, data))
        case _:
            yield TranscriptLine(kind, _short(data))


def _of_records(kind: str, data: Any) -> str:
    if kind == "rewind":
        return f"back to record {data['to']}"
    return f"record {data['record']} is damaged, and left out" if kind == "skip" else str(data["problem"])


def print_agent(console: Console, agent: AgentHistory, records: Sequence[Record], last: int | None) -> None:
    """Print an agent's history.

    Args:
        console: Where.
        agent: The agent.
        records: The session's records, for the times.
        last: Only so many messages, the latest.
    """
    messages = agent.messages if last is None else agent.messages[max(0, len(agent.messages) - last) :]
    if agent.system_prompt:
        for block in agent.system_prompt:
            if "text" in block:
                print_line(console, None, TranscriptLine("system", str(block["text"])))
    day = None
    for message in messages:
        number = number_of(agent, message)
        at = None if number is None else iso(records[number].at)
        if at is not None and at[:10] != day:
            day = at[:10]
            console.print(Text(day, style="dim"))
        for line in lines_of(message):
            print_line(console, at, line)
    for since, unfinished in _unfinished(agent):
        print_line(console, iso(since), unfinished)


def _unfinished(agent: AgentHistory) -> Iterator[tuple[int | None, TranscriptLine]]:
    """Say what has no end yet: tools that run, and what people are asked."""
    asked = open_of(agent.approvals)
    waiting = {tool["toolUseId"] for tool in asked.tools} if asked else set()
    for run in under_way(agent.tools):
        if run.get("tool_use_id") not in waiting:
            yield run.get("started_at"), TranscriptLine("tool", f"{run.get('name')} is under way, or was cut off")
    if asked is not None:
        yield from ((asked.at, TranscriptLine("approval", text)) for text in _asked(asked))


def _approval(data: Mapping[str, Any]) -> str:
    names = ", ".join(map(str, (data.get("requests") or {}).values()))
    match data["status"]:
        case "asked":
            return f"asked for {data['seconds']:g} s: {names}"
        case "refused":
            return f"an input was refused, {data['code']}"
        case status:
            return f"{status}: {names}" + (f" ({data['why']})" if data.get("why") else "")


def _asked(approval: RecordedApproval) -> Iterator[str]:
    """Say what people are asked, and until when."""
    until = iso(int(approval.until * 1000))
    for request in approval.requests:
        tool = next((tool for tool in approval.tools if tool["toolUseId"] == request["tool_use_id"]), None)
        about = "" if tool is None else f" for {tool['name']}({_short(tool.get('input'))})"
        reason = "" if request["reason"] is None else f": {_short(request['reason'])}"
        yield f"waits until {until} for {request['name']}{about}{reason}"


def number_of(agent: AgentHistory, message: Message) -> int | None:
    """The record that last determined a message."""
    return agent.numbers.get(message.get("tracking_id", ""))


def print_line(console: Console, at: str | None, line: TranscriptLine, number: int | None = None) -> None:
    """Print one thing that was said or done.

    Args:
        console: Where.
        at: When, as ISO 8601; None if that is not known.
        line: The thing.
        number: Its record, to be shown too.
    """
    head = f"{'' if at is None else at[11:19]:8}  " + ("" if number is None else f"{f'#{number}':>6}  ")
    role = f"{line.who:{_ROLE_WIDTH}}  "
    text = clean(line.text).replace("\n", "\n" + " " * (len(head) + len(role)))
    console.print(Text(head, style="dim") + Text(role, style=_STYLES.get(line.who, "magenta")) + Text(text, style=""))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=lambda body: f"<{len(body):,} bytes>")
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
