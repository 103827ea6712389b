"""The turns of one agent: whether one runs, and on which thread."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from strands.agent.agent import Agent

from segue.session.weak_references import WeakAgent
from segue.strands.built_agent import without_turns
from segue.strands.private import invocations_of, is_started


class AgentTurns:
    """An agent's turns, as hooks and Strands tell of them."""

    def __init__(self, agent: WeakAgent) -> None:
        """Begin with an agent that is not in a turn. It is not kept alive."""
        self._agent = agent
        self._thread: threading.Thread | None = None
        self._running = 0

    def note_thread(self) -> None:
        """Note the thread of the agent: a hook of it runs here."""
        self._thread = threading.current_thread()

    def began(self) -> None:
        """Note that a turn of an ``Agent`` begins."""
        self._running += 1

    def ended(self) -> None:
        """Note that a turn of an ``Agent`` has ended."""
        self._running = max(0, self._running - 1)

    def without_turns(self) -> AbstractContextManager[None]:
        """Check that nothing runs in the agent, and keep turns from beginning. See ``built_agent.without_turns``."""
        return without_turns(self._agent.agent, in_turn=self._running > 0)

    @property
    def on_another_thread(self) -> bool:
        """Tell whether the agent is in a turn on another thread, whose own events report its messages."""
        agent, thread = self._agent.alive, self._thread
        if agent is None or thread is None or thread is threading.current_thread() or not thread.is_alive():
            return False
        if isinstance(agent, Agent):
            return invocations_of(agent).running
        return is_started(agent)
