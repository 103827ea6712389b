"""Redacted content is in no volume, also after a crash in the middle."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from segue import SegueError
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable
from tests.support.sessions import manager_of, recorder_of, started
from tests.support.waiting import eventually
from tests.unit.session.volumes import (
    SECRET,
    Sessions,
    bound,
    holding,
    item_of,
    reached,
    settled,
    texts,
    tracking_id,
)

pytestmark = pytest.mark.usefixtures("small_volumes")


@pytest.mark.parametrize("more", ["1", "11"], ids=["a volume", "two volumes"])
async def test_redacted_content_is_in_no_volume(memory_sessions: Sessions, storage: MemoryStorage, more: str) -> None:
    agent = await started(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, more)
    assert holding(storage, "/volumes/")

    await manager_of(agent).redact(tracking_id(agent))

    assert not holding(storage)
    await bound(agent, storage, more + "1")
    assert not holding(storage)
    await agent.stop()
    heir = await started(memory_sessions())
    assert heir.messages == agent.messages
    assert texts(heir)[0] == "[redacted]"
    await heir.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["commit", "list", "get", "put", "beat"])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("part", ["/pages/", "/volumes/"])
async def test_a_crash_in_the_middle_is_finished_by_the_next_holder(
    memory_sessions: Sessions, storage: MemoryStorage, kind: str, side: str, part: str
) -> None:
    agent = await started(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, "11")
    manager = manager_of(agent)
    redacted = tracking_id(agent)
    down = Unavailable(kind)

    async def there(operation: str, what: Any) -> None:
        if operation not in {"get", "put"} or part in what:
            await down(operation, what)

    setattr(storage, side, there)
    recorder_of(manager).redact(redacted, "gone")
    await eventually(lambda: down.failed)
    crash(manager)
    down.on = False
    began = item_of(storage).scrub is not None

    heir = await started(memory_sessions(probe=certainly_dead))

    if began:
        assert not holding(storage)
    assert item_of(storage).scrub is None
    assert (texts(heir)[0] == SECRET) == bool(holding(storage))
    await bound(heir, storage, "111")
    with contextlib.suppress(SegueError):
        await agent.stop()
    await heir.stop()


@pytest.mark.parametrize("at", ["get", "put"])
async def test_a_redaction_while_a_volume_is_bound(memory_sessions: Sessions, storage: MemoryStorage, at: str) -> None:
    """Redacted content does not come back, with the pages just read, or with the volume in flight."""
    agent = await started(memory_sessions())
    await agent.send(SECRET)
    latch = Latch(at)

    async def binding(operation: str, what: Any) -> None:
        if operation == "get" or (operation == "put" and "/volumes/" in what):
            await latch(operation, what)

    setattr(storage, {"get": "after", "put": "before"}[at], binding)
    await reached(latch, agent)

    await manager_of(agent).redact(tracking_id(agent))
    latch.go.set()
    assert not holding(storage)
    await bound(agent, storage, "1")

    assert not holding(storage)
    await agent.stop()
    assert texts(await started(memory_sessions()))[0] == "[redacted]"


async def test_a_volume_that_a_dead_holder_left_is_not_read_and_does_not_keep_what_is_redacted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions())
    await agent.send(SECRET)
    while not holding(storage, "/volumes/"):
        await agent.send("on")
        await settled(agent)
    crash(manager_of(agent))
    assert item_of(storage).volumes == ""

    heir = await started(memory_sessions(probe=certainly_dead))
    await manager_of(heir).redact(tracking_id(heir))

    assert not holding(storage)
    await bound(heir, storage, "1")
    await heir.stop()
    assert texts(await started(memory_sessions()))[0] == "[redacted]"
