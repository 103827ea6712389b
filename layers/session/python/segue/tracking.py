"""What of an agent is recorded already, and the records for what is not."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from strands.agent.agent import Agent
from strands.types._snapshot import SNAPSHOT_SCHEMA_VERSION, Snapshot
from strands.types.agent import LocalAgent
from strands.types.session import encode_bytes_values

from segue.history import AgentHistory, Message
from segue.records import Record

Append = Callable[..., int]
_Inputs = tuple[str, tuple[int, ...]] | None


class AgentRecorder:
    """Turns one agent's changes into records.

    Attributes:
        numbers: For each recorded message's tracking id, the record that last determined it.
    """

    def __init__(self, agent: LocalAgent, stored: AgentHistory | None, append: Append) -> None:
        """Begin with what the session has of the agent.

        Args:
            agent: The agent.
            stored: Its history in the session, None if it is new there.
            append: Queues records and returns the position after them.
        """
        self.numbers: dict[str, int] = dict(stored.numbers) if stored else {}
        self._agent = agent
        self._append = append
        self._connection: dict[str, Any] = dict(stored.connection) if stored else {}
        self._live: list[str] = [_id(message) for message in stored.messages] if stored else []
        self._state_seen: object = None
        self._prompt_seen: bytes = b"null"
        self._internal_seen: bytes = b"{}"
        self._tool_starts: dict[str, float] = {}

    def introduce(self) -> None:
        """Record a new agent: that it exists, and what it already brings."""
        self._record("agent", {"class": type(self._agent).__name__, "name": self._agent.name})
        for message in self._agent.messages:
            if message["content"]:
                self.message(message, None)  # type: ignore[arg-type]  # a TypedDict is the dictionary it describes
        self.state()
        self.connection()

    def restore(self, messages: list[Message], stored: AgentHistory, *, with_prompt: bool) -> None:
        """Put what the session has into the agent, through its own snapshot schema."""
        data: dict[str, Any] = {"messages": messages, "state": stored.state}
        if with_prompt and stored.system_prompt is not None:
            data["system_prompt"] = stored.system_prompt
        if isinstance(self._agent, Agent):
            data.update(stored.internal)
        snapshot = Snapshot(scope="agent", schema_version=SNAPSHOT_SCHEMA_VERSION, data=data, app_data={})
        self._agent.load_snapshot(snapshot)
        self._state_seen = self._state_version()
        self._prompt_seen = _json(stored.system_prompt)
        self._internal_seen = _json(stored.internal)
        self.state()
        self.connection()

    def message(self, message: Message, inputs: _Inputs) -> None:
        """Record an added message. A streamed one that has only begun is recorded when it is complete."""
        if not message["content"]:
            return
        self._put(message, inputs, before=None)

    def update(self, message: Message, inputs: _Inputs) -> None:
        """Record that a message was completed or replaced."""
        tracking_id = _id(message)
        if tracking_id in self.numbers:
            self.numbers[tracking_id] = self._record("update", {"message": message}, inputs)
        else:
            self._put(message, inputs, before=self._next_recorded(tracking_id))

    def redaction(self, message: Message) -> None:
        """Record that a message's content is to be gone."""
        tracking_id = _id(message)
        if tracking_id in self.numbers:
            self.numbers[tracking_id] = self._record("redact", {"message": message})

    def redact(self, tracking_id: str, replacement: str) -> None:
        """Replace a message's content in the agent, and record that the old content is to be gone.

        Tool blocks keep their ids, so that uses and results stay paired.

        Raises:
            KeyError: The session has no such message.
        """
        if tracking_id not in self.numbers:
            raise KeyError(f"no message {tracking_id!r} in the session")
        held = [message for message in self._agent.messages if message.get("tracking_id") == tracking_id]
        for message in held:
            message["content"] = [_without_content(block, replacement) for block in message["content"]]
            self.redaction(message)  # type: ignore[arg-type]  # a TypedDict is the dictionary it describes
        if not held:  # not in the agent any more, but in the records
            content = [{"text": replacement}]
            self.redaction({"role": "user", "content": content, "tracking_id": tracking_id})

    def reconcile(self) -> None:
        """Record what a conversation manager did to the history: messages taken out, or put in their place."""
        messages: list[Message] = self._agent.messages  # type: ignore[assignment]
        recorded = [message for message in messages if message["content"]]
        if len(recorded) == len(self._live) and [_id(message) for message in recorded] == self._live:
            return
        for message in recorded:
            if _id(message) not in self.numbers:
                self._put(message, None, before=None)
        self._live = [_id(message) for message in recorded]
        self._record("window", {"keep": self._live})

    def state(self) -> None:
        """Record the agent's state, system prompt and inner state, where they changed."""
        version = self._state_version()
        if version != self._state_seen:
            self._state_seen = version
            self._record("state", self._agent.state.get())
        prompt = self._agent.system_prompt_content
        if (encoded := _json(prompt)) != self._prompt_seen:
            self._prompt_seen = encoded
            self._record("prompt", prompt)
        if isinstance(self._agent, Agent):
            internal = self._agent.take_snapshot(
                include=["conversation_manager_state", "interrupt_state", "model_state"]
            ).data
            if (encoded := _json(internal)) != self._internal_seen:
                self._internal_seen = encoded
                self._record("internal", internal)

    def tool_started(self, tool_use: Any) -> None:
        """Record that a tool is about to run."""
        self._tool_starts[tool_use["toolUseId"]] = time.monotonic()
        self._record("tool", {"tool_use_id": tool_use["toolUseId"], "name": tool_use["name"], "phase": "started"})

    def tool_ended(self, tool_use: Any, result: Any) -> None:
        """Record how a tool ended and how long it took."""
        started = self._tool_starts.pop(tool_use["toolUseId"], None)
        data = {"tool_use_id": tool_use["toolUseId"], "name": tool_use["name"], "phase": "ended"}
        status = result.get("status", "success") if isinstance(result, dict) else "error"
        ms = 0 if started is None else round((time.monotonic() - started) * 1000)
        self._record("tool", {**data, "status": status, "ms": ms})

    def connection(self, *, restarted: bool = False) -> None:
        """Record how the agent's model is configured, and how often its connection was restarted."""
        model: Any = self._agent.model
        config = model.get_config() if hasattr(model, "get_config") else {}
        connection: dict[str, Any] = {
            "provider": type(model).__name__,
            "model_id": config.get("model_id") if hasattr(config, "get") else None,
            "restarts": self._connection.get("restarts", 0) + restarted,
        }
        if hasattr(model, "get_audio_config"):
            connection["audio"] = model.get_audio_config()
        if connection != self._connection:
            self._connection = connection
            self._record("connection", connection)

    def _put(self, message: Message, inputs: _Inputs, before: str | None) -> None:
        data: dict[str, Any] = {"message": message}
        if before is not None:
            data["before"] = before
            self._live.insert(self._live.index(before), _id(message))
        else:
            self._live.append(_id(message))
        self.numbers[_id(message)] = self._record("message", data, inputs)

    def _next_recorded(self, tracking_id: str) -> str | None:
        """Find the recorded message that comes after one that is recorded only now."""
        following: str | None = None
        for message in reversed(self._agent.messages):
            known = message.get("tracking_id")
            if known == tracking_id:
                return following
            if known in self.numbers:
                following = known
        return None

    def _record(self, kind: str, data: Any, inputs: _Inputs = None) -> int:
        at = int(time.time() * 1000)
        record = Record(kind=kind, data=encode_bytes_values(data), agent=self._agent.agent_id, at=at, inputs=inputs)
        return self._append(record) - 1

    def _state_version(self) -> object:
        state = self._agent.state
        # Strands counts changes; should it stop doing so, comparing the content does as well, only slower.
        version = getattr(state, "_get_version", None)
        return (id(state), version()) if version is not None else _json(state.get())


def _id(message: Any) -> str:
    """The tracking id of a message; Strands gives one to all that pass through it, older layouts have none."""
    return str(message.setdefault("tracking_id", str(uuid.uuid4())))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(encode_bytes_values(value))


def _without_content(block: Any, replacement: str) -> Any:
    text = [{"text": replacement}]
    if "toolResult" in block:
        return {"toolResult": {**block["toolResult"], "content": text}}
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": {}}}
    return text[0]
