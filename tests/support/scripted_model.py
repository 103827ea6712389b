"""A BidiModel that does exactly what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from strands.bidi.models import BidiModel
from strands.bidi.types.events import (
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)


def spoken(text: str, *, role: str = "assistant", content_id: str = "c1", pieces: int = 3) -> list[Any]:
    """The events of a transcript that comes in pieces."""
    step = max(1, -(-len(text) // pieces))
    deltas = [text[at : at + step] for at in range(0, len(text), step)]
    return [
        BidiTranscriptStartEvent(role, content_id),  # type: ignore[arg-type]
        *(BidiTranscriptDeltaEvent(delta, role, content_id) for delta in deltas),  # type: ignore[arg-type]
        BidiTranscriptStopEvent(role, content_id),  # type: ignore[arg-type]
    ]


def answered(text: str, response_id: str = "r1", content_id: str = "c1") -> list[Any]:
    """The events of a whole spoken response."""
    return [
        BidiResponseStartEvent(response_id),
        *spoken(text, content_id=content_id),
        BidiResponseStopEvent(response_id),
    ]


def calling(name: str, tool_use_id: str, **inputs: Any) -> list[Any]:
    """The events of a tool request."""
    return calling_all((name, tool_use_id, inputs))


def calling_all(*calls: tuple[str, str, dict[str, Any]]) -> list[Any]:
    """The events of a request for several tools at once, each a name, an id and its input."""
    return [BidiToolUseBlocksEvent([{"toolUseId": use, "name": name, "input": inputs} for name, use, inputs in calls])]


class ScriptedModel(BidiModel):
    """Emits what ``emit`` is given; keeps what it was started with and sent."""

    def __init__(self, model_id: str = "scripted") -> None:
        self.started_with: list[list[Any]] = []
        self.sent: list[Any] = []
        self._model_id = model_id
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def emit(self, events: Iterable[Any]) -> None:
        for event in events:
            self._events.put_nowait(event)

    def get_config(self) -> dict[str, Any]:
        return {"model_id": self._model_id}

    def update_config(self, **config: Any) -> None:
        pass

    def get_audio_config(self) -> dict[str, Any]:
        return {"input": {"sample_rate": 16000}, "output": {"sample_rate": 24000}}

    async def start(self, system_prompt: Any = None, tools: Any = None, messages: Any = None, **kwargs: Any) -> None:
        self.started_with.append([dict(message) for message in messages or []])

    async def stop(self) -> None:
        pass

    async def receive(self) -> AsyncIterator[Any]:
        while True:
            event = await self._events.get()
            if isinstance(event, BaseException):
                raise event
            yield event

    async def send(self, content: Any) -> None:
        self.sent.append(content)


async def until(agent: Any, event_type: str, times: int = 1) -> list[Any]:
    """Receive from an agent up to and with the first event of a type, or the one after so many."""
    seen = []
    async for event in agent.receive():
        seen.append(event)
        times -= event.get("type") == event_type
        if not times:
            return seen
    raise AssertionError(f"no {event_type} in {seen}")


async def result_of(agent: Any, events: list[Any]) -> None:
    """Emit events of a model that uses a tool, and receive until the agent has a result."""
    agent.model.emit(events)
    async for event in agent.receive():
        if "message" in event and "toolResult" in event["message"]["content"][0]:
            break
