"""A session manager that restores agents from a copy of a session in memory, and writes nothing to the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Unpack

from segue.admin.fork import fork
from segue.session.options import SessionOptions
from segue.session.runtime import Runtime
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager


class ReadOnlySessionManager(GuardedSessionManager):
    """Session manager that restores agents without the session's lease, as they are or were.

    The session is read once, when this manager is opened. An agent that runs with it goes on in memory: its holder
    notices nothing, and what the agent adds is gone with the manager.
    """

    def __init__(
        self,
        session_id: str,
        open_source: Callable[[Runtime], Awaitable[Stores]],
        *,
        at: int | str | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        """Name the session; no I/O.

        Args:
            session_id: Its id.
            open_source: Opens the stores that the session is read from.
            at: A point in time, as for ``Sessions.read``; default: now. ``open`` raises ValueError if it is none.
            **options: See ``SessionOptions``.
        """
        super().__init__(session_id, **options)
        self._open_source = open_source
        self._at = at

    async def _stores(self) -> Stores:
        source = await self._open_source(self._runtime)
        copy = Stores(MemoryGuard(), MemoryObjects())
        await fork(source, self.session_key, self.session_key, self._runtime.clock, at=self._at, to=copy)
        return copy
