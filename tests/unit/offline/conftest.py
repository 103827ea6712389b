"""A conversation with an offline model through a real agent, and a sleep that a test holds in its hand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from strands.bidi import BidiAgent
from strands.bidi.types import AudioDelta
from strands.bidi.types.events import BidiAudioDeltaEvent, BidiResponseStopEvent, BidiTranscriptBlockEvent

from segue.testing.offline import Ear, OfflineVoiceModel, speak
from tests.support.waiting import within

PATIENCE_SECONDS = 20.0


class Conversation:
    def __init__(self, agent: BidiAgent) -> None:
        self.agent = agent
        self.events: list[Any] = []
        self.error: Exception | None = None
        self._seen = 0
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        try:
            async for event in self.agent.receive():
                await self._keep(event)
        except Exception as error:  # noqa: BLE001 - handed to the waiting test
            self.error = error
            await self._keep(None)

    async def _keep(self, event: Any) -> None:
        async with self._news:
            if event is not None:
                self.events.append(event)
            self._news.notify_all()

    async def until(self, kind: type[Any], **fields: Any) -> Any:
        """Wait for the next event of a kind, after the one that was waited for last."""
        async with within(PATIENCE_SECONDS), self._news:
            while True:
                while self._seen < len(self.events):
                    event = self.events[self._seen]
                    self._seen += 1
                    if isinstance(event, kind) and all(event[name] == value for name, value in fields.items()):
                        return event
                if self.error is not None:
                    raise self.error
                await self._news.wait()

    async def says(self) -> str:
        """Wait for the next whole answer."""
        event = await self.until(BidiTranscriptBlockEvent, role="assistant")
        await self.until(BidiResponseStopEvent)
        return str(event.transcript)

    async def ask(self, text: str) -> str:
        await self.agent.send(text)
        return await self.says()

    async def tell(self, pcm: bytes, chunk_bytes: int = 3200) -> None:
        for offset in range(0, len(pcm), chunk_bytes):
            piece = pcm[offset : offset + chunk_bytes]
            await self.agent.send(AudioDelta(format="pcm", source={"bytes": piece}))

    async def ask_aloud(self, text: str) -> str:
        await self.tell(speak(text))
        return await self.says()

    def kinds(self) -> list[str]:
        """The kinds of events in order, repeats folded."""
        kinds: list[str] = []
        for event in self.events:
            kind = event["type"].removeprefix("bidi_") + (f"/{event['role']}" if "role" in event else "")
            if kinds[-1:] != [kind]:
                kinds.append(kind)
        return kinds

    def audio(self) -> bytes:
        return b"".join(
            base64.b64decode(event.audio) for event in self.events if isinstance(event, BidiAudioDeltaEvent)
        )

    def heard_by_ear(self) -> list[str | None]:
        ear = Ear()
        return [heard.text for heard in [*ear.feed(self.audio()), *ear.finish()]]


@pytest.fixture
async def converse() -> AsyncIterator[Callable[..., Any]]:
    """Start an agent with an offline model; further arguments go to the agent."""
    async with AsyncExitStack() as stack:

        async def begin(model: OfflineVoiceModel | None = None, **agent_options: Any) -> Conversation:
            agent = BidiAgent(model=model or OfflineVoiceModel(pace=0), **agent_options)
            conversation = Conversation(agent)
            await agent.start()
            stack.push_async_callback(agent.stop)
            listener = asyncio.create_task(conversation.listen())
            stack.callback(listener.cancel)
            return conversation

        yield begin


class HeldSleep:
    """Lets so many pieces of audio pass, then holds the voice until released."""

    def __init__(self, passing: int) -> None:
        self.waits: list[float] = []
        self.holding = asyncio.Event()
        self._passing = passing
        self._released = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) > self._passing:
            self.holding.set()
            await self._released.wait()

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def held_sleep() -> Callable[[int], HeldSleep]:
    return HeldSleep
