"""Turn boundaries of a conversation: moments at which no answer is owed or being given.

    user speaks or types ─▶ owed ─▶ response starts ─▶ speaking ─▶ response stops ─▶ boundary
                                                          └─ tools run ─▶ owed again

A handoff waits for a boundary, for a limited time: a cut there splits no sentence.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiTextStartEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.types._events import ToolResultMessageEvent

from worker.telemetry.metrics import Time, metrics
from worker.telemetry.tracing import TurnTraces


class TurnBoundary:
    """Turns of one conversation, known by its input and by the agent's events.

    Attributes:
        traces: Told of each step of a turn.
    """

    def __init__(self, traces: TurnTraces | None = None) -> None:
        self.traces = traces or TurnTraces()
        self._owed = False
        self._speaking = False
        self._tool_groups = 0
        self._owed_since: float | None = None
        self._boundary = asyncio.Event()
        self._boundary.set()

    @property
    def at_boundary(self) -> bool:
        """True if the conversation can be handed over without a cut."""
        return self._boundary.is_set()

    def asked(self) -> None:
        """Note that a text was typed: the agent owes an answer."""
        self._owed = True
        self._owed_since = time.monotonic()
        self._update()

    def saw(self, event: Any) -> None:
        """Follow one event of the agent."""
        self._trace(event)
        match event:
            case BidiAudioDeltaEvent():
                self._heard_audio()
                return
            case BidiTranscriptStopEvent(role="user"):
                self._owed_since = time.monotonic()
                return
            case BidiResponseStartEvent():
                self._speaking, self._owed = True, False
            case BidiTranscriptStartEvent(role="user"):
                self._owed = True
            case BidiToolUseBlocksEvent():
                self._tool_groups += 1
            case ToolResultMessageEvent():
                self._tool_groups = max(0, self._tool_groups - 1)
                self._owed = True
            case BidiBargeInEvent():
                self._speaking = False
            case BidiResponseStopEvent():
                # Also settles what was owed: a user's transcript may come after the answer to it.
                self._speaking = self._owed = False
            case BidiConnectionRestartEvent():
                self._speaking = self._owed = False
            case _:
                return
        self._update()

    async def boundary(self) -> None:
        """Wait until the conversation is between turns."""
        await self._boundary.wait()

    def _trace(self, event: Any) -> None:
        match event:
            case BidiAudioDeltaEvent() | BidiTextStartEvent() | BidiTranscriptStartEvent(role="assistant"):
                self.traces.sounded()
            case BidiTranscriptStartEvent():
                self.traces.words()
            case BidiTranscriptStopEvent(role="user"):
                self.traces.given()
            case BidiResponseStartEvent():
                self.traces.answering()

    def _heard_audio(self) -> None:
        if self._owed_since is not None:
            metrics.time(Time.FIRST_AUDIO, time.monotonic() - self._owed_since)
            self._owed_since = None

    def _update(self) -> None:
        if self._owed or self._speaking or self._tool_groups:
            self._boundary.clear()
        else:
            self.traces.ended()
            self._boundary.set()
