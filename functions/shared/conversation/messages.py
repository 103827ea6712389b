"""Facts of a session's messages, whichever worker wrote them."""

from __future__ import annotations

from typing import Any, Final

from segue.journal.message_shape import bidi_note, note_of, text_in

KINDS: Final = frozenset({None, "transcript", "text"})
"""Kinds of messages that are words of the user or the agent."""

MOST_CUT: Final = 3
"""Answers to one text that were cut, after which it is not asked again: it may be what breaks the model."""


def bidi_metadata(message: Any) -> dict[str, Any]:
    """BidiAgent's metadata of a message: its kind and, for streamed ones, its status."""
    return bidi_note(message)


def replaced_record(message: Any) -> int | None:
    """The record that an answer was first shown with, if its message was shortened after a barge-in."""
    replaces = note_of(message, "segue").get("replaces")
    return replaces if isinstance(replaces, int) else None


def text_of(message: Any) -> str:
    """The text of a message."""
    return "".join(map(text_in, message["content"]))


def unanswered(messages: list[Any]) -> tuple[str | None, int]:
    """Look for words of the user that have no answer.

    Returns:
        The user's last words, if the history ends with them and with answers to them that were cut; and how many
        messages that is, 0 if it is not so.
    """
    cut = 0
    while cut < min(len(messages), MOST_CUT) and _is_words(messages[-1 - cut], "assistant", "incomplete"):
        cut += 1
    if cut == MOST_CUT or cut == len(messages) or not _is_words(last := messages[-1 - cut], "user", "complete"):
        return None, 0
    text = text_of(last)
    return (text, cut + 1) if text.strip() else (None, 0)


def _is_words(message: Any, role: str, status: str) -> bool:
    metadata = bidi_metadata(message)
    if message["role"] != role or metadata.get("kind") not in KINDS or metadata.get("status", "complete") != status:
        return False
    return all("text" in block for block in message["content"])
