"""The tools of an agent, as records: started and ended."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from segue.history.agent_history import AgentHistory
from segue.history.repair import is_dispatch, results_of
from segue.history.tool_uses import ToolUse, ToolUses
from segue.journal.message_shape import Message
from segue.session.weak_references import WeakAgent
from segue.strands.recording.agent_records import AgentRecords

_BEGINNING = 8
"""Turns of the loop in which a tool gets from its request to the hook before it. Strands 1.62 needs two."""


class ToolRecorder:
    """Recorder of one agent's tools."""

    def __init__(self, agent: WeakAgent, stored: AgentHistory | None, records: AgentRecords) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent, which is not kept alive.
            stored: Its history in the session, None if it is new there.
            records: Its records.
        """
        self._agent = agent
        self._records = records
        self._uses = ToolUses(stored.uses if stored else {}, stored.messages if stored else ())
        self._started_at: dict[str, float] = {}
        self._asked_for: set[str] = set()

    def message(self, message: Message) -> None:
        """Note the tools that a voice agent's response asks for, if a message does."""
        if is_dispatch(message):
            self._asked_for.update(results_of(message))

    async def begin_tools(self) -> None:
        """Let tools begin that a voice agent's response has just asked for: their intents are of this turn.

        Its end then waits for them, too. Told before, it could be followed by ``stop()`` while a tool still waits for
        its intent, and a tool that would have run without a session manager does not.
        """
        for _ in range(_BEGINNING):
            if not self._asked_for:
                return
            await asyncio.sleep(0)
        self._asked_for.clear()  # a hook of the user has called them off, or still thinks

    def started(self, tool_use: Any) -> ToolUse:
        """Record that a tool is about to run, and return the use."""
        self._asked_for.discard(tool_use["toolUseId"])
        use = self._uses.begin_use(tool_use, self._agent.agent.messages)
        self._started_at[use.key] = time.monotonic()
        named = {"tool_use_id": use.tool_use_id, "name": tool_use["name"]}
        self._records.record("tool", {**named, "phase": "started", **use.facts})
        return use

    def ended(self, tool_use: Any, result: Any) -> ToolUse:
        """Record how a tool ended and how long it took, and return the use."""
        use = self._uses.end_use(tool_use)
        started = self._started_at.pop(use.key, None)
        data = {"tool_use_id": use.tool_use_id, "name": tool_use["name"], "phase": "ended"}
        if use.number > 1:
            data["use"] = use.number
        status = result.get("status", "success") if isinstance(result, dict) else "error"
        ms = 0 if started is None else round((time.monotonic() - started) * 1000)
        self._records.record("tool", {**data, "status": status, "ms": ms})
        return use
