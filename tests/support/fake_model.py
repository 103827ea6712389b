"""A Model for ``Agent`` that answers what a test tells it to."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from strands.models.model import Model


def tool_call(name: str, tool_use_id: str, **inputs: Any) -> dict[str, Any]:
    """A reply that asks for a tool."""
    return {"toolUse": {"name": name, "toolUseId": tool_use_id, "input": inputs}}


class FakeModel(Model):
    """Replies in order: a text, a tool call, several tool calls, or an error to raise; then echoes the last user text.

    Attributes:
        asked: The messages of each request, as they were then.
    """

    def __init__(self, replies: Iterable[Any] = ()) -> None:
        self.asked: list[list[Any]] = []
        self._replies = list(replies)

    def update_config(self, **model_config: Any) -> None:
        pass

    def get_config(self) -> dict[str, Any]:
        return {"model_id": "fake"}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no test asks for structured output")

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.asked.append(copy.deepcopy(messages))
        reply = self._replies.pop(0) if self._replies else f"You said: {_last_text(messages)}"
        if isinstance(reply, BaseException):
            raise reply
        yield {"messageStart": {"role": "assistant"}}
        calls = [reply] if isinstance(reply, dict) else reply
        if isinstance(calls, str):
            for event in _text(calls):
                yield event
            yield {"messageStop": {"stopReason": "end_turn"}}
            return
        for call in calls:
            use = call["toolUse"]
            yield {"contentBlockStart": {"start": {"toolUse": {key: use[key] for key in ("name", "toolUseId")}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(use["input"])}}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use"}}


class GuardrailModel(FakeModel):
    """A model whose guardrail redacts the user's message, as a provider does it."""

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.asked.append(copy.deepcopy(messages))
        yield {"messageStart": {"role": "assistant"}}
        yield {"redactContent": {"redactUserContentMessage": "[redacted]"}}
        for event in _text("I cannot talk about that."):
            yield event
        yield {"messageStop": {"stopReason": "guardrail_intervened"}}


class PowerCut(FakeModel):
    """The process ends when this model is asked."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__()
        self._end = end

    async def stream(self, *args: Any, **options: Any) -> Any:
        self._end()
        raise RuntimeError("power cut")
        yield  # a generator, as the interface wants it


def _text(text: str) -> list[Any]:
    return [
        {"contentBlockStart": {"start": {}}},
        *({"contentBlockDelta": {"delta": {"text": piece}}} for piece in (text[:5], text[5:]) if piece),
        {"contentBlockStop": {}},
    ]


def _last_text(messages: Any) -> str:
    texts = [block["text"] for message in messages for block in message["content"] if "text" in block]
    return texts[-1] if texts else ""
