"""Read-only, non-blocking session properties.

Apart from the handle because none of them changes anything: any thread may read them.
"""

from __future__ import annotations

from segue.errors import JournalCorrupt, SessionFenced
from segue.history.fold import History
from segue.lease.item import Known
from segue.session.session import Session


class SessionProperties:
    """The properties of one session of this process."""

    def __init__(self) -> None:
        """Begin with a session that was not opened."""
        self._session: Session | None = None
        self._history = History()

    @property
    def epoch(self) -> int:
        """The fencing token, 0 before the session was opened."""
        return self._session.epoch if self._session else 0

    @property
    def route_token(self) -> str:
        """The secret that callers of the holder's endpoint show, "" while nothing is held."""
        item = self._session.lease.item if self._session else None
        return (item.route_token or "") if item else ""

    @property
    def head(self) -> int:
        """Records committed."""
        return self._session.live.head if self._session else 0

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self._session.live.position if self._session else 0

    @property
    def restored_bytes(self) -> int:
        """Bytes that were read when the session was opened, as they are stored; 0 for a new session."""
        restored = self._session.restored if self._session else None
        return restored.size if restored else 0

    @property
    def inputs(self) -> dict[str, Known]:
        """Which input frames of each client the records, committed or queued, contain."""
        return self._session.live.inputs if self._session else {}

    @property
    def history(self) -> History:
        """The session as it was when it was opened, before repairs."""
        return self._history

    def lease_is_fresh(self) -> bool:
        """Tell whether this holder may still send output for the session, by its own clock."""
        try:
            session = self._mine()
        except SessionFenced:
            return False
        return session is not None and session.lease.held and session.lease.fresh_for > 0

    def _mine(self) -> Session | None:
        """The session, if it was opened; never a parent process's."""
        if self._session is not None:
            self._session.check_process()
        return self._session

    def _require(self) -> Session:
        if (session := self._mine()) is None:
            raise RuntimeError("the session is not open: await session_manager.open()")
        return session

    def _located(self, error: JournalCorrupt) -> JournalCorrupt:
        """Name the object that holds the record that an error is about."""
        restored = self._session.restored if self._session else None
        return error if restored is None else restored.located(error)
