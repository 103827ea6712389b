"""The shape of a message, and the conversion of messages of another shape.

A session may hold any shape: Strands checks none, an import copies its source, and later versions read the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Message = dict[str, Any]
"""A Strands message; kept as the plain dictionary it is."""


Replacements = Mapping[str, Mapping[str, Any]]
"""For each redacted message's tracking id, the message that stands in its place."""


def id_of(message: Mapping[str, Any]) -> str:
    """Return a message's tracking id as it is looked for: a text, "" if it has none."""
    tracking_id = message.get("tracking_id", "")
    return tracking_id if type(tracking_id) is str else str(tracking_id)


def usable(message: Any) -> Message:
    """Return a message that may be looked into: its content is a list of blocks, and tool blocks have their ids.

    It is the very same one if it has the shape already. What is no block is left out; a message whose role or content
    is none has no content, as a placeholder, and a repair drops it.

    Raises:
        TypeError: It is no message at all.
    """
    if not isinstance(message, dict):
        raise TypeError(f"a {type(message).__name__}, not a message")
    content = message.get("content")
    if type(content) is list and type(message.get("role")) is str:
        for block in content:
            if not _is_block(block):
                break
        else:
            return message
    if not isinstance(message.get("role"), str):
        content = []
    elif isinstance(content, str):
        content = [{"text": content}]
    elif not isinstance(content, list | tuple):
        content = []
    return {**message, "content": [block for block in content if _is_block(block)]}


def is_message(value: Any) -> bool:
    """Tell whether an element of an agent's list of messages is a message, of any content."""
    return isinstance(value, dict)


def blocks_of(message: Any) -> list[dict[str, Any]]:
    """Return a message's blocks of content; none of what is no message."""
    content = message.get("content") if is_message(message) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list | tuple) else []


def is_tool_use_id(tool_use_id: Any) -> bool:
    """Tell whether a provider's id of a tool use can be told from others: a text, or a number."""
    return isinstance(tool_use_id, str | int | float)


def text_in(block: Mapping[str, Any]) -> str:
    """Return the text of a block, "" if it has none."""
    text = block.get("text")
    return text if isinstance(text, str) else ""


def bidi_note(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what BidiAgent notes about a message: its kind and, for streamed ones, its status."""
    return note_of(message, "bidi")


def note_of(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is noted about a message under a name. A program may keep anything of its own there, too."""
    note: Any = message
    for key in ("metadata", "custom", name):
        note = note.get(key) if isinstance(note, Mapping) else None
    return note if isinstance(note, dict) else {}


def _is_block(block: Any) -> bool:
    if type(block) is not dict:
        return False
    if "toolUse" in block:
        return _has_id(block["toolUse"])
    return _has_id(block["toolResult"]) if "toolResult" in block else True


def _has_id(use_or_result: Any) -> bool:
    return isinstance(use_or_result, dict) and is_tool_use_id(use_or_result.get("toolUseId"))


def replaced(value: Any, replacements: Replacements) -> Any:
    """Return a value with the redacted messages in it replaced, at any depth; the same if it has none."""
    if isinstance(value, dict):
        replacement = replacement_in(value, replacements) if "content" in value else None
        if replacement is not None:
            return replacement
        inner = {name: replaced(each, replacements) for name, each in value.items()}
        return inner if any(inner[name] is not value[name] for name in inner) else value
    if isinstance(value, list | tuple):
        elements = [replaced(each, replacements) for each in value]
        changed = any(new is not old for new, old in zip(elements, value, strict=True))
        return type(value)(elements) if changed else value
    return value


def replacement_in(message: Mapping[str, Any], replacements: Replacements) -> Mapping[str, Any] | None:
    """Return the replacement of a redacted message; None if it is not redacted, or is the replacement already."""
    if "tracking_id" not in message:
        return None
    replacement = replacements.get(id_of(message))
    return None if replacement is message else replacement
