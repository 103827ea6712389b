"""An agent that says back what it hears, at once: what is measured is the way there and back, and nothing else.

``python -m benchmarks.wire.echo_agent`` is a worker with that agent; everything else of it is as it is.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

from strands.bidi import BidiAgent
from strands.bidi.models import AudioCapable, AudioConfig, AudioStreamConfig, BidiModel, ModelConfig
from strands.bidi.types import AudioDelta, BidiContentDelta, BidiMessage
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiAudioStartEvent,
    BidiConnectionStartEvent,
    BidiOutputEvent,
    BidiResponseStartEvent,
)
from strands.session import SessionManager

from benchmarks.measuring import lag

RATE = 16000


class EchoModel(BidiModel, AudioCapable):
    """One endless response, made of what is sent to it."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[BidiOutputEvent] = asyncio.Queue()

    def get_config(self) -> ModelConfig:
        """Return what there is to configure."""
        return ModelConfig(model_id="echo", params={}, connection={})

    def update_config(self, **model_config: Any) -> None:
        """Change nothing: there is nothing to configure."""

    def get_audio_config(self) -> AudioConfig:
        """Return the formats: the same both ways."""
        stream = AudioStreamConfig(sample_rate=RATE, channels=1, format="pcm")
        return AudioConfig(input=stream, output=stream)

    async def start(self, *_: Any, **__: Any) -> None:
        """Begin the response."""
        self._events = asyncio.Queue()
        self._events.put_nowait(BidiResponseStartEvent("echo"))
        self._events.put_nowait(BidiAudioStartEvent("echo-audio"))

    async def stop(self) -> None:
        """Do nothing: there is no connection."""

    async def receive(self) -> AsyncIterator[BidiOutputEvent]:
        """Yield what was sent, for ever."""
        yield BidiConnectionStartEvent(connection_id="echo", model="echo")
        while True:
            yield await self._events.get()

    async def send(self, content: BidiMessage | BidiContentDelta) -> None:
        """Take audio; everything else is of no interest."""
        if isinstance(content, AudioDelta):
            pcm = content.source.get("bytes") or b""
            audio = base64.b64encode(pcm).decode()
            self._events.put_nowait(BidiAudioDeltaEvent(audio, "pcm", RATE, 1, "echo-audio"))


def build_agent(session_manager: SessionManager[Any] | None) -> BidiAgent:
    """Build the agent, as ``worker.agent.build_agent`` does."""
    return BidiAgent(model=EchoModel(), session_manager=session_manager)


if __name__ == "__main__":
    from worker import app
    from worker.__main__ import main

    async def watch_lag() -> None:
        """Be the worker, and keep how late its loop is."""
        lag_task = asyncio.create_task(lag.keep_lag())
        try:
            await main()
        finally:
            lag_task.cancel()

    app.build_agent = build_agent  # type: ignore[attr-defined]  # in place of the one that the worker imports
    asyncio.run(watch_lag())
