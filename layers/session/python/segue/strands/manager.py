"""The session manager for Strands: an agent's messages, state and tool runs become records of the session.

``segue.strands.hooks`` says what is recorded when, and what the agent waits for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Unpack

from strands.hooks.events import AgentInitializedEvent, MultiAgentInitializedEvent
from strands.hooks.registry import HookRegistry
from strands.session.session_manager import SessionManager
from strands.types.agent import LocalAgent
from strands.types.exceptions import SessionException

from segue.history.points import Point, points_of
from segue.history.repair import RepairReport
from segue.session.handle import SessionHandle
from segue.session.options import SessionOptions, SessionSettings
from segue.session.runtime import in_event_loop
from segue.session.weak_references import weakly
from segue.strands.agents import SessionAgents
from segue.strands.approvals import Approvals
from segue.strands.errors import SessionStorageRefused
from segue.strands.hooks import SAVE_FIRST, SAVE_LAST, HookWaits, SessionHooks, plain
from segue.strands.interrupts import refuse_interrupts
from segue.strands.multi_agents import MultiAgents
from segue.strands.recording.recorders import Recorders
from segue.strands.restoring import Restoring
from segue.strands.rewinding import Rewinding

if TYPE_CHECKING:
    from strands.multiagent.base import MultiAgentBase  # Graphs and Swarms: a cold start of an agent has neither
    from strands.types.content import Message as StrandsMessage

logger = logging.getLogger(__name__)

AHEAD_LIMIT = 200
"""Records that an agent may run ahead of the journal with ``durability="gate"``. A conversation makes about
one a second: when storage is down for minutes, the conversation has to pause and say so."""


class GuardedSessionManager(SessionHandle, SessionManager[LocalAgent]):
    """Session manager for a ``BidiAgent`` or an ``Agent`` that lets exactly one writer add to the session.

    Not used by itself: ``GuardedS3SessionManager`` and ``GuardedFileSessionManager`` name the storage.
    """

    def __init__(self, session_id: str, **options: Unpack[SessionOptions]) -> None:
        """Prepare; no I/O.

        Raises:
            ValueError: An id or an option is not valid.
        """
        super().__init__(session_id, SessionSettings(**options), SessionStorageRefused)
        append, refused = weakly(self._slot.append, 0), weakly(self._refused_values.refuse, None)
        self._recorders = Recorders(session_id, append)
        self._restoring = Restoring(self.session_key, self.settings, self._slot, append, refused)
        self._multi_agents = MultiAgents(self.session_key, append, refused)
        self._rewinding = Rewinding(self._slot, self._recorders, self._restoring, self._multi_agents)
        parts = self._slot, self._recorders, self._multi_agents
        self._agents = SessionAgents(session_id, *parts, weakly(self._flush_new, None))

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
        return points_of(await self._calls.run(self._slot.require().read(whole=False)))

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
            if self._rewinding.go_back(point, await self._calls.run(self._slot.require().read())):
                break
        await self.flush()

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
        self._restoring.deny_with(why)

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
        registry.add_callback(AgentInitializedEvent, self._on_initializing, order=SAVE_FIRST)
        registry.add_callback(AgentInitializedEvent, self._on_initialized, order=SAVE_LAST)
        registry.add_callback(MultiAgentInitializedEvent, lambda event: self.initialize_multi_agent(event.source))
        waits = HookWaits(self.durable, self._keep_up, self._flush, self._close, self._begin_release)
        parts = self._agents, self._multi_agents, self._client_input, self._refused_values
        SessionHooks(self.session_key, *parts, waits).register(registry)

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
        with self._agents.release_on_failure():
            refuse_interrupts(agent)
            if self._slot.standby is None and self._session is None:
                if in_event_loop():
                    logger.warning(
                        "await session_manager.open() before building the agent, to keep the event loop free"
                    )
                self.open_sync()
            self._watch_loop()
            self._recorders.check_no_agent_has(agent.agent_id)
            self._recorders.note_agent(agent, *self._restoring.restore_agent(agent))
        if built:
            self._agents.built(agent)

    def _on_initializing(self, event: AgentInitializedEvent) -> None:
        self.initialize(event.agent, built=False)

    def _on_initialized(self, event: AgentInitializedEvent) -> None:
        """Record an agent after all hooks of its constructor: an earlier hook of the user's may have raised."""
        if self._recorders.is_building(event.agent):
            self._agents.built(event.agent)

    def append_message(self, message: StrandsMessage, agent: LocalAgent, **kwargs: Any) -> None:
        """Queue a message of the session, whether the agent holds it or not; ``flush`` waits until it is durable.

        The hooks do this for what an agent says and does.
        """
        self._agents.recorder(agent).append(plain(message), self._client_input.take_input())
        self._refused_values.raise_first(agent.agent_id)

    def sync_agent(self, agent: LocalAgent, **kwargs: Any) -> None:
        """Queue changes of the agent that no hook has reported: its messages, state and system prompt."""
        recorder = self._agents.recorder(agent)
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
            self._agents.recorder(agent).redaction(plain(redact_message))
        except LookupError as error:
            raise SessionException(str(error)) from None

    def initialize_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Restore a Graph or Swarm, or record a new one. Blocks only if the session was not opened before.

        Strands calls this on an event loop of its own that ends at once, so no heartbeat is tied to it.
        """
        with self._agents.release_on_failure():
            self.open_sync()
            self._multi_agents.initialize(source, self._slot.history.multi_agents)

    def sync_multi_agent(self, source: MultiAgentBase, **kwargs: Any) -> None:
        """Queue a Graph's or Swarm's state. The hooks do this and wait; direct callers wait with ``flush``."""
        self._multi_agents.record(source)
        self._refused_values.raise_first(source.id)

    async def _keep_up(self) -> None:
        self._follow_loop()
        if self._slot.standby is not None:
            return  # nothing is queued before the session is held
        writer = self._slot.require().live
        if self.settings.durability == "await":
            await self.durable(writer.position)
        elif writer.position - writer.head > AHEAD_LIMIT:
            await self.durable(writer.position - AHEAD_LIMIT)

    def _begin_release(self) -> None:
        if (session := self._slot.mine()) is not None:
            self._runtime.submit(session.close())

    def _unused(self) -> bool:
        return self._agents.unused

    def _flush_new(self) -> None:
        if self.settings.durability == "await" and not in_event_loop():
            self._flush_sync()  # an agent can be built: what was refused of it is raised by its first turn

    def _record_states(self) -> None:
        self._recorders.record_states()

    def _record_changes(self) -> None:
        self._recorders.record_changes()

    async def _record_changes_in_steps(self) -> None:
        await self._recorders.record_changes_in_steps()
