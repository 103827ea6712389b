"""The recorders of a session's agents, which may be built and used in any thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

from strands.types.agent import LocalAgent

from segue.errors import FirstError
from segue.journal.records import Record
from segue.strands.errors import AgentIdUsedTwice
from segue.strands.recording.agent_records import Append
from segue.strands.recording.recorder import AgentRecorder


class Recorders:
    """Recorders by agent id, and those of agents that are being built.

    An agent is recorded only when it is built: a hook of the user may raise out of its constructor.
    """

    def __init__(self, session_id: str, append: Append) -> None:
        """Begin with none.

        Args:
            session_id: The session's id, for errors.
            append: Queues records.
        """
        self._session_id = session_id
        self._append = append
        self._lock = threading.Lock()
        self._known: dict[str, AgentRecorder] = {}
        self._building: weakref.WeakKeyDictionary[LocalAgent, tuple[AgentRecorder, Sequence[Record] | None]] = (
            weakref.WeakKeyDictionary()
        )

    def __getitem__(self, agent_id: str) -> AgentRecorder:
        """The recorder of an agent.

        Raises:
            KeyError: No such agent is recorded.
        """
        return self._known[agent_id]

    def get(self, agent_id: str) -> AgentRecorder | None:
        """The recorder of an agent, None if no such agent is recorded."""
        return self._known.get(agent_id)

    def all(self) -> list[AgentRecorder]:
        """Return all recorders at this moment."""
        with self._lock:
            return list(self._known.values())

    @property
    def in_use(self) -> bool:
        """Tell whether an agent is alive, or being built."""
        return bool(self._building) or not all(recorder.gone for recorder in self.all())

    @property
    def known(self) -> bool:
        """Tell whether there ever was an agent, freed ones included."""
        return bool(self._known)

    def check_no_agent_has(self, agent_id: str) -> None:
        """Check that no agent has an id.

        Raises:
            ValueError: One has.
        """
        if agent_id in self._known:
            raise AgentIdUsedTwice(agent_id, self._session_id)

    def note_agent(self, agent: LocalAgent, recorder: AgentRecorder, records: Sequence[Record] | None) -> None:
        """Note an agent that is being built.

        Args:
            agent: The agent.
            recorder: Its recorder.
            records: What is queued once it is built; None for a new agent, which is recorded then.
        """
        with self._lock:
            self._building[agent] = recorder, records

    def is_building(self, agent: LocalAgent) -> bool:
        """Tell whether an agent is being built."""
        return agent in self._building

    def join(self, agent: LocalAgent) -> bool:
        """Record an agent from now on; returns whether it is new to the session.

        Raises:
            ValueError: Another agent with its id was built meanwhile, in another thread.
            SegueError: It could not be recorded; nothing of it was.
        """
        with self._lock:
            recorder, records = self._building.pop(agent)
        with recorder.exclusive():  # until it is recorded, others who find it wait
            with self._lock:
                self.check_no_agent_has(recorder.agent_id)
                self._known[recorder.agent_id] = recorder
            try:
                if records is None:
                    recorder.record_new_agent()
                elif records:
                    self._append(*records)
                recorder.record_stash()
            except BaseException:
                with self._lock:
                    del self._known[recorder.agent_id]
                raise
        recorder.watch_connection()
        return records is None

    def replace(self, recorders: Sequence[AgentRecorder]) -> None:
        """Put recorders in the place of those of the same agents."""
        with self._lock:
            self._known |= {recorder.agent_id: recorder for recorder in recorders}

    def forget_gone(self) -> None:
        """Forget agents that are gone."""
        with self._lock:
            self._known = {agent_id: recorder for agent_id, recorder in self._known.items() if not recorder.gone}

    def record_states(self) -> None:
        """Queue changes beside the messages. After one agent's failure the others are still recorded."""
        with FirstError() as error:
            for recorder in self.all():
                with error.kept():
                    recorder.state()

    def record_changes(self) -> None:
        """Queue all changes, messages too."""
        with FirstError() as error:
            for recorder in self.all():
                with error.kept():
                    recorder.reconcile()
                with error.kept():
                    recorder.state()
                with error.kept():
                    recorder.record_stash()

    async def record_changes_in_steps(self) -> None:
        """Queue the same in steps, between which the event loop goes on."""
        with FirstError() as error:
            for recorder in self.all():
                with error.kept():
                    await recorder.reconcile_in_steps()
                with error.kept():
                    recorder.state()
                with error.kept():
                    recorder.record_stash()
