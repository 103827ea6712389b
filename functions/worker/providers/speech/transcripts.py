"""Separate transcripts for what is said before and after a barge-in, although some providers join them.

Gemini ends transcripts only with the turn. It adds words over an answer to the question before it, and the next answer
to the one that was cut; each pair would be recorded as one:

    of the provider   start a │ "what's the" "weather" │ … answer … │ barge-in         │ "stop"         │ stop a
    passed on         start a │ "what's the" "weather" │ … answer … │ stop a, barge-in │ start b "stop" │ stop b
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
    Role,
)


class Sentences:
    """Sentences of one connection's transcripts, split from its events."""

    def __init__(self) -> None:
        self._open: dict[str, Role] = {}
        self._answered: set[str] = set()
        self._closed: set[str] = set()
        self._renamed: dict[str, str] = {}

    def split_event(self, event: Any) -> Iterator[Any]:
        """Yield what to pass on instead of an event, usually the event itself."""
        match event:
            case BidiBargeInEvent():
                # Before the event: in Gemini's message the interruption comes before the words that made it.
                yield from self._close()
                yield event
            case BidiTranscriptDeltaEvent():
                yield from self._delta(event)
            case BidiTranscriptStopEvent():
                yield from self._stop(event)
            case BidiAudioDeltaEvent():
                self._answer()
                yield event
            case _:
                yield event

    def _answer(self) -> None:
        self._answered.update(content_id for content_id, role in self._open.items() if role == "user")

    def _close(self) -> Iterator[Any]:
        """End the answer that was cut off, and what it was the answer to; not what cuts it off."""
        for content_id, role in list(self._open.items()):
            if role == "assistant" or content_id in self._answered:
                yield BidiTranscriptStopEvent(role, self._renamed.get(content_id, content_id))
                self._forget(content_id)
                self._closed.add(content_id)

    def _delta(self, event: BidiTranscriptDeltaEvent) -> Iterator[Any]:
        content_id, role = event.content_id, event.role
        if role == "assistant":
            self._answer()
        if content_id in self._closed:
            self._closed.discard(content_id)
            self._renamed[content_id] = str(uuid.uuid4())
            yield BidiTranscriptStartEvent(role, self._renamed[content_id])
        self._open[content_id] = role
        yield BidiTranscriptDeltaEvent(event.delta, role, self._renamed.get(content_id, content_id))

    def _stop(self, event: BidiTranscriptStopEvent) -> Iterator[Any]:
        content_id = event.content_id
        self._forget(content_id)
        if content_id in self._closed:
            self._closed.discard(content_id)
        else:
            yield BidiTranscriptStopEvent(event.role, self._renamed.pop(content_id, content_id))

    def _forget(self, content_id: str) -> None:
        self._open.pop(content_id, None)
        self._answered.discard(content_id)
