"""Opening and closing of a session's handle with a block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ContextManaged(ABC):
    """Context manager that opens and closes, with or without an event loop."""

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
