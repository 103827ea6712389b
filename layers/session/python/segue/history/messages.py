"""Messages and states as they are recorded and restored: copied, compared, emptied of content."""

from __future__ import annotations

import contextlib
from typing import Any

from segue.history.agent_history import AgentHistory, History
from segue.journal.message_shape import Message, bidi_note


class OwnMessages(list[Message]):
    """Messages that are the agent's own already: it may keep them as they are.

    ``load_snapshot`` copies deeply what it is given. For thousands of messages that takes a tenth of a second, in
    which no other conversation of this event loop is heard, and of what is nested deeply it takes two frames a level.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Message]:
        """Return the same messages, in a list of the caller's own."""
        return list(self)


def make_spare(history: History) -> None:
    """Copy the messages of all agents ahead of their restore. Takes milliseconds for a thousand: not on a loop."""
    for agent in history.agents.values():
        with contextlib.suppress(RecursionError):  # the restore says which message is nested too deeply
            agent.spare = copy_of(agent.messages)


def messages_of(stored: AgentHistory) -> list[Message]:
    """Return a history's messages, in dictionaries that are the caller's from now on."""
    spare, stored.spare = stored.spare, None
    return copy_of(stored.messages) if spare is None else spare


def kept_by_model(agent: Any) -> bool:
    """Tell whether an agent's model keeps the conversation itself; Strands then empties the history after each turn."""
    return getattr(getattr(agent, "model", None), "stateful", False) is True


def is_cut_speech(message: Message) -> bool:
    """Tell whether a message stands for speech that was never transcribed, because the connection ended."""
    note = bidi_note(message)
    return message.get("role") == "user" and (note.get("kind"), note.get("status")) == ("transcript", "incomplete")


def copy_of(value: Any) -> Any:
    """Copy the containers and share what they contain: cheap, also for images, to make and to compare with.

    Each container is copied in one go before it is looked through: another thread may change it at any time.
    """
    if isinstance(value, dict):
        return {key: copy_of(content) for key, content in value.copy().items()}
    if isinstance(value, list):
        return [copy_of(element) for element in value.copy()]
    return tuple([copy_of(element) for element in value]) if type(value) is tuple else value


def kept_copy(message: Message) -> Message:
    """Return a copy to compare a message with later; the very same message if it is nested too deeply to be copied."""
    try:
        return copy_of(message)  # type: ignore[no-any-return]  # a message's copy is a message
    except RecursionError:
        return message


def differ(one: Any, other: Any) -> bool:
    """Tell whether two values differ. Two values that cannot be compared, such as arrays, differ unless identical."""
    try:
        return bool(one != other)
    except Exception:  # noqa: BLE001 - the types of a user's values may raise anything
        return one is not other


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
