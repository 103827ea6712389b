"""The agents of a session: built on it, recorded from then on, and gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from strands.types.agent import LocalAgent

from segue.errors import SegueError
from segue.session.runtime import Runtime, in_event_loop
from segue.session.slot import SessionSlot
from segue.strands.multi_agents import MultiAgents
from segue.strands.recording.recorder import AgentRecorder
from segue.strands.recording.recorders import Recorders


class SessionAgents:
    """The agents of one session, with the Graphs and Swarms that use it beside them."""

    def __init__(
        self,
        session_id: str,
        slot: SessionSlot,
        recorders: Recorders,
        multi_agents: MultiAgents,
        on_new: Callable[[], None],
    ) -> None:
        """Begin with none.

        Args:
            session_id: The session's id, for errors.
            slot: The session.
            recorders: The recorders of its agents.
            multi_agents: Its Graphs and Swarms.
            on_new: Called once an agent that is new to the session is recorded.
        """
        self._session_id = session_id
        self._slot = slot
        self._recorders = recorders
        self._multi_agents = multi_agents
        self._on_new = on_new

    @property
    def unused(self) -> bool:
        """Tell whether all agents, Graphs and Swarms are freed. False before the first of them."""
        used = self._recorders.known or self._multi_agents.known
        return used and not self._in_use

    @property
    def _in_use(self) -> bool:
        return self._recorders.in_use or bool(self._multi_agents)

    def recorder(self, agent: LocalAgent) -> AgentRecorder:
        """Return the recorder of an agent. If it is being built, it is recorded from now on: a hook already uses it.

        Raises:
            RuntimeError: It is no agent of this session.
        """
        if self._recorders.is_building(agent):
            self.built(agent)
        try:
            recorder = self._recorders[agent.agent_id]
        except KeyError:
            raise RuntimeError(
                f"agent {agent.agent_id!r} does not belong to session {self._session_id!r}: use its own session manager"
            ) from None
        recorder.bind_agent(agent)
        return recorder

    def recorder_in_hook(self, agent: LocalAgent) -> AgentRecorder:
        """Return the recorder of an agent, one of whose hooks runs here."""
        recorder = self.recorder(agent)
        recorder.turns.note_thread()
        return recorder

    def built(self, agent: LocalAgent) -> None:
        """Record an agent from now on."""
        with self.release_on_failure():
            new = self._recorders.join(agent)
        if new:
            self._on_new()

    @contextmanager
    def release_on_failure(self) -> Iterator[None]:
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
            if self._slot.session is not None and not self._in_use:
                releasing = Runtime.shared().submit(self._slot.session.close())
                if not in_event_loop():
                    with contextlib.suppress(SegueError):
                        releasing.result()
            raise
