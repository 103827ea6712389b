"""A session manager on storage in memory, whose requests a test can hold up, fail or lose the answers of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from segue.errors import StorageUnavailable
from segue.storage.attributes import Attributes
from segue.storage.interface import ConditionalWrite, StoredObject
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.strands.manager import GuardedSessionManager
from tests.support.waiting import PATIENCE_SECONDS, within

_T = TypeVar("_T")

Step = Callable[[str, Any], Awaitable[None]]


async def _nothing(operation: str, what: Any) -> None:
    pass


class MemoryStorage:
    """Guard items and objects in memory, as several managers share them.

    Attributes:
        before: Awaited before each request, with the operation (``read``, ``write``, ``get``, ``put``, ``delete``)
            and the write or the key. What it raises, storage was not asked.
        after: Awaited after each request. What it raises, the answer was lost.
        requests: All operations that storage was asked.
        wall: Tells the time by storage's own clock, None if it has none.
    """

    def __init__(self) -> None:
        self.guard = MemoryGuard()
        self.objects = MemoryObjects()
        self.before: Step = _nothing
        self.after: Step = _nothing
        self.requests: list[tuple[str, Any]] = []
        self.wall: Callable[[], float | None] = lambda: None

    @property
    def writes(self) -> list[str]:
        """Kinds of the guard's writes that were asked, in order."""
        return [kind_of(what) for operation, what in self.requests if operation == "write"]

    async def ask(self, operation: str, what: Any, request: Callable[[], Awaitable[_T]]) -> _T:
        await self.before(operation, what)
        self.requests.append((operation, what))
        answer = await request()
        await self.after(operation, what)
        return answer

    def stores(self) -> Stores:
        return Stores(_Guard(self), _Objects(self), "")


class _Guard:
    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def read(self, session_key: str) -> Attributes | None:
        return await self._storage.ask("read", session_key, lambda: self._storage.guard.read(session_key))

    async def write(self, write: ConditionalWrite) -> Attributes:
        return await self._storage.ask("write", write, lambda: self._storage.guard.write(write))

    def wall(self) -> float | None:
        return self._storage.wall()

    async def keys(self, prefix: str) -> list[str]:
        return await self._storage.guard.keys(prefix)


class _Objects:
    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def get(self, key: str) -> StoredObject:
        return await self._storage.ask("get", key, lambda: self._storage.objects.get(key))

    async def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> None:
        put = self._storage.objects.put
        await self._storage.ask("put", key, lambda: put(key, body, if_absent=if_absent, if_match=if_match))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._storage.ask("delete", keys, lambda: self._storage.objects.delete(keys))

    async def list(self, prefix: str) -> list[str]:
        return await self._storage.ask("list", prefix, lambda: self._storage.objects.list(prefix))


class MemorySessionManager(GuardedSessionManager):
    """The session manager on storage in memory."""

    def __init__(self, session_id: str = "talk", *, storage: MemoryStorage, **options: Any) -> None:
        super().__init__(session_id, **options)
        self._storage = storage

    async def _stores(self) -> Stores:
        return self._storage.stores()


def kind_of(write: ConditionalWrite) -> str:
    """Return the kind of one of the guard's writes."""
    if "head" in write.assign and "commit_id" in write.assign:
        return "commit"
    if "acquire_id" in write.assign:
        return "acquire"
    return "release" if "acquire_id" in write.remove else "beat"


class Latch:
    """Holds up the first request of a kind until a test lets it pass. Works across event loops."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._taken = False
        self.reached = _Flag()
        self.go = _Flag()

    async def __call__(self, operation: str, what: Any) -> None:
        if not self._taken and (operation == self._kind or (operation == "write" and kind_of(what) == self._kind)):
            self._taken = True
            self.reached.set()
            await self.go.wait()


def both(*steps: Step) -> Step:
    """Do one step after the other."""

    async def step(operation: str, what: Any) -> None:
        for one in steps:
            await one(operation, what)

    return step


class Unavailable:
    """Fails requests of the given kinds while it is on."""

    def __init__(self, *kinds: str) -> None:
        self.on = True
        self.failed = 0
        self._kinds = kinds

    async def __call__(self, operation: str, what: Any) -> None:
        kinds = {operation} | ({kind_of(what)} if operation == "write" else set())
        if self.on and (not self._kinds or kinds & set(self._kinds)):
            self.failed += 1
            raise StorageUnavailable("as the test wants it")


class Hang:
    """Holds up all requests of some kinds, until it is over.

    Attributes:
        waiting: How many wait.
    """

    def __init__(self, *kinds: str) -> None:
        self.waiting = 0
        self._kinds = kinds
        self._over = threading.Event()

    def end(self) -> None:
        self._over.set()

    async def __call__(self, operation: str, what: Any) -> None:
        kinds = {operation} | ({kind_of(what)} if operation == "write" else set())
        if kinds & set(self._kinds) and not self._over.is_set():
            self.waiting += 1
            while not self._over.is_set():
                await asyncio.sleep(0.005)
            self.waiting -= 1


S3 = ("put", "get", "list", "delete")
"""Requests that hang when S3 does."""


class _Flag:
    """An event for tasks of several loops."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> None:
        async with within(seconds):
            while not self._set:
                await asyncio.sleep(0.002)
