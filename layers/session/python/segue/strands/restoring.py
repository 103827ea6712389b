"""Agents restored from a session: their history made fit to use, and the recorder of each.

    stored ─▶ denied approvals ─▶ repaired, within the limits ─▶ the agent
                  └─ records           └─ report                   └─ records of what is not as it was recorded

The records are queued once the agent is built, and all agents together when the session is rewound.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from strands.agent.agent import Agent
from strands.types.agent import LocalAgent

from segue.history.agent_history import AgentHistory
from segue.history.approvals import denials
from segue.history.damage import deepest
from segue.history.fold import apply
from segue.history.messages import kept_by_model, messages_of
from segue.history.pauses import FitHistory, fit_to_use
from segue.history.repair import RepairReport, fit
from segue.journal.records import Record
from segue.session.options import SessionSettings
from segue.session.refused_values import OnRefused
from segue.session.slot import SessionSlot
from segue.strands.built_agent import AgentAsBuilt
from segue.strands.recording.agent_records import Append
from segue.strands.recording.recorder import AgentRecorder

logger = logging.getLogger(__name__)


class Restoring:
    """Restorer of one session's agents.

    Attributes:
        report: The repairs of the restored histories, by agent id.
    """

    def __init__(
        self, session_key: str, settings: SessionSettings, slot: SessionSlot, append: Append, refused: OnRefused
    ) -> None:
        """Keep where agents are restored from.

        Args:
            session_key: The session's key, for the log.
            settings: Limits of a history, and whether system prompts are restored.
            slot: The session.
            append: Queues records and returns the position after them.
            refused: Told of values that were not recorded as they are.
        """
        self.report: dict[str, RepairReport] = {}
        self._why_denied: str | None = None
        self._session_key = session_key
        self._settings = settings
        self._slot = slot
        self._append = append
        self._refused = refused

    def restore_agent(self, agent: LocalAgent) -> tuple[AgentRecorder, list[Record] | None]:
        """Restore an agent as the session was opened; returns its recorder, and records that are to be queued.

        The records are None for an agent that is new to the session.

        Raises:
            JournalCorrupt: See ``restore``.
        """
        stored = self._slot.history.agents.get(agent.agent_id)
        if stored is None:
            return self._recorder(agent, None, None), None
        denied, denying = self._denied(agent, stored)
        recorder, records = self.restore(agent, denied)
        recorder.fill_stash(stored)
        return recorder, [*denying, *records]

    def restore(
        self, agent: LocalAgent, stored: AgentHistory, as_built: AgentAsBuilt | None = None
    ) -> tuple[AgentRecorder, list[Record]]:
        """Restore an agent from the session; returns its recorder, and records that are to be queued.

        Args:
            agent: The agent.
            stored: Its history in the session.
            as_built: The agent as it was built, if it goes back to a point where the session had less of it.

        Raises:
            JournalCorrupt: A record is nested too deeply for what is left of the stack.
        """
        try:
            recorder, history = self._recorder(agent, stored, as_built), self._fit(agent, stored)
            with_prompt, from_scratch = self._settings.restore_system_prompt, as_built is not None
            return recorder, recorder.restore(history, stored, with_prompt=with_prompt, from_scratch=from_scratch)
        except RecursionError as error:
            if (found := deepest(stored)) is None:
                raise
            raise self._slot.located(found) from error

    def _recorder(self, agent: LocalAgent, stored: AgentHistory | None, as_built: AgentAsBuilt | None) -> AgentRecorder:
        return AgentRecorder(agent, stored, self._append, self._refused, as_built)

    def deny_with(self, why: str) -> None:
        """Have each ``BidiAgent`` that is restored deny what an ``Agent`` waits for. Otherwise that is left to one."""
        self._why_denied = why

    def _denied(self, agent: LocalAgent, stored: AgentHistory) -> tuple[AgentHistory, list[Record]]:
        """Deny what an agent waits for. Return its history after that, and the records of it."""
        if self._why_denied is None or isinstance(agent, Agent):
            return stored, []
        records = denials(agent.agent_id, stored, self._why_denied)
        stored = stored.copy()
        for number, record in enumerate(records, self._slot.next_number):
            apply(stored, number, record)
        return stored, records

    def _fit(self, agent: LocalAgent, stored: AgentHistory) -> FitHistory:
        """Make a history fit to use, and report the repairs of it."""
        own = replace(stored, messages=messages_of(stored))
        history = fit_to_use(own, can_resume=isinstance(agent, Agent))
        limits = {"max_messages": self._settings.max_messages, "max_bytes": self._settings.max_bytes}
        if any(limit is not None for limit in limits.values()):  # measuring a history takes time
            messages, report = fit(history.messages, history.report, **limits)
            history = replace(history, messages=messages, report=report)
        if kept_by_model(agent):
            history = replace(history, messages=[])  # it would be shown twice what it has
        # Another thread may be reading the old one.
        self.report = {**self.report, agent.agent_id: history.report}
        if history.report:
            logger.info("history repaired", extra={"session": self._session_key, "dropped": history.report.dropped})
        return history
