"""A session's way into this process: read in advance, acquired and read, or found deleted.

Everything here runs on the storage loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segue.history.agent_history import History
from segue.history.messages import make_spare
from segue.history.points import history_at
from segue.journal.garbage import finish_deletion
from segue.journal.reader import read_unheld
from segue.journal.writer import OnCommit, OnSettled
from segue.lease.lease import Lease
from segue.session.options import DAY_SECONDS, SessionSettings
from segue.session.runtime import Runtime
from segue.session.session import Session
from segue.session.standby import Standby
from segue.storage.stores import Stores


class Acquisition:
    """Acquisition of one session: the lease, then the journal."""

    def __init__(self, session_key: str, settings: SessionSettings) -> None:
        """Keep which session is acquired, and how.

        Args:
            session_key: Its key in storage.
            settings: The options of its handle.
        """
        self._session_key = session_key
        self._settings = settings

    async def read_ahead(self, stores: Stores) -> Standby:
        """Read the session while another holder has it.

        Raises:
            SessionNotFound: There is none yet, or it has ended.
            JournalCorrupt: It cannot be read.
            StorageUnavailable: Storage does not answer.
        """
        clock = Runtime.shared().clock
        journal = await read_unheld(stores.guard, stores.objects, stores.prefix, self._session_key, clock)
        standby = Standby(journal, history_at(journal))
        journal.records.clear()
        await _prepare_copies(standby.history)
        return standby

    async def acquire(
        self,
        stores: Stores,
        standby: Standby | None,
        on_lost: Callable[[], None],
        on_commit: OnCommit,
        on_settled: OnSettled,
    ) -> tuple[Session, History]:
        """Acquire the session and read it, unless the standby is still what it is.

        Args:
            stores: The session's stores.
            standby: The session as it was read in advance, if it was.
            on_lost: Called when it is, or may be, another holder's.
            on_commit: Called after each commit.
            on_settled: Called with each client whose settled input is known.

        Raises:
            SessionFenced: An agent was built on the standby, and the session has gone on since.
            SessionHeld: Another holder is writing it.
            JournalCorrupt: It cannot be read; it was released again.
            StorageUnavailable: Storage does not answer.
        """
        runtime = Runtime.shared()
        session = Session(self._lease(stores, runtime), stores, runtime.heartbeats, runtime.clock)
        session.heartbeat.on_lost(on_lost)
        journal = await session.open(self._settings.acquire_timeout, self._settings.probe, standby)
        session.live.on_committed(on_commit)
        session.live.on_settled(on_settled)
        if standby is not None and standby.read_for(journal.item) is not None:
            return session, standby.history
        try:
            history = history_at(journal)
        except BaseException:  # a session that cannot be restored is not held
            await session.close()
            raise
        journal.records.clear()
        await _prepare_copies(history)
        return session, history

    async def finish_deletion(self, stores: Stores) -> bool:
        """Delete objects that an earlier deletion has left; False if the session is not deleted."""
        args = stores.guard, stores.objects, stores.prefix, self._session_key, Runtime.shared().clock
        return await finish_deletion(*args) is not None

    def _lease(self, stores: Stores, runtime: Runtime) -> Lease:
        return Lease(
            stores.guard,
            self._session_key,
            settings=self._settings.lease,
            holder=self._settings.holder,
            endpoint=self._settings.endpoint,
            retention_s=self._settings.retention_days * DAY_SECONDS,
            prefix=stores.prefix,
            clock=runtime.clock,
            release_unused=runtime.handles.release_unused,
            heartbeats=stores.heartbeats,
        )


async def _prepare_copies(history: History) -> None:
    """Copy messages for agents on a storage thread, so that building an agent does not block its event loop."""
    await asyncio.get_running_loop().run_in_executor(Runtime.shared().executor, make_spare, history)
