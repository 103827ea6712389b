"""A session's messages as a text turn reads them.

A voice worker (``BidiAgent``) and a text turn (``Agent``) write one history. It belongs to the agent and is not changed
here; only the text model is shown what this module makes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from strands.middleware.stages import InvokeModelContext

from segue.history.repair import finished_notes
from shared.conversation.messages import text_of

BEGINNING: Final = "[the conversation begins]"
"""Stands before an agent that spoke first: models of text want to hear the user first."""


def is_owed(messages: Sequence[Any]) -> bool:
    """Return true if the agent has not answered the last message of the user or a tool."""
    return bool(messages) and messages[-1]["role"] == "user"


def last_said(messages: Sequence[Any]) -> Any | None:
    """The last message in which the user said something, None if there is none."""
    return next((message for message in reversed(messages) if message["role"] == "user" and text_of(message)), None)


def shown_to_text_model(context: InvokeModelContext) -> InvokeModelContext:
    """Middleware: show the model of an ``Agent`` a history that it takes."""
    return context.replace(messages=alternating(context.messages))


def alternating(messages: Sequence[Any]) -> list[Any]:
    """Return messages in which user and agent take turns, the user first, and each tool call is there once.

    ``BidiAgent`` records a tool call twice, with a note that it was started and with its result; the note is left out
    once the result is there. An id may be used again for another call. Speech makes several messages of one side in a
    row; they become one.
    """
    notes = {at: Counter(ids) for note, ids in finished_notes(messages).items() for at in (note - 1, note)}
    told: list[Any] = []
    for index, message in enumerate(messages):
        content = _without(message["content"], notes.get(index, Counter()))
        if not content:
            continue
        if told and told[-1]["role"] == message["role"]:
            told[-1] = {**told[-1], "content": [*told[-1]["content"], *content]}
        else:
            told.append({**message, "content": content})
    if told and told[0]["role"] != "user":
        told.insert(0, {"role": "user", "content": [{"text": BEGINNING}]})
    return told


def _without(content: Sequence[Any], tool_uses: Counter[str]) -> list[Any]:
    """Leave out the blocks of so many tool uses of each id."""
    left, kept = Counter(tool_uses), []
    for block in content:
        tool_use_id: Any = next((block[kind]["toolUseId"] for kind in ("toolUse", "toolResult") if kind in block), None)
        if left[tool_use_id]:
            left[tool_use_id] -= 1
        else:
            kept.append(block)
    return kept
