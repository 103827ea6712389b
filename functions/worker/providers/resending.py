"""Input that a new connection is sent again, because the one before it has not answered it."""

from __future__ import annotations

from strands.bidi.types import BidiMessage
from strands.types.content import Messages, TextBlock

from shared.messages import bidi_metadata, unanswered


def spoken(messages: Messages) -> BidiMessage | None:
    """Return the user's last words, if they were spoken and no answer has begun: their audio is not given again."""
    text, messages_back = unanswered(messages)
    if text is None or messages_back > 1 or bidi_metadata(messages[-1]).get("kind") != "transcript":
        return None
    return BidiMessage(content=[TextBlock(text)])


def without(messages: Messages, again: BidiMessage | None) -> Messages:
    """Take out of a history what is sent again as something new."""
    if again is None or not messages or messages[-1]["role"] != "user":
        return messages
    texts = [block["text"] for block in messages[-1]["content"] if "text" in block]
    said = [block.text for block in again.content if isinstance(block, TextBlock)]
    return messages[:-1] if said and texts == said else messages
