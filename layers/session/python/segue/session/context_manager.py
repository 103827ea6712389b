"""Opening and closing of a session's handle with a block, and its release when Python collects it.

Apart from the handle because a finalizer has rules of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from segue.session.open_handles import OpenHandles
from segue.session.session import Session


class ContextManaged(ABC):
    """Opens and closes with a block. A handle that was not closed is released when Python collects it."""

    _session: Session | None
    _handles: OpenHandles | None = None
    """Open handles of the process that opened the session."""

    @abstractmethod
    async def open(self) -> None:
        """Open."""

    @abstractmethod
    def open_sync(self) -> None:
        """Open, for code without an event loop."""

    @abstractmethod
    async def close(self) -> None:
        """Close."""

    @abstractmethod
    def close_sync(self) -> None:
        """Close, for code without an event loop."""

    @abstractmethod
    def _record_changes(self) -> None:
        """Queue changes that no hook has reported."""

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def __enter__(self) -> Self:
        """Open; for code without an event loop."""
        self.open_sync()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; for code without an event loop."""
        self.close_sync()

    def __del__(self) -> None:
        """Queue the release of a session that was not closed."""
        if self._handles is not None and self._session is not None:
            self._handles.collected(self._session, self._record_changes)
