"""A session made what it was at a point in time, and its agents, Graphs and Swarms with it."""

from __future__ import annotations

from contextlib import ExitStack

from strands.types.agent import LocalAgent

from segue.history.agent_history import AgentHistory, History
from segue.history.fold import fold
from segue.history.points import Point, point_at, points_of, rewind_record
from segue.journal.reader import StoredJournal
from segue.journal.records import Record
from segue.session.slot import SessionSlot
from segue.strands.multi_agents import MultiAgents
from segue.strands.recording.recorders import Recorders
from segue.strands.restoring import Restoring


class Rewinding:
    """Rewinds of one session."""

    def __init__(
        self, slot: SessionSlot, recorders: Recorders, restoring: Restoring, multi_agents: MultiAgents
    ) -> None:
        """Keep what is rewound.

        Args:
            slot: The session.
            recorders: The recorders of its agents.
            restoring: Restores agents from it.
            multi_agents: Its Graphs and Swarms.
        """
        self._slot = slot
        self._recorders = recorders
        self._restoring = restoring
        self._multi_agents = multi_agents

    def go_back(self, point: Point, journal: StoredJournal) -> bool:
        """Give the agents the history of a point in time, and queue the record of it.

        Args:
            point: A point of the journal.
            journal: The session as it was just read.

        Returns:
            False if something was recorded since it was read: nothing was done, and it has to be read again.

        Raises:
            RuntimeError: An agent is started or in a turn, or has background tasks.
            ValueError: The session has no such point.
        """
        point_at(points_of(journal), point.records)
        with ExitStack() as still:  # from here on, nothing else of this loop gets its turn
            self._recorders.forget_gone()
            for recorder in self._recorders.all():
                still.enter_context(recorder.turns.without_turns())
            self._multi_agents.must_be_idle()
            if self._slot.position != len(journal.records):
                return False
            record = rewind_record(point.records)
            self._restore_all(record, fold([*journal.records, record]))
        return True

    def _restore_all(self, record: Record, history: History) -> None:
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
            recorder.watch_connection()
        self._multi_agents.go_back(history.multi_agents)


def _of(agent: LocalAgent, history: History) -> AgentHistory:
    return history.agents.get(agent.agent_id, AgentHistory())
