"""Models that answer as a test tells them to: one for an ``Agent``, one for a ``BidiAgent``."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from strands.bidi.models import BidiModel
from strands.bidi.types import BidiMessage
from strands.bidi.types.events import (
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
)
from strands.models.model import Model
from strands.types.tools import ToolResultBlock

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A request for a tool.

    Attributes:
        name: The tool.
        input: Its arguments.
        tool_use_id: The id of this use; default: one that no other has.
    """

    name: str
    input: dict[str, Any] = field(default_factory=dict)
    tool_use_id: str = field(default_factory=lambda: f"tool-{next(_ids)}")

    def block(self) -> dict[str, Any]:
        """Return the tool use as Strands has it."""
        return {"toolUseId": self.tool_use_id, "name": self.name, "input": self.input}


ScriptedReply: TypeAlias = str | ScriptedCall | Sequence[ScriptedCall] | BaseException
"""One reply of a model: a text, a request for one tool or several, or an error to raise."""


class _Script:
    """The replies that are left."""

    def __init__(self, replies: Iterable[ScriptedReply]) -> None:
        self._replies = list(replies)

    def next(self) -> str | list[ScriptedCall]:
        """Return a text or calls.

        Raises:
            AssertionError: The script is over.
            BaseException: The reply is that error.
        """
        if not self._replies:
            raise AssertionError(
                "the script is over: the agent asked its model once more than the test expects; add a reply"
            )
        reply = self._replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, str):
            return reply
        return [reply] if isinstance(reply, ScriptedCall) else list(reply)


class ScriptedTextModel(Model):
    """A ``Model`` that gives its replies in order.

    Attributes:
        asked: The messages of each request, as they were then.
    """

    def __init__(self, *replies: ScriptedReply) -> None:
        """Keep the replies."""
        self.asked: list[list[Any]] = []
        self._script = _Script(replies)
        self._config: dict[str, Any] = {"model_id": "scripted"}

    def update_config(self, **model_config: Any) -> None:
        """Change the configuration."""
        self._config.update(model_config)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration."""
        return self._config

    def structured_output(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a scripted model has texts and tool calls only")

    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Give the next reply.

        Raises:
            AssertionError: There is none.
        """
        self.asked.append(copy.deepcopy(messages))
        reply = self._script.next()
        yield {"messageStart": {"role": "assistant"}}
        if isinstance(reply, str):
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": reply}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "end_turn"}}
            return
        for use in (call.block() for call in reply):
            yield {"contentBlockStart": {"start": {"toolUse": {"name": use["name"], "toolUseId": use["toolUseId"]}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(use["input"])}}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use"}}


class ScriptedVoiceModel(BidiModel):
    """A ``BidiModel`` that answers each text, and each tool's results, with the next reply.

    Attributes:
        asked: The messages that each connection was started with.
        sent: Everything that was sent to it, in order.
    """

    def __init__(self, *replies: ScriptedReply) -> None:
        """Keep the replies."""
        self.asked: list[list[Any]] = []
        self.sent: list[Any] = []
        self._script = _Script(replies)
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._config: dict[str, Any] = {"model_id": "scripted"}
        self._results = 0

    def update_config(self, **model_config: Any) -> None:
        """Change the configuration."""
        self._config.update(model_config)

    def get_config(self) -> Any:
        """Return the configuration."""
        return self._config

    def get_audio_config(self) -> dict[str, Any]:
        """Return the formats of the audio, of which there is none."""
        return {"input": {"sample_rate": 16000}, "output": {"sample_rate": 16000}}

    async def start(
        self,
        system_prompt: Any = None,  # noqa: ARG002 - BidiModel's
        tools: Any = None,  # noqa: ARG002 - BidiModel's
        messages: Any = None,
        **_: Any,
    ) -> None:
        """Open a connection."""
        self.asked.append(copy.deepcopy(list(messages or [])))

    async def stop(self) -> None:
        """Close the connection."""

    async def receive(self) -> AsyncIterator[Any]:
        """Yield the events of the replies.

        Raises:
            BaseException: A reply is an error.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, BaseException):
                raise event
            yield event

    async def send(self, content: Any) -> None:
        """Take a message or the results of tools, and answer them. Audio is kept and not answered."""
        self.sent.append(content)
        if not isinstance(content, BidiMessage):
            return
        results = sum(isinstance(block, ToolResultBlock) for block in content.content)
        self._results -= results
        if results and self._results > 0:
            return
        try:
            reply = self._script.next()
        except BaseException as error:  # noqa: BLE001 - the conversation ends with it, as with a provider's
            self._events.put_nowait(error)
            return
        for event in self._events_of(reply):
            self._events.put_nowait(event)

    def _events_of(self, reply: str | list[ScriptedCall]) -> list[Any]:
        if not isinstance(reply, str):
            self._results = len(reply)
            blocks: Any = [call.block() for call in reply]
            return [BidiToolUseBlocksEvent(blocks)]
        response = f"response-{next(_ids)}"
        return [
            BidiResponseStartEvent(response),
            BidiTranscriptStartEvent("assistant", response),
            BidiTranscriptDeltaEvent(reply, "assistant", response),
            BidiTranscriptStopEvent("assistant", response),
            BidiResponseStopEvent(response),
        ]
