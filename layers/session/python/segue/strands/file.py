"""The session manager that keeps sessions in a local directory."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from segue.session.options import SessionOptions
from segue.session.runtime import Runtime
from segue.storage.file import FileGuard, FileObjects
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager


class GuardedFileSessionManager(GuardedSessionManager):
    """The same journal and the same guard on a local directory: for development, tests and single servers.

    Several processes on one machine exclude each other as they would with DynamoDB; what was acknowledged
    survives kill -9 and power loss.

    Example:
        ```python
        session_manager = GuardedFileSessionManager(session_id="user_123", storage_dir="./sessions")
        agent = BidiAgent(model=model, session_manager=session_manager)
        ```
    """

    def __init__(
        self,
        session_id: str,
        storage_dir: str | Path | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        """Name the session and its directory; no I/O.

        Args:
            session_id: Any text without ``/`` and control characters; its length is bounded (see ``segue.ids``).
            storage_dir: The directory; default: ``~/.strands/sessions``, as with Strands' ``FileSessionManager``.
                The layouts do not meet: Segue's has its own folders.
            **options: See ``SessionOptions``.

        Raises:
            ValueError: An id or option is not valid.
        """
        super().__init__(session_id, **options)
        self._directory = directory_of(storage_dir)

    async def _stores(self) -> Stores:
        return file_stores(self._runtime, self._directory)


def directory_of(storage_dir: str | Path | None) -> Path:
    """The directory that holds the sessions."""
    return Path(storage_dir) if storage_dir is not None else Path.home() / ".strands" / "sessions"


def file_stores(runtime: Runtime, directory: Path) -> Stores:
    """Return the stores of a directory."""
    return Stores(
        FileGuard(directory, runtime.guard_executor),
        FileObjects(directory, runtime.executor),
        heartbeats=FileGuard(directory, runtime.heartbeat_executor),
    )
