"""The session manager for Strands: an agent's messages, state and tool runs become records of the session.

Hooks run on the agent's event loop and only queue; storage happens elsewhere (``segue.session.runtime``). With
``durability="await"`` a hook returns when its record is durable, so that hooks after it see saved state; with
``"gate"`` it returns at once, and code that sends output to clients awaits ``durable()`` first.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Unpack

from strands.agent.agent import Agent
from strands.bidi.hooks.events import (
    BidiAfterConnectionRestartEvent,
    BidiAgentStopEvent,
    BidiBeforeConnectionRestartEvent,
    BidiResponseStopEvent,
)
from strands.hooks.events import (
    AfterInvocationEvent,
    AfterMultiAgentInvocationEvent,
    AfterNodeCallEvent,
    AfterToolCallEvent,
    AgentInitializedEvent,
    BeforeInvocationEvent,
    BeforeToolCallEvent,
    MessageAddedEvent,
    MessageUpdatedEvent,
    MultiAgentInitializedEvent,
)
from strands.hooks.registry import BaseHookEvent, HookOrder, HookRegistry
from strands.session.session_manager import SessionManager
from strands.types.agent import LocalAgent
from strands.types.exceptions import SessionException

from segue.errors import SegueError, StorageRefused
from segue.history.fold import AgentHistory, History, Message, fold
from segue.history.points import Point, point_at, points_of, rewind_record
from segue.history.repair import RepairReport
from segue.history.tool_uses import forget, remember
from segue.journal.records import Record
from segue.session.handle import SessionHandle
from segue.session.options import SessionOptions, SessionSettings
from segue.session.runtime import in_event_loop
from segue.session.weak_references import weakly
from segue.strands.approvals import Approvals
from segue.strands.errors import SessionStorageRefused
from segue.strands.idempotency import SESSION_KEY
from segue.strands.interrupts import refuse_interrupts
from segue.strands.multi_agents import MultiAgents
from segue.strands.private import waits_for_answer
from segue.strands.recording.recorder import AgentRecorder
from segue.strands.recording.recorders import Recorders
from segue.strands.restoring import Restoring

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase  # Graphs and Swarms: a cold start of an agent has neither
    from strands.types.content import Message as StrandsMessage

logger = logging.getLogger(__name__)

AHEAD_LIMIT = 200
"""Records that an agent may run ahead of the journal with ``durability="gate"``. A conversation makes about
one a second: when storage is down for minutes, the conversation has to pause and say so."""

_SAVE_FIRST = HookOrder.SDK_FIRST - 1
"""Order before the user's hooks, which may have been registered earlier: they must see saved and restored state."""

_SAVE_LAST = HookOrder.SDK_LAST + 1
"""Order after the user's stop hooks, which may still change the agent's state."""


class GuardedSessionManager(SessionHandle, SessionManager[LocalAgent]):
    """Keeps a session for a ``BidiAgent`` or an ``Agent``, and lets exactly one writer add to it.

    Not used by itself: ``GuardedS3SessionManager`` and ``GuardedFileSessionManager`` name the storage.
    """

    def __init__(self, session_id: str, **options: Unpack[SessionOptions]) -> None:
        """Prepare; no I/O.

        Raises:
            ValueError: An id or an option is not valid.
        """
        super().__init__(session_id, SessionSettings(**options))
        append, refused = weakly(self._slot.append, 0), weakly(self._refused_values.refuse, None)
        self._recorders = Recorders(session_id, append)
        self._restoring = Restoring(self.session_key, self.settings, self._slot, append, refused)
        self._multi_agents = MultiAgents(self.session_key, append, refused)

    @property
    def report(self) -> dict[str, RepairReport]:
        """The repairs of the restored history, by agent id."""
        return self._restoring.report

    async def redact(self, tracking_id: str, replacement: str = "[redacted]", agent_id: str = "default") -> None:
        """Take a message's content out of the agent's history and out of every object of the session.

        Args:
            tracking_id: The message's ``tracking_id``.
            replacement: Text in place of the content.
            agent_id: The message's agent.

        Raises:
            KeyError: The session has no such message.
            SegueError: It could not be done; a redaction that was begun is finished by the next holder.
        """
        self._recorders[agent_id].redact(tracking_id, replacement)
        await self.flush()

    async def points(self) -> list[Point]:
        """List the points in time that the session can go back to, oldest first: every commit is one."""
        await self.flush()
        return points_of(await self._run(self._slot.require().read(whole=False)))

    async def rewind(self, point: Point) -> None:
        """Make the session what it was at a point in time, and its agents with it.

        Nothing is lost by this: going back is a record, too, and the points after it can still be gone to.

        Args:
            point: One of ``points()``.

        Raises:
            RuntimeError: An agent is started (call its ``stop`` first) or in a turn, or has background tasks.
            ValueError: The session has no such point.
            SegueError: It could not be recorded.
        """
        while True:
            await self.flush()
            journal = await self._run(self._slot.require().read())
            point_at(points_of(journal), point.records)
            with ExitStack() as still:  # from here on, nothing else of this loop gets its turn
                self._recorders.forget_gone()
                for recorder in self._recorders.all():
                    still.enter_context(recorder.turns.held_still())
                self._multi_agents.must_be_idle()
                if self.position == len(journal.records):  # otherwise something was recorded while it was read
                    record = rewind_record(point.records)
                    self._go_back(record, fold([*journal.records, record]))
                    break
        await self.flush()

    def _go_back(self, record: Record, history: History) -> None:
        """Give every agent an earlier history and queue the record of it: for all of them, or for none."""
        before = {recorder: recorder.snapshot() for recorder in self._recorders.all()}
        try:
            gone_back = [
                self._restoring.restore(recorder.agent, _of(recorder.agent, history), recorder.as_built)
                for recorder in before
            ]
            self._slot.append(record, *(changed for _, records in gone_back for changed in records))
        except BaseException:
            for recorder, snapshot in before.items():
                recorder.put_back(snapshot)
            raise
        self._slot.history = history
        for known, (recorder, _) in zip(before, gone_back, strict=True):
            recorder.keep_stash_of(known)
        self._recorders.replace([recorder for recorder, _ in gone_back])
        for recorder, _ in gone_back:
            recorder.take_part()
        self._multi_agents.go_back(history.multi_agents)

    def approvals(self, agent_id: str = "default") -> Approvals:
        """Return the approvals of an agent of this session: requests to people, and their outcomes.

        Raises:
            KeyError: No such agent was built with this manager.
        """
        return self._recorders[agent_id].approvals

    def deny_approvals(self, why: str) -> None:
        """Deny what an ``Agent`` of this session waits for, when a ``BidiAgent`` is built that goes on with it.

        A ``BidiAgent`` cannot resume a tool. Each waiting tool has ``why`` as its result. Without this call, waiting
        tools are left to an ``Agent``, until the next message.

        Args:
            why: In words, for people and for the model.
        """
        self._restoring.denying = why

    def record_of(self, tracking_id: str, agent_id: str = "default") -> int | None:
        """Return the number of the record that last determined a message."""
        recorder = self._recorders.get(agent_id)
        return None if recorder is None else recorder.numbers.get(tracking_id)

    def author_of(self, tracking_id: str, agent_id: str = "default") -> tuple[str, int] | None:
        """Return the client whose input a message is the effect of, and the number of its last frame."""
        recorder = self._recorders.get(agent_id)
        return None if recorder is None else recorder.authors.get(tracking_id)

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Register with an agent's hooks."""
        registry.add_callback(AgentInitializedEvent, self._on_initializing, order=_SAVE_FIRST)
        registry.add_callback(AgentInitializedEvent, self._on_initialized, order=_SAVE_LAST)
        registry.add_callback(BeforeInvocationEvent, self._on_turn_begin, order=_SAVE_LAST)
        registry.add_callback(MessageAddedEvent, self._on_message_added, order=_SAVE_FIRST)
        registry.add_callback(MessageUpdatedEvent, self._on_message_updated, order=_SAVE_FIRST)
        registry.add_callback(BeforeToolCallEvent, self._on_tool_start, order=_SAVE_LAST)
        registry.add_callback(AfterToolCallEvent, self._on_tool_end, order=_SAVE_FIRST)
        registry.add_callback(AfterInvocationEvent, self._on_turn_over, order=_SAVE_FIRST)
        # User hooks of these may change state, and hooks of the stop also look at what was saved.
        registry.add_callback([BidiResponseStopEvent, AfterInvocationEvent], self._on_turn_end, order=_SAVE_LAST)
        registry.add_callback(BidiBeforeConnectionRestartEvent, self._on_restart, order=_SAVE_LAST)
        registry.add_callback(BidiAfterConnectionRestartEvent, self._on_restarted, order=_SAVE_FIRST)
        registry.add_callback(BidiAgentStopEvent, self._on_stopping, order=_SAVE_FIRST)
        registry.add_callback(BidiAgentStopEvent, self._on_stop, order=_SAVE_LAST)
        registry.add_callback(MultiAgentInitializedEvent, lambda event: self.initialize_multi_agent(event.source))
        registry.add_callback([AfterNodeCallEvent, AfterMultiAgentInvocationEvent], self._on_node_end, order=_SAVE_LAST)

    def initialize(self, agent: LocalAgent, *, built: bool = True, **kwargs: Any) -> None:
        """Restore an agent, or record a new one. Blocks only if the session was not opened before.

        If that fails, nothing of the agent is recorded, now or later, and the session is released.

        Args:
            agent: The agent.
            built: Whether its constructor can fail no more. Otherwise nothing of it is recorded yet.
            **kwargs: Nothing; Strands may add to it.

        Raises:
            ValueError: The agent's id is used twice, or it is a ``BidiAgent`` that would be interrupted.
            SegueError: The session could not be opened or read.
        """
        with self._whole_or_not_at_all():
            refuse_interrupts(agent)
            if self._slot.standby is None and self._session is None:
                if in_event_loop():
                    logger.warning(
                        "await session_manager.open() before building the agent, to keep the event loop free"
                    )
                self.open_sync()
            self._watch_loop()
            self._recorders.see_that_none_has(agent.agent_id)
            self._recorders.begin(agent, *self._restoring.begin(agent))
        if built:
            self._built(agent)

    def _built(self, agent: LocalAgent) -> None:
        """Record an agent from now on."""
        with self._whole_or_not_at_all():
            new = self._recorders.join(agent)
        if new and self.settings.durability == "await" and not in_event_loop():
            self._flush_sync()  # an agent can be built: what was refused of it is raised by its first turn

    def _on_initializing(self, event: AgentInitializedEvent) -> None:
        self.initialize(event.agent, built=False)

    def _on_initialized(self, event: AgentInitializedEvent) -> None:
        """Record an agent after all hooks of its constructor: an earlier hook of the user's may have raised."""
        if self._recorders.is_building(event.agent):
            self._built(event.agent)

    @contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        """Release the session if an agent could not be restored, and no other agent uses it."""
        standby = self._slot.standby
        built_on = standby is not None and standby.built_on
        if standby is not None:
            standby.built_on = True
        try:
            yield
        except BaseException:
            if standby is not None:
                standby.built_on = built_on
            if self._session is not None and not (self._recorders.in_use or self._multi_agents):
                releasing = self._runtime.submit(self._session.close())
                if not in_event_loop():
                    with contextlib.suppress(SegueError):
                        releasing.result()
            raise

    def append_message(self, message: StrandsMessage, agent: LocalAgent, **kwargs: Any) -> None:
        """Queue a message of the session, whether the agent holds it or not; ``flush`` waits until it is durable.

        The hooks do this for what an agent says and does.
        """
        self._recorder(agent).append(_plain(message), self._client_input.take())
        self._refused_values.raise_first(agent.agent_id)

    def sync_agent(self, agent: LocalAgent, **kwargs: Any) -> None:
        """Queue changes of the agent that no hook has reported: its messages, state and system prompt."""
        recorder = self._recorder(agent)
        recorder.reconcile()
        recorder.state()
        self._refused_values.raise_first(agent.agent_id)

    def redact_latest_message(self, redact_message: StrandsMessage, agent: LocalAgent, **kwargs: Any) -> None:
        """Queue the replacement of the latest message; the hook that follows waits for it, or ``flush``.

        Args:
            redact_message: The message, redacted already, as Strands gives it for a guardrail; or another one, which is
                to stand in the place of the latest. It is not written to.
            agent: The message's agent.
            **kwargs: For Strands.

        Raises:
            SessionException: There is no message yet.
        """
        try:
            self._recorder(agent).redaction(_plain(redact_message))
        except LookupError as error:
            raise SessionException(str(error)) from None

    def initialize_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Restore a Graph or Swarm, or record a new one. Blocks only if the session was not opened before.

        Strands calls this on an event loop of its own that ends at once, so no heartbeat is tied to it.
        """
        with self._whole_or_not_at_all():
            self.open_sync()
            self._multi_agents.initialize(source, self._slot.history.multi_agents)

    def sync_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Queue a Graph's or Swarm's state. The hooks do this and wait; direct callers wait with ``flush``."""
        self._multi_agents.record(source)
        self._refused_values.raise_first(source.id)

    async def _on_node_end(self, event: AfterNodeCallEvent | AfterMultiAgentInvocationEvent) -> None:
        self._multi_agents.record(event.source)
        await self._keep_up()
        self._refused_values.raise_first(event.source.id)

    async def _on_message_added(self, event: MessageAddedEvent) -> None:
        recorder = self._told_by(event.agent)
        if not event.message.get("content"):
            recorder.message(_plain(event.message), None)
            return  # a streamed message begins; it is recorded when it is complete, and takes its input then
        recorder.message(_plain(event.message), self._client_input.take())
        recorder.state()
        recorder.stash_added(_plain(event.message))
        if not _result_follows(event):
            await self._keep_up()

    async def _on_message_updated(self, event: MessageUpdatedEvent) -> None:
        recorder = self._told_by(event.agent)
        recorder.update(_plain(event.message), self._client_input.take())
        recorder.state()
        await self._keep_up()

    async def _on_tool_start(self, event: BeforeToolCallEvent) -> None:
        """Wait, before a tool runs, until its intent is durable, and check the lease."""
        recorder = self._told_by(event.agent)
        if not waits_for_answer(event):
            remember(event.invocation_state, event.tool_use, recorder.tool_started(event.tool_use))
        event.invocation_state[SESSION_KEY] = self.session_key
        await self.durable()

    async def _on_tool_end(self, event: AfterToolCallEvent) -> None:
        recorder = self._told_by(event.agent)
        forget(event.invocation_state, recorder.tool_ended(event.tool_use, event.result))
        recorder.state()

    async def _on_turn_begin(self, event: BeforeInvocationEvent) -> None:
        self._told_by(event.agent).turns.began()

    async def _on_turn_over(self, event: AfterInvocationEvent) -> None:
        """Note how a turn ended before the user's hooks come, one of which may raise."""
        self._told_by(event.agent).turn_ended(event.result)

    async def _on_turn_end(self, event: BidiResponseStopEvent | AfterInvocationEvent) -> None:
        recorder = self._told_by(event.agent)
        if isinstance(event, BidiResponseStopEvent):
            await recorder.tools.begin()
        await recorder.reconcile_turn()
        recorder.state()
        recorder.record_stash()
        await self._keep_up()
        # Told when the turn is whole: what was answered is recorded, and no error of the turn's own is hidden. An error
        # in a hook would end a voice conversation.
        if isinstance(event, AfterInvocationEvent) and event.result is not None:
            self._refused_values.raise_first(event.agent.agent_id)

    async def _on_restart(self, event: BidiBeforeConnectionRestartEvent) -> None:
        """Wait, before the model connection restarts with the history, until all of it is durable."""
        recorder = self._told_by(event.agent)
        recorder.state()
        await self._flush()

    async def _on_restarted(self, event: BidiAfterConnectionRestartEvent) -> None:
        self._told_by(event.agent).connection(restarted=event.exception is None)

    async def _on_stopping(self, event: BaseHookEvent) -> None:
        """Save the state before the user's stop hooks, which must see it saved."""
        try:
            if isinstance(event, BidiAgentStopEvent):
                self._recorder(event.agent).connection()  # its newest state, for a successor
            await self._flush()
        except SegueError:
            # After an error here ``_on_stop`` is not called, so release here, as soon as storage allows.
            if (session := self._slot.mine()) is not None:
                self._runtime.submit(session.close())
            raise

    async def _on_stop(self, event: BaseHookEvent) -> None:
        await self._close()

    async def _keep_up(self) -> None:
        self._follow_loop()
        if self._slot.standby is not None:
            return  # nothing is queued before the session is held
        writer = self._slot.require().live
        if self.settings.durability == "await":
            await self.durable(writer.position)
        elif writer.position - writer.head > AHEAD_LIMIT:
            await self.durable(writer.position - AHEAD_LIMIT)

    def _refused(self, refused: StorageRefused) -> StorageRefused:
        return SessionStorageRefused(refused)

    def _recorder(self, agent: LocalAgent) -> AgentRecorder:
        if self._recorders.is_building(agent):  # a hook of its constructor lets it do something already
            self._built(agent)
        try:
            recorder = self._recorders[agent.agent_id]
        except KeyError:
            raise RuntimeError(f"agent {agent.agent_id!r} does not belong to session {self.session_id!r}") from None
        recorder.meet(agent)
        return recorder

    def _unused(self) -> bool:
        used = self._recorders.known or self._multi_agents.known
        return used and not (self._recorders.in_use or self._multi_agents)

    def _told_by(self, agent: LocalAgent) -> AgentRecorder:
        """Return the recorder of an agent, one of whose hooks runs here."""
        recorder = self._recorder(agent)
        recorder.turns.follow()
        return recorder

    def _record_states(self) -> None:
        self._recorders.record_states()

    def _record_changes(self) -> None:
        self._recorders.record_changes()

    async def _record_changes_in_steps(self) -> None:
        await self._recorders.record_changes_in_steps()


def _result_follows(event: MessageAddedEvent) -> bool:
    """Tell whether a tool's result is added directly after this message: a voice agent adds both as one.

    ``stop()`` could cancel a task that waited between them, and the result would be in no history.
    """
    agent: LocalAgent = event.agent
    return not isinstance(agent, Agent) and any("toolUse" in block for block in event.message["content"])


def _of(agent: LocalAgent, history: History) -> AgentHistory:
    return history.agents.get(agent.agent_id, AgentHistory())


def _plain(message: StrandsMessage) -> Message:
    return message  # type: ignore[return-value]  # a TypedDict is the dictionary that it describes
