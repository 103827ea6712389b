"""The conversation so far as a provider takes it: whole turns, newest kept, tool uses with their results.

The agent keeps its whole history; only what a new connection is told is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segue.history.repair import turns
from segue.journal.encoder import json_bytes
from segue.journal.message_shape import Message, bidi_note, blocks_of, text_in
from worker.providers.table import Limits

ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut of a history.

    Attributes:
        dropped: Oldest messages that were left out.
        shortened: Messages whose text was too long.
        tools: Tool uses and results that the provider does not take.
    """

    dropped: int = 0
    shortened: int = 0
    tools: int = 0

    def __bool__(self) -> bool:
        """True if something is missing that the provider could have had."""
        return bool(self.dropped or self.shortened)


def fit(messages: Iterable[Any], limits: Limits, share: float = 1.0) -> tuple[list[Message], Cut]:
    """Return what of a history a provider takes, and what was cut.

    Args:
        messages: An agent's messages; left alone.
        limits: What the provider takes.
        share: How much of that to use. Below 1 after a provider refused more.
    """
    whole = _once(message for message in messages if message["content"] and message["role"] in limits.roles)
    tools = sum("toolUse" in block or "toolResult" in block for message in whole for block in message["content"])
    if limits.text_only:
        whole = [_text_only(message) for message in whole]
    else:
        tools = 0
        whole = [_sendable(message) for message in whole]
    whole = [message for message in whole if message["content"]]
    fitted = [_shorten(message, limits.message_bytes.value) for message in whole]
    shortened = sum(before is not after for before, after in zip(whole, fitted, strict=True))
    total = limits.total_bytes.value
    if share < 1:
        size = _bytes(fitted, limits)
        total = int(share * (size if total is None else min(total, size)))
    kept = _newest(fitted, total, limits)
    return kept, Cut(dropped=len(whole) - len(kept), shortened=shortened, tools=tools)


def without_tools(limits: Limits) -> Limits:
    """Return a provider's limits once it has refused the tools."""
    return replace(limits, text_only=True)


def _once(messages: Iterable[Message]) -> list[Message]:
    """Take out the notes that a tool was started whose result has come: BidiAgent records such a call twice."""
    found = list(messages)
    kept: list[Message] = []
    answered: Counter[str] = Counter()  # by what comes later: an id may be used again
    for index in range(len(found) - 1, -1, -1):
        message = found[index]
        ids = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
        note = _is_dispatch(message) and bool(ids) and not Counter(ids) - answered
        if note and index > 0 and _asks_only(found[index - 1], set(ids)):
            answered.subtract(ids)
            found[index - 1] = {**found[index - 1], "content": []}
            continue
        if not _is_dispatch(message):
            answered.update(ids)
        if message["content"]:
            kept.append(message)
    return kept[::-1]


def _asks_only(message: Message, ids: set[str]) -> bool:
    return all("toolUse" in block and block["toolUse"]["toolUseId"] in ids for block in message["content"])


def _is_dispatch(message: Message) -> bool:
    return bool(bidi_note(message).get("kind") == "tool_dispatch")


def _text_only(message: Message) -> Message:
    return {**message, "content": [block for block in message["content"] if text_in(block).strip()]}


def _sendable(message: Message) -> Message:
    """Put a word in the place of what no real-time provider takes in a tool's result: images and documents."""

    def result(block: dict[str, Any]) -> dict[str, Any]:
        if "toolResult" not in block:
            return block
        parts = blocks_of(block["toolResult"])
        content = [part if text_in(part) or "json" in part else {"text": _word_for(part)} for part in parts]
        return {"toolResult": {**block["toolResult"], "content": content}}

    return {**message, "content": [result(block) for block in message["content"]]}


def _word_for(part: dict[str, Any]) -> str:
    return str(part["text"]) if part.get("text") is not None else f"[{next(iter(part), 'empty')}]"


def _shorten(message: Message, limit: int | None) -> Message:
    if limit is None or sum(len(text_in(block).encode()) for block in message["content"]) <= limit:
        return message
    room, content = limit, []
    for block in message["content"]:
        if not text_in(block):
            content.append(block)
            continue
        text = block["text"].encode()
        if len(text) > room:
            text = (text[: max(0, room - len(ELLIPSIS.encode()))].decode(errors="ignore") + ELLIPSIS).encode()
        if room > 0:
            content.append({**block, "text": text.decode()})
        room -= len(text)
    return {**message, "content": content}


def _newest(messages: Sequence[Message], total: int | None, limits: Limits) -> list[Message]:
    """Keep the newest whole turns; of the very newest, when it alone is too long, its newest exchanges."""
    kept = _last([list(turn) for turn in turns(messages)], total, limits)
    groups = _last([group for turn in kept for group in _groups(turn)], total, limits)
    first = limits.first_role
    start = next((at for at, group in enumerate(groups) if first is None or group[0]["role"] == first), len(groups))
    return [] if total == 0 else [message for group in groups[start:] for message in group]


def _last(parts: list[list[Message]], total: int | None, limits: Limits) -> list[list[Message]]:
    """Keep so many of the last parts as fit, one at least. Each is measured once: a history may have thousands."""
    if total is None:
        return parts
    room, start = total, len(parts)
    while start > 0:
        room -= _bytes(parts[start - 1], limits)
        if room < 0 and start < len(parts):
            break
        start -= 1
    return parts[start:]


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Single messages, but a tool use with its result."""
    asked: list[Message] = []
    for message in messages:
        if asked:
            yield [*asked, message]
            asked = []
        elif any("toolUse" in block for block in message["content"]):
            asked = [message]
        else:
            yield [message]
    if asked:
        yield asked


def _bytes(messages: Iterable[Message], limits: Limits) -> int:
    if limits.text_only:
        return sum(len(block["text"].encode(errors="replace")) for message in messages for block in message["content"])
    return sum(len(json_bytes(message["content"])) for message in messages)
