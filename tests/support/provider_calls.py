"""Calls with a fake provider: a session manager on storage in memory, a real agent, Strands' real model."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from strands import tool
from strands.bidi import BidiAgent
from strands.bidi.types.events import (
    BidiAudioDeltaEvent,
    BidiResponseStopEvent,
    BidiTranscriptBlockEvent,
)
from strands.bidi.types.media import AudioDelta

from segue import LeaseSettings
from segue.testing.offline.tones import speak
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.waiting import eventually
from worker.conversation.barge_in import correct, cut_message
from worker.hosting.standby import StandbySession
from worker.providers import AnswerCut, ContinuousModel, Settings, build
from worker.providers.speech.truncation import NOTHING

PROMPT = "You are a test."
LEASE = LeaseSettings(duration=5.0, heartbeat=1.0, margin=0.5)


@tool
def weather(city: str) -> str:
    """Say what the weather is.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


async def dead(*_: Any) -> bool:
    """Evidence that the holder before is dead."""
    return True


class Call:
    """One holder of a session, with its agent connected."""

    def __init__(self, storage: MemoryStorage, variables: dict[str, str], **options: Any) -> None:
        self.manager = MemorySessionManager(
            storage=storage,
            durability="gate",
            lease=LEASE,
            acquire_timeout=10.0,
            probe=dead,
            endpoint="http://holder",
            **options,
        )
        self.variables = variables
        self.events: list[Any] = []
        self.failure: Exception | None = None
        self.agent: BidiAgent
        self._listening: asyncio.Task[None] | None = None

    @property
    def model(self) -> ContinuousModel:
        return self.agent.model  # type: ignore[return-value]

    async def open(self, *, connect: bool = True) -> Call:
        await self.manager.open()
        self.agent = await asyncio.to_thread(self.new_agent, self.manager)
        if connect:
            await self.connect()
        return self

    def new_agent(self, manager: MemorySessionManager) -> BidiAgent:
        model = build(Settings.from_environment(self.variables))
        return BidiAgent(model=model, tools=[weather], system_prompt=PROMPT, session_manager=manager)

    async def connect(self) -> None:
        await self.agent.start()
        self._listening = asyncio.create_task(self._listen())

    async def go_on(self, ready: StandbySession) -> Call:
        """Take the session with what was made ready for it, as the next worker does."""
        await ready.manager.open()
        self.agent = ready.model_start.agent
        await ready.model_start.start()
        self._listening = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        try:
            async for event in self.agent.receive():
                self.events.append(event)
                if isinstance(event, AnswerCut):  # as the hosted session does
                    message = cut_message(self.agent, event)
                    await correct(self.agent, message, event.heard, self.manager.record_of(message["tracking_id"]))
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.failure = error

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def transcripts(self) -> list[tuple[str, str]]:
        return [(event.role, event.transcript) for event in self.of(BidiTranscriptBlockEvent)]

    @property
    def answers(self) -> list[str]:
        return [text for role, text in self.transcripts if role == "assistant"]

    @property
    def heard_words(self) -> int:
        """Words of the latest answer that the worker takes to have sounded by now."""
        playback = self.model._unheard.playback
        heard = playback._answers[-1].heard(playback._played) if playback._answers else NOTHING
        return 0 if heard == NOTHING else len(heard.split())

    @property
    def rates(self) -> set[int]:
        return {event.sample_rate for event in self.of(BidiAudioDeltaEvent)}

    async def until(self, answer: str, since: int = 0) -> None:
        """Wait for an answer, and for the end of its turn.

        Args:
            answer: What has to be in it.
            since: How many events came before it.
        """

        def ended() -> bool:
            heard = False
            for event in self.events[since:]:
                heard = heard or (isinstance(event, BidiTranscriptBlockEvent) and answer in event.transcript)
                if heard and isinstance(event, BidiResponseStopEvent):
                    return True
            return self.failure is not None

        await eventually(ended)
        assert self.failure is None, self.failure

    async def ask(self, text: str, answer: str) -> None:
        since = len(self.events)
        await self.agent.send(text)
        await self.until(answer, since)

    async def speak(self, text: str, *, over: bool = False) -> None:
        """Say something, in pieces of 100 ms, with silence around it.

        Args:
            text: The words.
            over: Over what is still being played; otherwise as if all of it had been.
        """
        if not over:
            self.model._unheard.playback._silent_at = 0.0
        rate = self.model.get_audio_config()["input"]["sample_rate"]
        pcm = bytes(rate // 5 * 2) + speak(text, rate) + bytes(rate // 2 * 2)
        for at in range(0, len(pcm), rate // 10 * 2):
            await self.agent.send(AudioDelta(format="pcm", source={"bytes": pcm[at : at + rate // 10 * 2]}))

    async def stop(self) -> None:
        """Hand over: flush, release."""
        await self.agent.stop()
        await self._quiet()

    async def kill(self) -> None:
        """End without a word: nothing is flushed or released, and no connection is closed properly."""
        await self._quiet()
        self.agent._loop._restart_timer.cancel()
        await self.agent._loop._task_pool.cancel()
        with contextlib.suppress(Exception):
            await self.model.inner.stop()

    async def clean_up(self) -> None:
        """End what a test has left."""
        await self._quiet()
        with contextlib.suppress(Exception):
            await self.agent.stop()

    async def _quiet(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})


def said(messages: list[Any]) -> list[tuple[str, str]]:
    """Return role and text of each message in an agent's history."""
    return [(message["role"], block["text"]) for message in messages for block in message["content"] if "text" in block]
