"""What the user said over the agent is a sentence of its own, although some providers add it to the one before.

Gemini ends a user's transcript only with the turn. Who speaks over the answer is added to the sentence that is being
answered, and the two would be recorded as one:

    of the provider   start a │ "what's the" "weather" │ … answer … │ barge-in │ "stop"      │ stop a
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
)


class Sentences:
    """Rewrites one connection's events."""

    def __init__(self) -> None:
        self._spoken: set[str] = set()
        self._answered: set[str] = set()
        self._closed: set[str] = set()
        self._renamed: dict[str, str] = {}

    def of(self, event: Any) -> Iterator[Any]:
        """Yield what to pass on instead of an event, usually the event itself."""
        match event:
            case BidiBargeInEvent():
                # In Gemini's message the interruption comes before the words that made it.
                yield from self._close_answered()
                yield event
            case BidiTranscriptDeltaEvent(role="user"):
                yield from self._delta(event)
            case BidiTranscriptStopEvent(role="user"):
                yield from self._stop(event)
            case BidiAudioDeltaEvent() | BidiTranscriptDeltaEvent(role="assistant"):
                self._answered |= self._spoken
                yield event
            case _:
                yield event

    def _close_answered(self) -> Iterator[Any]:
        for content_id in sorted(self._answered & self._spoken):
            yield BidiTranscriptStopEvent("user", self._renamed.get(content_id, content_id))
            self._spoken.discard(content_id)
            self._answered.discard(content_id)
            self._closed.add(content_id)

    def _delta(self, event: BidiTranscriptDeltaEvent) -> Iterator[Any]:
        content_id = event.content_id
        if content_id in self._closed:
            self._closed.discard(content_id)
            self._renamed[content_id] = str(uuid.uuid4())
            yield BidiTranscriptStartEvent("user", self._renamed[content_id])
        self._spoken.add(content_id)
        yield BidiTranscriptDeltaEvent(event.delta, "user", self._renamed.get(content_id, content_id))

    def _stop(self, event: BidiTranscriptStopEvent) -> Iterator[Any]:
        content_id = event.content_id
        self._spoken.discard(content_id)
        self._answered.discard(content_id)
        if content_id in self._closed:
            self._closed.discard(content_id)
        else:
            yield BidiTranscriptStopEvent("user", self._renamed.pop(content_id, content_id))
