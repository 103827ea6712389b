"""The side of a handle that does no I/O and never blocks: its session's properties, callbacks, and notes of input.

Apart from the handle because any thread may read these, and callbacks may come before there is a session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from segue.errors import ValueRefused
from segue.history.agent_history import History
from segue.journal.writer import OnCommit
from segue.lease.item import Known
from segue.session.client_inputs import ClientInput
from segue.session.listeners import Listeners
from segue.session.refused_values import RefusedValues
from segue.session.session import Session
from segue.session.slot import SessionSlot


class HandleProperties:
    """The facts of one handle's session."""

    def __init__(self) -> None:
        """Begin with a session that was not opened."""
        self._slot = SessionSlot()
        self._client_input = ClientInput()
        self._commit_listeners: Listeners[int, float] = Listeners("commits")
        self._settled_listeners: Listeners[str] = Listeners("settled input")
        self._lost_listeners: Listeners[()] = Listeners("a lost session")
        self._refused_values = RefusedValues()

    @property
    def epoch(self) -> int:
        """The fencing token, 0 before the session was opened."""
        return self._slot.epoch

    @property
    def route_token(self) -> str:
        """The secret that callers of the holder's endpoint show, "" while nothing is held."""
        return self._slot.route_token

    @property
    def head(self) -> int:
        """Records committed."""
        return self._slot.head

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self._slot.position

    @property
    def restored_bytes(self) -> int:
        """Bytes that were read when the session was opened, as they are stored; 0 for a new session."""
        return self._slot.restored_bytes

    @property
    def inputs(self) -> dict[str, Known]:
        """Which input frames of each client the records, committed or queued, contain, or were settled."""
        return self._slot.inputs

    @property
    def history(self) -> History:
        """The session as it was when it was opened, before repairs."""
        return self._slot.history

    def lease_is_fresh(self) -> bool:
        """Tell whether this holder may still send output for the session, by its own clock."""
        return self._slot.lease_is_fresh

    @property
    def lease_renewed_at(self) -> float:
        """Time at which the last renewal was sent that succeeded, in seconds on the clock of this process's sessions.

        A process that was stopped since then, or whose event loop stood still, may have been taken for dead meanwhile:
        see ``renew_lease``.
        """
        return self._slot.lease_renewed_at

    def on_commit(self, callback: OnCommit) -> None:
        """Call back after each commit, on the event loop that is running now: for metrics.

        Code that has to wait for a commit awaits ``durable``.
        """
        self._commit_listeners.add(callback)

    def on_settled(self, callback: Callable[[str], None]) -> None:
        """Call back with a client's id, on the event loop that is running now, when its settled input is in ``inputs``.

        It is durable then, or will be with the records until ``position``.
        """
        self._settled_listeners.add(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the session is, or may be, another holder's: fall silent and discard the agent.

        The callback runs on the event loop that was running when this was called, or else on the storage loop.
        """
        self._lost_listeners.add(callback)

    def on_refused(self, callback: Callable[[ValueRefused], None]) -> None:
        """Call back whenever a value was not recorded as it is: it has no JSON form, or is nested too deeply.

        The callback runs on the event loop that was running when this was called, or else where the value was met.
        """
        self._refused_values.on_refused(callback)

    def taking(self, client_id: str, *seqs: int) -> AbstractContextManager[None]:
        """Say that what is recorded within, in this task, is the effect of a client's input frames."""
        return self._client_input.taking(client_id, *seqs)

    def note_input(self, client_id: str, seqs: Sequence[int]) -> None:
        """Say that the next message recorded is the effect of a client's input frames."""
        self._client_input.note_input(client_id, seqs)

    @property
    def _session(self) -> Session | None:
        """The session, once it was opened."""
        return self._slot.session
