"""Sessions in memory, written by the library's own writer, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from segue.journal.message_shape import Message
from segue.journal.records import Record
from segue.lease.lease import Lease
from segue.session.runtime import HeartbeatSchedule
from segue.session.session import Session
from segue.storage.memory import MemoryGuard, MemoryObjects
from segue.storage.stores import Stores
from segue.testing import ManualClock
from tests.unit.copies.exchanging import (
    file_layout,  # noqa: F401 - a fixture
    layout,  # noqa: F401 - a fixture
    snapshot_layout,  # noqa: F401 - a fixture
)
from tests.unit.copies.verifying import (
    check,  # noqa: F401 - a fixture
    objects,  # noqa: F401 - a fixture
    paged,  # noqa: F401 - a fixture
)

Write = Callable[..., Awaitable[Session]]


class PassingClock(ManualClock):
    """A clock on which every wait is over at once, and counts."""

    async def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock() -> ManualClock:
    return PassingClock(1_790_000_000.0)


@pytest.fixture
def stores() -> Stores:
    return Stores(MemoryGuard(), MemoryObjects(), "kept/")


@pytest.fixture
def write(stores: Stores, clock: ManualClock) -> Write:
    """Commit groups of records to a session, and release it unless told to stay."""

    async def written(key: str, *commits: Sequence[Record], stay: bool = False) -> Session:
        lease = Lease(stores.guard, key, holder="test", clock=clock)
        session = Session(lease, stores, HeartbeatSchedule(asyncio.get_running_loop(), clock), clock)
        await session.open(timeout=0.0)
        for commit in commits:
            clock._now += 1.0
            session.append(*commit)
            await session.durable()
        while session.live._committer._cleanups:
            await asyncio.sleep(0)
        if not stay:
            await session.close()
        return session

    return written


def said(text: str, tracking_id: str, role: str = "user") -> Message:
    return {"role": role, "content": [{"text": text}], "tracking_id": tracking_id}


@pytest.fixture
def message(clock: ManualClock) -> Callable[..., Record]:
    """A record of a message; its tracking id is its text unless told."""

    def record(text: str, tracking_id: str | None = None, *, kind: str = "message", **fields: Any) -> Record:
        at = int(clock.wall() * 1000)
        return Record(kind=kind, data={"message": said(text, tracking_id or text)}, at=at, **fields)

    return record


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    """Texts of a history's messages."""

    def of(history: Any, agent: str = "default") -> list[str]:
        return [one["content"][0]["text"] for one in history.agents[agent].messages]

    return of
