"""Holders that end without a word."""

from __future__ import annotations

from segue.errors import SessionFenced
from segue.lease.item import GuardItem
from segue.session.runtime import Runtime
from segue.strands.manager import GuardedSessionManager


def crash(manager: GuardedSessionManager) -> None:
    """End a manager as SIGKILL would: no flush, no release, no further request."""
    if manager._session is None:
        return

    async def silence() -> None:
        session = manager._session
        assert session is not None
        if session.writer is not None:
            if session.writer._draining is not None:
                session.writer._draining.cancel()
            if session.writer._committer._binder._binding is not None:
                session.writer._committer._binder._binding.cancel()
            session.writer._queue.remove(len(session.writer._queue))
            session.writer.failure = SessionFenced(session.epoch, "the test")
        session.lease.forget()

    Runtime.shared().run_sync(silence())


async def certainly_dead(item: GuardItem) -> bool:
    """A probe that says that the holder of an item is dead."""
    return True
