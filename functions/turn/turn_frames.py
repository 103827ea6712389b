"""A turn's frames for the clients of its session: ``ready``, records that a client lacks, and what becomes durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from strands import Agent

from segue.lease.item import Known
from segue.strands.manager import GuardedSessionManager
from segue.wire.fields import HISTORY, shown_holder
from segue.wire.frames import Approval, InputAck, JournalFrame, Ready, error_frame
from shared.conversation.agent_frames import retell
from shared.conversation.approvals import approval_frame
from shared.conversation.history_pages import RecordedMessages
from turn.history import last_said
from turn.turn_outbox import TurnOutbox

RETOLD_FRAMES: Final = 1024
"""Frames that a ``ready`` brings again at most; older ones are left out, and ``since`` says where the rest begins."""


class TurnFrames:
    """Frames of one turn."""

    def __init__(
        self,
        manager: GuardedSessionManager,
        agent: Agent,
        outbox: TurnOutbox,
        asking: tuple[str, int | None],
        wall_clock: Callable[[], float],
    ) -> None:
        """Begin; nothing is told yet.

        Args:
            manager: Knows what is durable.
            agent: Has the history.
            outbox: Posts.
            asking: The client whose turn it is, and the last record that it has shown.
            wall_clock: Seconds since 1970.
        """
        self._manager = manager
        self._agent = agent
        self._outbox = outbox
        self._client_id, self._last_record = asking
        self._wall_clock = wall_clock
        self._approvals = manager.approvals(agent.agent_id)
        self._history = len(agent.messages)
        self._from = manager.head
        self._greeted: tuple[str, ...] = ()
        self._shown_upto: dict[str, int] = {}
        self._acknowledged: dict[str, Known] = {}

    def from_last_input(self) -> None:
        """Begin with the turn before: its input came again."""
        said = last_said(self._agent.messages)
        record = None if said is None else self._manager.record_of(said.get("tracking_id", ""))
        self._from = self._manager.head if record is None else record

    def became_durable(self) -> None:
        """Say what has become durable since the last time, after ``ready`` to all the first time."""
        if not self._greeted:
            self.greet_all()
        for client_id in self._greeted:
            for frame in self._journal_since(self._shown_upto[client_id], client_id):
                self._outbox.queue_frame(client_id, frame)
            self._shown_upto[client_id] = self._manager.head
            self._acknowledge(client_id)

    def greet_all(self) -> None:
        """Say ``ready`` to every client."""
        self._greet(self._outbox.client_ids)

    def greet(self) -> None:
        """Say ``ready`` to the client whose turn it is, unless that was done."""
        if not self._greeted:
            self._greet((self._client_id,))

    def tell_page(self, before: int | None) -> None:
        """Tell the client whose turn it is a page of the conversation, after ``ready``."""
        self._outbox.queue_frame(self._client_id, self._recorded.page(self._client_id, before))

    def refuse(self, code: str, seq: int | None, message: str | None = None) -> None:
        """Tell the client whose turn it is that its input was refused, after ``ready``."""
        self.greet()
        self._acknowledge(self._client_id)
        self._outbox.queue_frame(self._client_id, msgspec.structs.replace(error_frame(code, message), input=seq))

    def _greet(self, client_ids: tuple[str, ...]) -> None:
        """Say ``ready``: this turn's epoch is new to all. What was said since follows, and what was asked for."""
        self._greeted = client_ids
        for client_id in client_ids:
            asked = self._last_record if client_id == self._client_id else None
            since = self._from if asked is None else asked
            again = self._journal_since(since, client_id)
            known = self._known(client_id)
            ready = Ready(
                session=self._manager.session_id,
                known=known,
                history=self._history,
                head=self._manager.head,
                since=again[0].record if asked is not None and len(again) == RETOLD_FRAMES else asked,
                features=(HISTORY,),
                holder=shown_holder(self._manager.holder),
            )
            for frame in (ready, *self._still_asked(since), *again):
                self._outbox.queue_frame(client_id, frame)
            self._acknowledge(client_id)
            self._shown_upto[client_id] = self._manager.head

    def _acknowledge(self, client_id: str) -> None:
        """Say what of a client's input is durable, unless that was said."""
        known = self._known(client_id)
        if self._acknowledged.get(client_id) != known:
            self._outbox.queue_frame(client_id, InputAck(upto=known.upto, beyond=known.beyond))
            self._acknowledged[client_id] = known

    def _known(self, client_id: str) -> Known:
        return self._manager.inputs.get(client_id, Known())

    @property
    def _recorded(self) -> RecordedMessages:
        return RecordedMessages(self._agent.messages, self._manager.record_of, self._manager.author_of)

    def _journal_since(self, record: int, client_id: str) -> list[JournalFrame]:
        now = self._wall_clock()
        asked = [approval_frame(one, now) for one in self._approvals.told]
        recorded = self._recorded
        typed = {"typed": recorded.typed_by(client_id)} if client_id in self._outbox.asking_history else {}
        return retell(recorded.messages, recorded.record_of, record, asked, **typed)[-RETOLD_FRAMES:]

    def _still_asked(self, before: int) -> list[Approval]:
        """Return the open approval that was asked before a record. It follows each ``ready``, also a new client's."""
        asked = self._approvals.open
        return [approval_frame(asked, self._wall_clock())] if asked is not None and asked.number < before else []
