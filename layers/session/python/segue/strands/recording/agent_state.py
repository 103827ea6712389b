"""Changes of an agent's state, of its system prompt, and of what else Strands keeps of an ``Agent``."""

from __future__ import annotations

from typing import Any

from strands.agent.agent import Agent
from strands.agent.agent_result import AgentResult

from segue.errors import ValueRefused
from segue.history.agent_history import AgentHistory
from segue.history.pauses import PauseNote
from segue.journal.encoder import json_bytes
from segue.journal.records import Record
from segue.session.weak_references import WeakAgent
from segue.strands.built_agent import internal_of
from segue.strands.private import state_version
from segue.strands.recording.agent_records import AgentRecords


class StateRecorder:
    """Recorder of one agent's state and system prompt, where they changed."""

    def __init__(self, agent: WeakAgent, records: AgentRecords) -> None:
        """Begin with an agent of which nothing is recorded.

        Args:
            agent: The agent, which is not kept alive. Its state is.
            records: Its records.
        """
        self._agent = agent
        self._records = records
        self._state = agent.agent.state
        self._seen: tuple[object, object] = None, None
        self._prompt_seen: bytes = b"null"

    def restored(self, prompt: Any) -> None:
        """Take the agent's state as recorded, and a system prompt as the one that was recorded last."""
        self._state = self._agent.agent.state
        self._seen = self._version()
        self._prompt_seen = json_bytes(prompt)

    def record_state(self) -> None:
        """Record the state, if it changed; of an agent that is gone, as it was last.

        A state that was refused as too large counts as changed until it is smaller: it is not saved.
        """
        if (agent := self._agent.alive) is not None:
            self._state = agent.state
        state, version = seen = self._version()
        if state is not self._seen[0] or version != self._seen[1]:
            try:
                self._records.record("state", self._state.get())
            except RecursionError:  # Strands copies it deeply, with two frames a level
                self._records.report_refused(ValueRefused("state", "nested too deeply to be copied here"))
            self._seen = seen

    def record_prompt(self) -> None:
        """Record the system prompt, if it changed."""
        prompt = self._agent.agent.system_prompt_content
        if (encoded := json_bytes(prompt)) != self._prompt_seen:
            self._records.record("prompt", prompt)
            self._prompt_seen = encoded

    def _version(self) -> tuple[object, object]:
        """The state, held so that no other object is taken for it, and how often it was changed."""
        state = self._state
        # Strands counts changes; should it stop doing so, comparing the content does as well, only slower.
        version = state_version(state)
        return state, json_bytes(state.get()) if version is None else version


class InternalStateRecorder:
    """Recorder of what Strands keeps of an ``Agent`` besides its messages and state, and of its pauses.

    There is nothing to find of a ``BidiAgent``.
    """

    def __init__(self, agent: WeakAgent, stored: AgentHistory | None, records: AgentRecords) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent, which is not kept alive.
            stored: Its history in the session, None if it is new there.
            records: Its records.
        """
        self._agent = agent
        self._records = records
        self._seen: bytes = b"{}"
        self._pause = PauseNote(stored.internal if stored else {})

    def restored(self, internal: dict[str, Any]) -> None:
        """Take an inner state as the one that was recorded last."""
        if isinstance(self._agent.agent, Agent):
            self._pause = PauseNote(internal)
        self._seen = json_bytes(internal)

    def changes(self) -> list[Record]:
        """Return the record of the inner state, if it changed. It counts as recorded from now on."""
        agent = self._agent.agent
        if not isinstance(agent, Agent):
            return []
        internal = self._pause.within(internal_of(agent))
        if (encoded := json_bytes(internal)) == self._seen:
            return []
        self._seen = encoded
        return [self._records.made("internal", internal)]

    def tool_started(self, tool_use_id: str) -> bool:
        """Note that a tool runs; False if it was not paused, so that there is nothing to record."""
        agent = self._agent.agent
        return isinstance(agent, Agent) and self._pause.started(tool_use_id, internal_of(agent))

    def turn_ended(self, result: AgentResult | None) -> None:
        """Note that a turn has ended, and how; None if it was cut off."""
        self._pause.stopped(None if result is None else result.stop_reason, self._agent.agent.messages)
