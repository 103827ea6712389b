"""Writes whose answer is lost, and writes that are sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segue import StorageUnavailable
from segue.storage.interface import ConditionalWrite
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import settled

Sessions = Callable[..., Any]
KEY = "default/talk"


def kind_of(what: Any) -> str:
    """Which of the guard's writes this is, in more kinds than tests elsewhere tell apart."""
    if not isinstance(what, ConditionalWrite):
        return ""
    kinds = {
        "bury": what.assign.get("deleted"),
        "scrubbed": "scrub" in what.remove and not what.assign,
        "begin": "born" in what.assign,
        "take": "acquire_id" in what.assign,
        "release": "acquire_id" in what.remove,
        "commit": "head" in what.assign,
        "beat": True,
    }
    return next(kind for kind, fits in kinds.items() if fits)


class Lost:
    """Loses the answers of a kind of write for as long as it is on; the write itself arrives."""

    def __init__(self, kind: str, times: int = 1) -> None:
        self.left = times
        self._kind = kind

    async def __call__(self, operation: str, what: Any) -> None:
        if self.left and operation == "write" and kind_of(what) == self._kind:
            self.left -= 1
            raise StorageUnavailable("the answer is lost")


class Resent:
    """Has a kind of write sent twice, as a client library does that missed the answer."""

    def __init__(self, storage: MemoryStorage, kind: str) -> None:
        self.done = False
        self._storage, self._kind = storage, kind

    async def __call__(self, operation: str, what: Any) -> None:
        if not self.done and operation == "write" and kind_of(what) == self._kind:
            self.done = True
            await self._storage.guard.write(what)


async def deleted(manager: Any) -> None:
    """Delete, and again as long as storage does not answer."""
    while True:
        try:
            return await manager.delete()
        except StorageUnavailable:
            await settled()
