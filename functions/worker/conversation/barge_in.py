"""Correction of the history after a barge-in: of the interrupted answer it keeps what was heard."""

from __future__ import annotations

from typing import Any

from strands.bidi import BidiAgent

from shared.messages import bidi_metadata, text_of
from worker.providers.heard import AnswerCut


def cut_message(agent: BidiAgent, cut: AnswerCut) -> Any | None:
    """Find the message of an answer that was cut; None if it is not in the history any more.

    Answers of which nothing was heard all say the same. Of those that do, as many as came after this one are passed
    over, as far as their messages are there.
    """
    alike = [one for one in agent.messages if _is_transcript(one, cut.recorded)][-1 - cut.alike :]
    return alike[0] if alike else None


async def correct(agent: BidiAgent, message: Any, heard: str, replaces: int | None) -> None:
    """Put what was heard of an answer in the place of its transcript.

    It goes the way of every transcript that Strands' loop completes: in its place, under its id, past the hooks, so
    that the session manager records it. The message names the record that it replaces, so that a worker that sends it
    to a client again can name it, too.

    Args:
        agent: Whose history it is.
        message: The answer's.
        heard: What was heard of it.
        replaces: The record that it was first shown with, None if it has none.
    """
    metadata = message["metadata"]
    custom = {**metadata["custom"], "segue": {"replaces": replaces}}
    corrected: Any = {**message, "content": [{"text": heard}], "metadata": {**metadata, "custom": custom}}
    await agent._update_message(corrected, strict=False)  # noqa: SLF001 - see above


def _is_transcript(message: Any, text: str) -> bool:
    spoken = message["role"] == "assistant" and bidi_metadata(message).get("kind") == "transcript"
    return spoken and text_of(message) == text
