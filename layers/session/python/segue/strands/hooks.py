"""The hooks of a session's agents, Graphs and Swarms: what each of them queues, and what it waits for.

Hooks run on the agent's event loop and only queue; storage happens elsewhere (``segue.session.runtime``). With
``durability="await"`` a hook returns when its record is durable, so that hooks after it see saved state; with
``"gate"`` it returns at once, and code that sends output to clients awaits ``durable()`` first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    BeforeInvocationEvent,
    BeforeToolCallEvent,
    MessageAddedEvent,
    MessageUpdatedEvent,
)
from strands.hooks.registry import BaseHookEvent, HookOrder, HookRegistry
from strands.types.agent import LocalAgent

from segue.errors import SegueError
from segue.history.tool_uses import forget, remember
from segue.journal.message_shape import Message
from segue.session.client_inputs import ClientInput
from segue.session.refused_values import RefusedValues
from segue.strands.agents import SessionAgents
from segue.strands.idempotency import SESSION_KEY
from segue.strands.multi_agents import MultiAgents
from segue.strands.private import waits_for_answer

if TYPE_CHECKING:
    from strands.types.content import Message as StrandsMessage

SAVE_FIRST = HookOrder.SDK_FIRST - 1
"""Order before the user's hooks, which may have been registered earlier: they must see saved and restored state."""

SAVE_LAST = HookOrder.SDK_LAST + 1
"""Order after the user's stop hooks, which may still change the agent's state."""


@dataclass(frozen=True, slots=True)
class HookWaits:
    """Waits of hooks, as their session manager does them.

    Attributes:
        durable: Waits until all that is queued is durable.
        keep_up: Waits as the session's durability says.
        flush: Records what no hook has reported, and waits until it is durable.
        close: Flushes, and releases the lease.
        release: Begins to release the lease, as soon as storage allows, and does not wait.
    """

    durable: Callable[[], Awaitable[None]]
    keep_up: Callable[[], Awaitable[None]]
    flush: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    release: Callable[[], None]


class SessionHooks:
    """The hooks of one session. Only registries of agents keep them, and they keep the session manager."""

    def __init__(
        self,
        session_key: str,
        agents: SessionAgents,
        multi_agents: MultiAgents,
        client_input: ClientInput,
        refused_values: RefusedValues,
        waits: HookWaits,
    ) -> None:
        """Keep the parts of a session that hooks need.

        Args:
            session_key: The session's key, for tools.
            agents: Its agents.
            multi_agents: Its Graphs and Swarms.
            client_input: The client's input that the next record is the effect of.
            refused_values: Values that were not recorded as they are.
            waits: Waits for storage.
        """
        self._session_key = session_key
        self._agents = agents
        self._multi_agents = multi_agents
        self._client_input = client_input
        self._refused_values = refused_values
        self._waits = waits

    def register(self, registry: HookRegistry) -> None:
        """Register with an agent's hooks."""
        registry.add_callback(BeforeInvocationEvent, self._on_turn_begin, order=SAVE_LAST)
        registry.add_callback(MessageAddedEvent, self._on_message_added, order=SAVE_FIRST)
        registry.add_callback(MessageUpdatedEvent, self._on_message_updated, order=SAVE_FIRST)
        registry.add_callback(BeforeToolCallEvent, self._on_tool_start, order=SAVE_LAST)
        registry.add_callback(AfterToolCallEvent, self._on_tool_end, order=SAVE_FIRST)
        registry.add_callback(AfterInvocationEvent, self._on_turn_over, order=SAVE_FIRST)
        # User hooks of these may change state, and hooks of the stop also look at what was saved.
        registry.add_callback([BidiResponseStopEvent, AfterInvocationEvent], self._on_turn_end, order=SAVE_LAST)
        registry.add_callback(BidiBeforeConnectionRestartEvent, self._on_restart, order=SAVE_LAST)
        registry.add_callback(BidiAfterConnectionRestartEvent, self._on_restarted, order=SAVE_FIRST)
        registry.add_callback(BidiAgentStopEvent, self._on_stopping, order=SAVE_FIRST)
        registry.add_callback(BidiAgentStopEvent, self._on_stop, order=SAVE_LAST)
        registry.add_callback([AfterNodeCallEvent, AfterMultiAgentInvocationEvent], self._on_node_end, order=SAVE_LAST)

    async def _on_node_end(self, event: AfterNodeCallEvent | AfterMultiAgentInvocationEvent) -> None:
        self._multi_agents.record(event.source)
        await self._waits.keep_up()
        self._refused_values.raise_first(event.source.id)

    async def _on_message_added(self, event: MessageAddedEvent) -> None:
        recorder = self._agents.recorder_in_hook(event.agent)
        if not event.message.get("content"):
            recorder.message(plain(event.message), None)
            return  # a streamed message begins; it is recorded when it is complete, and takes its input then
        recorder.message(plain(event.message), self._client_input.take_input())
        recorder.state()
        recorder.stash_added(plain(event.message))
        if not _result_follows(event):
            await self._waits.keep_up()

    async def _on_message_updated(self, event: MessageUpdatedEvent) -> None:
        recorder = self._agents.recorder_in_hook(event.agent)
        recorder.update(plain(event.message), self._client_input.take_input())
        recorder.state()
        await self._waits.keep_up()

    async def _on_tool_start(self, event: BeforeToolCallEvent) -> None:
        """Wait, before a tool runs, until its intent is durable, and check the lease."""
        recorder = self._agents.recorder_in_hook(event.agent)
        if not waits_for_answer(event):
            remember(event.invocation_state, event.tool_use, recorder.tool_started(event.tool_use))
        event.invocation_state[SESSION_KEY] = self._session_key
        await self._waits.durable()

    async def _on_tool_end(self, event: AfterToolCallEvent) -> None:
        recorder = self._agents.recorder_in_hook(event.agent)
        forget(event.invocation_state, recorder.tool_ended(event.tool_use, event.result))
        recorder.state()

    async def _on_turn_begin(self, event: BeforeInvocationEvent) -> None:
        self._agents.recorder_in_hook(event.agent).turns.began()

    async def _on_turn_over(self, event: AfterInvocationEvent) -> None:
        """Note how a turn ended before the user's hooks come, one of which may raise."""
        self._agents.recorder_in_hook(event.agent).turn_ended(event.result)

    async def _on_turn_end(self, event: BidiResponseStopEvent | AfterInvocationEvent) -> None:
        recorder = self._agents.recorder_in_hook(event.agent)
        if isinstance(event, BidiResponseStopEvent):
            await recorder.tools.begin_tools()
        await recorder.reconcile_turn()
        recorder.state()
        recorder.record_stash()
        await self._waits.keep_up()
        # Told when the turn is whole: what was answered is recorded, and no error of the turn's own is hidden. An error
        # in a hook would end a voice conversation.
        if isinstance(event, AfterInvocationEvent) and event.result is not None:
            self._refused_values.raise_first(event.agent.agent_id)

    async def _on_restart(self, event: BidiBeforeConnectionRestartEvent) -> None:
        """Wait, before the model connection restarts with the history, until all of it is durable."""
        self._agents.recorder_in_hook(event.agent).state()
        await self._waits.flush()

    async def _on_restarted(self, event: BidiAfterConnectionRestartEvent) -> None:
        self._agents.recorder_in_hook(event.agent).connection(restarted=event.exception is None)

    async def _on_stopping(self, event: BaseHookEvent) -> None:
        """Save the state before the user's stop hooks, which must see it saved."""
        try:
            if isinstance(event, BidiAgentStopEvent):
                self._agents.recorder(event.agent).connection()  # its newest state, for a successor
            await self._waits.flush()
        except SegueError:
            self._waits.release()  # after an error here ``_on_stop`` is not called
            raise

    async def _on_stop(self, event: BaseHookEvent) -> None:
        await self._waits.close()


def plain(message: StrandsMessage) -> Message:
    """Return a message of Strands as the dictionary that it is."""
    return message  # type: ignore[return-value]  # a TypedDict is the dictionary that it describes


def _result_follows(event: MessageAddedEvent) -> bool:
    """Tell whether a tool's result is added directly after this message: a voice agent adds both as one.

    ``stop()`` could cancel a task that waited between them, and the result would be in no history.
    """
    agent: LocalAgent = event.agent
    return not isinstance(agent, Agent) and any("toolUse" in block for block in event.message["content"])
