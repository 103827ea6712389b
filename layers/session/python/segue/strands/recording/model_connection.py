"""The connection of an agent's model: its configuration, its restarts, and what the provider keeps, as records."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from segue.history.agent_history import AgentHistory
from segue.history.messages import copy_of
from segue.journal.encoder import without_refused
from segue.session.weak_references import WeakAgent
from segue.strands.recording.agent_records import AgentRecords


class ConnectionRecorder:
    """Recorder of one agent's model connection. Models may do without each of the methods that are asked here.

    Attributes:
        recorded: The connection as it was recorded last.
    """

    def __init__(self, agent: WeakAgent, stored: AgentHistory | None, records: AgentRecords) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent, which is not kept alive.
            stored: Its history in the session, None if it is new there.
            records: Its records.
        """
        self.recorded: dict[str, Any] = dict(stored.connection) if stored else {}
        self._agent = agent
        self._records = records

    @property
    def _model(self) -> Any:
        return self._agent.agent.model

    def watch(self, changed: Callable[[], object]) -> None:
        """Hear of a connection's new state from models that tell; see ``worker.providers``."""
        _asked(self._model, "watch_connection", changed)

    def load(self, connection: Mapping[str, Any]) -> None:
        """Give the model a connection as the session has it."""
        _asked(self._model, "load_connection", copy_of(connection))

    def put_back(self) -> None:
        """Give the model the connection that was recorded last."""
        self.load(self.recorded)

    def forget_conversation(self) -> bool:
        """Let the provider forget a conversation of which something was redacted; False if it keeps none."""
        if not hasattr(self._model, "forget_connection"):
            return False
        _asked(self._model, "forget_connection")
        return True

    def record(self, *, restarted: bool = False) -> None:
        """Record how the model is configured, and how often its connection was restarted, where that changed."""
        agent = self._agent.agent
        model: Any = agent.model
        config = _asked(model, "get_config")
        connection: dict[str, Any] = {
            "provider": type(model).__name__,
            "model_id": config.get("model_id") if isinstance(config, Mapping) else None,
            "restarts": self.recorded.get("restarts", 0) + restarted,
        }
        if isinstance(audio := _asked(model, "get_audio_config"), Mapping):
            connection["audio"] = dict(audio)
        if isinstance(state := _asked(model, "connection_state", agent.messages), Mapping):
            connection |= state
        connection = without_refused(connection, "connection")  # facts for people: a model may be made of anything
        if connection != self.recorded:
            self.recorded = connection
            self._records.record("connection", connection)


def _asked(model: Any, name: str, *arguments: Any) -> Any:
    """Call a method of a model if it has it; None if it has not, or would have to be awaited: it is a stand-in then."""
    method = getattr(model, name, None)
    answer = method(*arguments) if callable(method) else None
    if inspect.iscoroutine(answer):
        answer.close()
    return None if inspect.isawaitable(answer) else answer
