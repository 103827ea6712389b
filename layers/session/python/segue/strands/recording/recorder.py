"""One agent's recorded state, and the records for its changes since."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from strands.agent.agent import Agent
from strands.agent.agent_result import AgentResult
from strands.types.agent import LocalAgent

from segue.history.agent_history import AgentHistory
from segue.history.pauses import FitHistory
from segue.history.tool_uses import ToolUse
from segue.journal.message_shape import Message
from segue.journal.records import Record
from segue.session.refused_values import OnRefused, raise_refused
from segue.session.weak_references import WeakAgent
from segue.strands.approvals import Approvals, Inputs
from segue.strands.built_agent import AgentAsBuilt, replace_in_summary
from segue.strands.private import Snapshot, resume_own_message
from segue.strands.recording.agent_records import AgentRecords, Append
from segue.strands.recording.agent_state import InternalStateRecorder, StateRecorder
from segue.strands.recording.agent_turns import AgentTurns
from segue.strands.recording.held_messages import RECENT, HeldMessages
from segue.strands.recording.locked import locked
from segue.strands.recording.model_connection import ConnectionRecorder
from segue.strands.recording.stash import StashRecorder
from segue.strands.recording.tools import ToolRecorder


class AgentRecorder:
    """Recorder of one agent's changes. Any thread may use it: the agent's, or one that flushes.

    Each part of the agent has a part here. One lock is around all of them, so that records are in the order of the
    changes.

    Attributes:
        agent_id: The agent's id.
        approvals: The approvals of the agent.
        as_built: The agent as it was built.
        turns: Its turns.
        tools: Its tools.
    """

    def __init__(
        self,
        agent: LocalAgent,
        stored: AgentHistory | None,
        append: Append,
        refused: OnRefused = raise_refused,
        as_built: AgentAsBuilt | None = None,
    ) -> None:
        """Begin with the session's history of the agent.

        Args:
            agent: The agent.
            stored: Its history in the session, None if it is new there.
            append: Queues records and returns the position after them.
            refused: Told of values that were not recorded as they are; default: they are raised.
            as_built: The agent as it was built; default: as it is.
        """
        self.agent_id = agent.agent_id
        self._weak = WeakAgent(agent)
        self.approvals = Approvals(self._weak, stored.approvals if stored else (), self._record_with_internal)
        self.as_built = as_built or AgentAsBuilt.now(agent)
        self.turns = AgentTurns(self._weak)
        self._lock = threading.RLock()
        self._records = AgentRecords(self._weak, append, refused)
        self._held = HeldMessages(self._weak, stored, self._records)
        self._state = StateRecorder(self._weak, self._records)
        self._internal = InternalStateRecorder(self._weak, stored, self._records)
        self._connection = ConnectionRecorder(self._weak, stored, self._records)
        self.tools = ToolRecorder(self._weak, stored, self._records)
        self._stash = StashRecorder(stored)

    @property
    def numbers(self) -> dict[str, int]:
        """For each recorded message's tracking id, the record that last determined it."""
        return self._held.numbers

    @property
    def authors(self) -> dict[str, tuple[str, int]]:
        """For the tracking id of what a client said, the client's id and the number of its last input."""
        return self._held.authors

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep all other threads out."""
        return self._lock

    @property
    def agent(self) -> LocalAgent:
        """The agent, which is not kept alive.

        Raises:
            RuntimeError: It is gone.
        """
        return self._weak.agent

    @property
    def gone(self) -> bool:
        """Tell whether the agent has been freed."""
        return self._weak.gone

    def bind_agent(self, agent: LocalAgent) -> None:
        """Serve an agent whose hook is running."""
        self._weak.bind_agent(agent)

    @locked
    def record_new_agent(self) -> None:
        """Record a new agent: its class and name, and the state that it was built with; all of it or nothing."""
        with self._records.collected() as records:
            self._records.record("agent", {"class": type(self.agent).__name__, "name": self.agent.name})
            self._held.record_new_agent()
            self.state()
            self.connection()
        self._held.count_from(self._records.append(*records) - len(records))

    def watch_connection(self) -> None:
        """Hear of a connection's new state from the agent's model."""
        self._connection.watch(self.connection)

    @locked
    def restore(
        self, fit: FitHistory, stored: AgentHistory, *, with_prompt: bool, from_scratch: bool = False
    ) -> list[Record]:
        """Restore the agent from the session, through its own snapshot schema.

        Args:
            fit: What the session has, fit to use, in dictionaries that the agent may keep.
            stored: The same as it was recorded.
            with_prompt: Whether the system prompt is restored, too.
            from_scratch: Whether what the session has not is as it was when the agent was built. Otherwise it is left
                as it is.

        Returns:
            The records of what is not as it was recorded. They are to be queued once all agents are restored.
        """
        self.as_built.load_into(self.agent, fit, stored, with_prompt=with_prompt, from_scratch=from_scratch)
        self._held.restored(stored.messages)
        if isinstance(self.agent, Agent):
            resume_own_message(self.agent)
        self._state.restored(stored.system_prompt)
        self._internal.restored(fit.internal)
        self._connection.load(stored.connection)
        with self._records.collected() as records:
            self.state()
            self.connection()
        return records

    def snapshot(self) -> Snapshot:
        """Return all that the agent has."""
        return self.agent.take_snapshot(preset="session", include=["system_prompt"])

    def put_back(self, snapshot: Snapshot) -> None:
        """Restore the agent to its state before a change of its history that failed."""
        self.agent.load_snapshot(snapshot)
        self._connection.put_back()

    @locked
    def message(self, message: Message, inputs: Inputs) -> None:
        """Record an added message. A streamed one that has only begun is recorded when it is complete."""
        self.tools.message(message)
        self._held.added(message, inputs)

    @locked
    def update(self, message: Message, inputs: Inputs) -> None:
        """Record that a message was completed or replaced."""
        self._held.updated(message, inputs)

    @locked
    def append(self, message: Message, inputs: Inputs) -> None:
        """Record a message of the session that the agent may hold already, later or never."""
        self._held.append(message, inputs)

    @locked
    def redaction(self, message: Message) -> None:
        """Record that a message's content is to be gone, given what stands in its place.

        Raises:
            LookupError: There is no message yet.
        """
        if (redacted := self._held.redact_latest(message)) is not None:
            self._forget(redacted)

    @locked
    def redact(self, tracking_id: str, replacement: str) -> None:
        """Replace a message's content in the agent, and record that the old content is to be gone.

        Raises:
            KeyError: The session has no such message.
        """
        self._forget(self._held.redact(tracking_id, replacement))

    def _forget(self, message: Message) -> None:
        """Remove a redacted message's content from all state beside the history.

        A conversation manager has a summary twice, a context manager what it took out, a pause names the message whose
        tools wait, and the provider may keep the conversation.
        """
        self.approvals.redact(message["tracking_id"])
        self._stash.redacted(
            self.agent, message if self._held.holds(message["tracking_id"]) else {**message, "content": []}
        )
        if isinstance(self.agent, Agent):
            resume_own_message(self.agent)
            replace_in_summary(self.agent.conversation_manager, message)
        if self._connection.forget_conversation():
            self.connection()

    def reconcile(self) -> None:
        """Record changes of the history that no event reported: messages put in, taken out, or changed in place."""
        for _ in self._comparing():
            pass

    async def reconcile_in_steps(self) -> None:
        """Record the same in steps, between which the event loop goes on, at any length of the history."""
        for _ in self._comparing():
            await asyncio.sleep(0)

    async def reconcile_turn(self) -> None:
        """Reconcile after a turn. Of a voice agent's messages only the newest are looked into: audio is waiting."""
        if isinstance(self.agent, Agent):
            await self.reconcile_in_steps()
        else:
            for _ in self._comparing(newest=RECENT):
                pass

    def _comparing(self, newest: int | None = None) -> Iterator[None]:
        steps = self._held.comparing(newest)
        while True:
            with self._lock:
                if self.turns.on_another_thread or next(steps, steps) is steps:
                    return
            yield

    @locked
    def state(self) -> None:
        """Record the agent's state, system prompt and inner state, where they changed."""
        self._state.record_state()
        if self.gone or self.turns.on_another_thread:
            return  # what else it had went with it, or is told of by its own events
        self._state.record_prompt()
        self._records.queue(*self._internal.changes())

    @locked
    def _record_with_internal(
        self, kind: str, data: Any, inputs: Inputs, message: Message | None = None
    ) -> tuple[int, int]:
        """Record something in one append with the agent's inner state, and maybe with a message that is added to it.

        Returns:
            Its number and when it was made.
        """
        record = self._records.made(kind, data, inputs)
        if message is not None:
            message = self._held.named(message)
        before = self._internal.changes()
        if message is not None:
            before.insert(0, self._records.made("message", {"message": message}))
        position = self._records.queue(*before, record)
        if message is not None:
            self._held.add_recorded(message, position - 1 - len(before))
        return position - 1, record.at

    @locked
    def turn_ended(self, result: AgentResult | None) -> None:
        """Note that a turn of an ``Agent`` has ended, and how; None if it was cut off."""
        self.turns.ended()
        self._internal.turn_ended(result)

    @locked
    def stash_added(self, message: Message) -> None:
        """Note a message whose blocks a context manager puts into its stash by itself."""
        self._stash.added(self.agent, message)

    @locked
    def fill_stash(self, stored: AgentHistory) -> None:
        """Fill a context manager's stash from the session."""
        self._stash.fill(self.agent, stored)

    def keep_stash_of(self, other: AgentRecorder) -> None:
        """Take over the stash's state from an earlier recorder of the agent: a stash is not rewound."""
        self._stash = other._stash

    @locked
    def record_stash(self) -> None:
        """Record entries of a context manager's stash that no other record has."""
        if not (self.gone or self.turns.on_another_thread):
            changes = self._stash.changes(self.agent, self.numbers)
            if changes is not None:
                self._records.record("stash", changes)

    @locked
    def tool_started(self, tool_use: Any) -> ToolUse:
        """Record that a tool is about to run, and return the use."""
        if self._internal.tool_started(tool_use["toolUseId"]):
            self.state()
        return self.tools.started(tool_use)

    @locked
    def tool_ended(self, tool_use: Any, result: Any) -> ToolUse:
        """Record how a tool ended and how long it took, and return the use."""
        return self.tools.ended(tool_use, result)

    @locked
    def connection(self, *, restarted: bool = False) -> None:
        """Record how the agent's model is configured, and how often its connection was restarted."""
        if not self.gone:
            self._connection.record(restarted=restarted)
