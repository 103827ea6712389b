"""Session keys, page by page: a table of millions of sessions is not read before the first is seen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, runtime_checkable

from segue.storage.interface import GuardStore


@runtime_checkable
class PagedGuard(Protocol):
    """A guard that lists its keys in pages."""

    def key_pages(self, prefix: str) -> AsyncIterator[list[str]]:
        """List the session keys that begin with ``prefix``; those of a page are in order."""
        ...


async def key_pages(guard: GuardStore, prefix: str) -> AsyncGenerator[list[str], None]:
    """Yield session keys that begin with a prefix, in pages; a guard without pages gives one.

    Raises:
        StorageUnavailable: Storage does not answer.
        StorageRefused: Storage says no.
    """
    if isinstance(guard, PagedGuard):
        async for page in guard.key_pages(prefix):
            yield page
    else:
        yield await guard.keys(prefix)
