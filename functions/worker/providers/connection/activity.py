"""Activity of a provider's connection: answers that are owed or under way, by its events and by what it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from strands.bidi.types.content import BidiMessage
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionStartEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiTextDeltaEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
    BidiUsageEvent,
)
from strands.types.tools import ToolResultBlock


class Activity:
    """Activity on one connection.

    Attributes:
        heard_of: Whether the provider has said anything on this connection: it took what it was started with.
        changed: Whether the conversation has gone on since ``note_settled`` was called.
        unanswered: What was typed and has no answer yet.
        refused: Whether the provider does not answer what was said last; it is not asked again.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.unanswered: BidiMessage | None = None
        self.changed = False
        self.began()

    def began(self, since: float | None = None) -> None:
        """A new connection: nothing is under way on it.

        Args:
            since: When it was opened, if that was not now.
        """
        self.heard_of = self.refused = False
        self._last_event_at = self._now()
        self._began_at = self._last_event_at if since is None else since
        self._responding = False
        self._owed = self.unanswered is not None
        self._tools: set[str] = set()
        self._speech: set[str] = set()

    def note_settled(self) -> None:
        """Note that all that was said so far is known elsewhere, too."""
        self.changed = False

    @property
    def owed(self) -> bool:
        """True if something was typed, or a tool has returned something, and no response has begun."""
        return self._owed and not self.refused

    @property
    def responding(self) -> bool:
        """True while a response is being made."""
        return self._responding

    def quiet_for(self) -> float:
        """Seconds since anything happened, 0 while something is under way."""
        if self._responding or self.owed or self._tools or self._speech:
            return 0.0
        return self._now() - self._last_event_at

    def age(self) -> float:
        """Seconds since the connection began."""
        return self._now() - self._began_at

    def sent(self, content: BidiMessage) -> None:
        """Follow a message to the provider."""
        self._last_event_at, self.changed = self._now(), True
        results = [block.tool_use_id for block in content.content if isinstance(block, ToolResultBlock)]
        self._tools.difference_update(results)
        self._owed, self.refused = True, False
        if not results:
            self.unanswered = content

    def saw(self, event: Any) -> None:
        """Follow an event of the provider."""
        if isinstance(event, BidiConnectionStartEvent):
            return
        self.heard_of = True
        if isinstance(event, BidiUsageEvent):
            return
        self._last_event_at, self.changed = self._now(), True
        match event:
            case BidiResponseStartEvent():
                self._responding, self._owed = True, False
            case BidiTranscriptStartEvent(role="user"):
                self.refused = False
                self._speech.add(event.content_id)
            case BidiTranscriptStopEvent():
                self._speech.discard(event.content_id)
            case BidiToolUseBlocksEvent():
                self._tools.update(use["toolUseId"] for use in event.tool_uses)
                self.unanswered = None
            case BidiAudioDeltaEvent() | BidiTextDeltaEvent() | BidiTranscriptDeltaEvent(role="assistant"):
                self.unanswered = None
            case BidiBargeInEvent():
                self._responding = False
            case BidiResponseStopEvent():
                self._responding = self._owed = False
                self._speech.clear()  # some providers never end the transcript of what they did not understand
            case _:
                pass
