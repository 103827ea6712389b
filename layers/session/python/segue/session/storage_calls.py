"""Calls from an agent's event loop or thread to the storage loop, whose refusals are raised as users know them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from segue.errors import StorageRefused
from segue.session.runtime import Runtime

_T = TypeVar("_T")


class StorageCalls:
    """Calls of one handle to the storage loop."""

    def __init__(self, refusal: Callable[[StorageRefused], StorageRefused] | None = None) -> None:
        """Prepare; no I/O.

        Args:
            refusal: Makes the error that callers get when storage refuses; default: the refusal itself.
        """
        self._refusal = refusal

    @property
    def runtime(self) -> Runtime:
        """The runtime of this process; the handle may have been made before a fork."""
        return Runtime.shared()

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Raise refusals within a block as callers get them."""
        try:
            yield
        except StorageRefused as refused:
            if self._refusal is None:
                raise  # not from itself, which would make a circle of causes
            raise self._refusal(refused) from refused

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await a coroutine that runs on the storage loop, from any event loop."""
        with self.refusals():
            return await self.runtime.run(work)

    def run_sync(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Block this thread until a coroutine on the storage loop is done."""
        with self.refusals():
            return self.runtime.run_sync(work)
