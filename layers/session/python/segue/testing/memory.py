"""Sessions in this process's memory, with the whole of the guard and the journal: for tests of agents."""

from __future__ import annotations

from typing import Unpack

from segue.session.options import SessionOptions
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager


class MemoryStorage:
    """A lock table and a bucket in memory. Managers that share one see the same sessions.

    Attributes:
        guard: The guard items.
        objects: The objects.
    """

    def __init__(self) -> None:
        """Begin with no session."""
        self.guard = MemoryGuard()
        self.objects = MemoryObjects()

    def stores(self) -> Stores:
        """Return what a session is kept in."""
        return Stores(self.guard, self.objects, "")


class MemorySessionManager(GuardedSessionManager):
    """A session manager whose sessions end with the process.

    Example:
        ```python
        manager = MemorySessionManager()
        agent = Agent(model=model, session_manager=manager)
        ```

    Attributes:
        storage: Where the session is.
    """

    def __init__(
        self,
        session_id: str = "test",
        storage: MemoryStorage | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        """Name the session.

        Args:
            session_id: As for every session manager.
            storage: Where it is; default: storage of its own.
            **options: See ``SessionOptions``.

        Raises:
            ValueError: An id or an option is not valid.
        """
        super().__init__(session_id, **options)
        self.storage = storage or MemoryStorage()
        self._options = options

    def again(self) -> MemorySessionManager:
        """Return another manager of the same session, with the same options, as the next process makes it."""
        return MemorySessionManager(self.session_id, self.storage, **self._options)

    async def _stores(self) -> Stores:
        return self.storage.stores()
