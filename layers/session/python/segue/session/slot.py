"""The session of a handle: none yet, read as a standby, or opened.

    none ─▶ standby: records wait ─▶ opened: records are queued
      └────────────────────────────────▲

Apart from the handle because any thread may read its facts and append to it, whatever the handle waits for.
"""

from __future__ import annotations

import math
import threading

from segue.errors import JournalCorrupt, SessionFenced
from segue.history.agent_history import History
from segue.journal.records import Record
from segue.lease.item import Known
from segue.session.session import Session
from segue.session.standby import Standby


class SessionSlot:
    """One handle's session.

    Attributes:
        session: The session, once it was opened.
        standby: The session as it was read in advance, until it is opened.
        history: The session as it was when it was read, before repairs.
    """

    def __init__(self) -> None:
        """Begin with a session that was not opened."""
        self.session: Session | None = None
        self.standby: Standby | None = None
        self.history = History()
        self._opening_lock = threading.Lock()

    @property
    def epoch(self) -> int:
        """The fencing token, 0 before the session was opened."""
        return self.session.epoch if self.session else 0

    @property
    def route_token(self) -> str:
        """The secret that callers of the holder's endpoint show, "" while nothing is held."""
        item = self.session.lease.item if self.session else None
        return (item.route_token or "") if item else ""

    @property
    def head(self) -> int:
        """Records committed."""
        return self.session.live.head if self.session else 0

    @property
    def position(self) -> int:
        """Records committed or queued."""
        return self.session.live.position if self.session else 0

    @property
    def next_number(self) -> int:
        """The number of the next record."""
        if self.session is None and self.standby is not None:
            return self.standby.head + len(self.standby.records)
        return self.position

    @property
    def restored_bytes(self) -> int:
        """Bytes that were read when the session was opened, as they are stored; 0 for a new session."""
        restored = self.session.restored if self.session else None
        return restored.size if restored else 0

    @property
    def inputs(self) -> dict[str, Known]:
        """Which input frames of each client the records, committed or queued, contain, or were settled."""
        return self.session.live.inputs if self.session else {}

    @property
    def lease_is_fresh(self) -> bool:
        """Tell whether this holder may still send output for the session, by its own clock."""
        try:
            session = self.mine()
        except SessionFenced:
            return False
        return session is not None and session.lease.held and session.lease.fresh_for > 0

    @property
    def lease_renewed_at(self) -> float:
        """Time of the last renewal that succeeded, on the runtime's clock; minus infinity without a lease."""
        return -math.inf if self.session is None else self.session.lease.renewed_at

    def mine(self) -> Session | None:
        """Return the session, if it was opened; never a parent process's."""
        if self.session is not None:
            self.session.check_process()
        return self.session

    def require(self) -> Session:
        """Return the session.

        Raises:
            RuntimeError: It was not opened.
        """
        if (session := self.mine()) is None:
            raise RuntimeError("the session is not open: await session_manager.open()")
        return session

    def prepare(self, standby: Standby) -> None:
        """Keep a session that was read in advance."""
        self.standby = standby
        self.history = standby.history

    def go_live(self, session: Session) -> None:
        """Queue the records that were made before the session was held. Records of other threads come after them."""
        with self._opening_lock:
            self.session = session
            try:
                if self.standby is not None and self.standby.records:
                    session.append(*self.standby.records)
            finally:
                self.standby = None

    def append(self, *records: Record) -> int:
        """Queue records, from any thread; returns the position after them."""
        if self.standby is not None:
            with self._opening_lock:
                if self.session is None and self.standby is not None:
                    self.standby.built_on = True
                    return self.standby.append(*records)
        return self.require().append(*records)

    def located(self, error: JournalCorrupt) -> JournalCorrupt:
        """Name the object that holds the record that an error is about."""
        restored = self.session.restored if self.session else None
        return error if restored is None else restored.located(error)
