"""What recording does with a message or a state: name it, encode it, copy it, take its content out."""

from __future__ import annotations

import uuid
from typing import Any

from segue.history import Message


class Given(list[Message]):
    """Messages that nobody else will change: an agent may keep them as they are.

    ``load_snapshot`` copies deeply what it is given. For thousands of messages that takes a tenth of a second, in
    which no other conversation of this event loop is heard, and of what is nested deeply it takes two frames a level.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Message]:
        """Return the same messages, in a list of the caller's own."""
        return list(self)


def is_cut_speech(message: Message) -> bool:
    """Whether this stands for what a user said that was never transcribed, because the connection ended."""
    bidi = ((message.get("metadata") or {}).get("custom") or {}).get("bidi") or {}
    return message["role"] == "user" and (bidi.get("kind"), bidi.get("status")) == ("transcript", "incomplete")


def tracking_id_of(message: Any) -> str:
    """The tracking id of a message; Strands gives one to all that pass through it, older layouts have none."""
    if "tracking_id" not in message:
        message["tracking_id"] = str(uuid.uuid4())
    return str(message["tracking_id"])


def copy_of(value: Any) -> Any:
    """Copy the containers and share what they contain: cheap, also for images, to make and to compare with."""
    if isinstance(value, dict):
        return {key: copy_of(content) for key, content in value.items()}
    if isinstance(value, list):
        return [copy_of(element) for element in value]
    return tuple([copy_of(element) for element in value]) if type(value) is tuple else value


def well_formed(value: Any) -> Any:
    """Replace what UTF-8 has no form for: halves of surrogate pairs, which deltas cut in the wrong place give."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {well_formed(key): well_formed(content) for key, content in value.items()}
        case list():
            return [well_formed(element) for element in value]
        case _:
            return value


def without_content(block: Any, replacement: str) -> Any:
    """Return a block of content redacted. Tool blocks keep their ids, so that uses and results stay paired."""
    text = [{"text": replacement}]
    if "toolResult" in block:
        return {"toolResult": {**block["toolResult"], "content": text}}
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": {}}}
    return text[0]
