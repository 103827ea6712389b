"""A ``Model`` of text that works offline: the same answers for an ``Agent``. For development and tests."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import Any

from strands.models import Model
from strands.types.content import Message, Messages
from strands.types.streaming import StreamEvent
from strands.types.tools import ToolResult, ToolSpec

from segue.testing.offline import history
from segue.testing.offline.answers import DropConnection, KnownConversation, Say, UseTool, answer, answer_tool
from segue.testing.offline.ledger import HeardInput, Ledger


class ConnectionDropped(ConnectionError):  # noqa: N818 - it says what the provider did
    """Raised when the provider ends the connection in the middle, because the user asked for it."""


class OfflineTextModel(Model):
    """Model that behaves as a provider of text does, and answers from the same table as ``OfflineVoiceModel``."""

    def __init__(self, *, model_id: str = "offline-text", log: str | Path | None = None) -> None:
        """Make a model.

        Args:
            model_id: What to call it.
            log: As in ``OfflineVoiceModel``.
        """
        self._config: dict[str, Any] = {"model_id": model_id}
        self._ledger = Ledger(log or os.environ.get("SEGUE_REHEARSAL_LOG"))

    @property
    def heard(self) -> list[HeardInput]:
        """Everything that it answered, in order."""
        return self._ledger.heard

    def update_config(self, **model_config: Any) -> None:
        """Change the configuration."""
        self._config.update(model_config)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration."""
        return self._config

    def structured_output(self, *_: Any, **__: Any) -> AsyncGenerator[dict[str, Any]]:
        """Refuse: it speaks in sentences only.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("the offline model answers in sentences")

    async def stream(
        self,
        messages: Messages,
        tool_specs: list[ToolSpec] | None = None,
        system_prompt: str | None = None,
        **_: Any,
    ) -> AsyncIterable[StreamEvent]:
        """Answer the last message.

        Raises:
            HistoryRejected: The messages are no conversation to go on with.
            ConnectionDropped: The user asked to drop the line.
        """
        history.check_for_answer(messages)
        match self._reply(messages, tool_specs or [], system_prompt):
            case Say(text):
                self._ledger.write_line("said", text=text)
                content: list[StreamEvent] = [
                    {"contentBlockStart": {"start": {}}},
                    {"contentBlockDelta": {"delta": {"text": text}}},
                ]
                reason = "end_turn"
            case UseTool(name, arguments):
                use = {"name": name, "toolUseId": uuid.uuid4().hex}
                content = [
                    {"contentBlockStart": {"start": {"toolUse": use}}},  # type: ignore[typeddict-item]
                    {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}},
                ]
                reason = "tool_use"
            case DropConnection():
                raise ConnectionDropped("the connection was dropped on request")
        yield {"messageStart": {"role": "assistant"}}
        for event in content:
            yield event
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": reason}}  # type: ignore[typeddict-item]  # one of two that are valid

    def _reply(
        self, messages: Messages, tools: list[ToolSpec], system_prompt: str | None
    ) -> Say | UseTool | DropConnection:
        last = messages[-1]
        if not any("text" in block for block in last["content"]):
            return self._retell(last, history.tool_names(messages))
        known = KnownConversation(history.read(messages), {spec["name"]: spec for spec in tools}, system_prompt)
        self._ledger.hear("text", known.turns[-1].text)
        return answer(known)

    def _retell(self, message: Message, names: dict[str, str]) -> Say:
        results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
        said = []
        for result in results:
            text = _text(result)
            self._ledger.hear("tool_result", text)
            name, succeeded = names.get(result["toolUseId"], ""), result.get("status") != "error"
            said.append(answer_tool(name, succeeded=succeeded, text=text).text)
        return Say("\n".join(said))


def _text(result: ToolResult) -> str:
    contents = result["content"]
    return "\n".join(content.get("text") or json.dumps(content.get("json"), ensure_ascii=False) for content in contents)
