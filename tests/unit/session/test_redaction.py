"""After a redaction the old content is in no object of the session, whatever crashed in the middle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from strands.bidi import BidiAgent

import segue.journal.blocks
from segue import SegueError
from segue.history.points import rewind_record
from segue.journal.blocks import unpack
from segue.lease.item import GuardItem
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import MemoryStorage, Unavailable
from tests.support.sessions import manager_of, recorder_of, started
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

SECRET = "the number is 4111"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segue.journal.blocks, "PAGE_RECORDS", 4)


def holding(storage: MemoryStorage) -> list[str]:
    return [key for key, body in storage.objects.objects.items() if SECRET.encode() in unpack(body)]


def item(storage: MemoryStorage) -> GuardItem:
    return GuardItem.parse(storage.guard.items["default/talk"])


async def said(agent: BidiAgent, *texts: str) -> None:
    for text in texts:
        await agent.send(text)


def tracking_id(agent: BidiAgent) -> str:
    (found,) = [message for message in agent.messages if message["content"][0].get("text") == SECRET]
    return str(found["tracking_id"])


@pytest.mark.parametrize("after", [0, 3, 12], ids=["in the tail", "beside a fold", "in a page"])
async def test_the_content_is_in_no_object(memory_sessions: Sessions, storage: MemoryStorage, after: int) -> None:
    agent = await started(memory_sessions())
    await said(agent, "before", SECRET, *(f"after {number}" for number in range(after)))
    assert holding(storage)

    await manager_of(agent).redact(tracking_id(agent))

    assert not holding(storage)
    assert item(storage).scrub is None
    await said(agent, "and on")
    await agent.stop()
    heir = await started(memory_sessions())
    assert heir.messages == agent.messages
    assert heir.messages[1]["content"] == [{"text": "[redacted]"}]


async def test_a_message_redacted_before_its_commit_is_never_written(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions(durability="gate"))
    await manager_of(agent).flush()
    written: list[bytes] = []
    put = storage.objects.put

    async def remember(key: str, body: bytes, **options: Any) -> None:
        written.append(body)
        await put(key, body, **options)

    storage.objects.put = remember  # type: ignore[method-assign]
    storage.before = down = Unavailable("put")
    await said(agent, "before")  # holds the next group back, until storage is there again
    await eventually(lambda: down.failed)
    await said(agent, SECRET)
    recorder_of(manager_of(agent)).redact(tracking_id(agent), "gone")
    down.on = False
    await manager_of(agent).flush()

    assert written
    assert not any(SECRET.encode() in unpack(body) for body in written)
    await agent.stop()


async def test_redact_latest_message_as_strands_calls_it(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    await said(agent, SECRET)
    latest = agent.messages[-1]
    latest["content"] = [{"text": "[blocked]"}]

    manager_of(agent).redact_latest_message(latest, agent)
    await manager_of(agent).flush()

    assert not holding(storage)
    await agent.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["commit", "delete", "list", "get", "put"])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_crash_in_the_middle_is_finished_by_the_next_holder(
    memory_sessions: Sessions, storage: MemoryStorage, kind: str, side: str
) -> None:
    agent = await started(memory_sessions())
    in_a_page = 0 if kind == "delete" else 9  # only segments of the tail are deleted
    await said(agent, "before", SECRET, *(f"after {number}" for number in range(in_a_page)))
    manager = manager_of(agent)
    redacted = tracking_id(agent)
    setattr(storage, side, down := Unavailable(kind))
    recorder_of(manager).redact(redacted, "gone")
    await eventually(lambda: down.failed)
    crash(manager)
    down.on = False
    began = item(storage).scrub is not None or not holding(storage)  # what failed is tried again, and may be over

    heir = await started(memory_sessions(probe=certainly_dead))

    if began:  # else the redaction was never committed, and no caller was told that it was
        assert not holding(storage)
        assert item(storage).scrub is None
        assert heir.messages[1]["content"] == [{"text": "gone"}]
    else:
        assert heir.messages[1]["content"] == [{"text": SECRET}]
    with contextlib.suppress(SegueError):
        await agent.stop()
    await heir.stop()


async def test_a_zombie_does_not_bring_the_content_back(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    zombie = await started(memory_sessions())
    await said(zombie, SECRET)
    manager = manager_of(zombie)
    session = manager._session
    stale = list(session.writer._committer._tail), session.lease.item
    heir = await started(memory_sessions(probe=certainly_dead))
    await manager_of(heir).redact(tracking_id(heir))
    await said(heir, *(f"on {number}" for number in range(9)))
    assert not holding(storage)

    session.writer._committer._tail, session.lease.item = stale
    with pytest.raises(SegueError):
        await said(zombie, *(f"late {number}" for number in range(9)))

    assert item(storage).pages
    named = {key for key in storage.objects.objects if "/pages/" in key}
    assert not named & set(holding(storage))
    await heir.stop()


async def test_an_old_segment_after_a_redaction_is_never_read_and_deleted_at_the_next_takeover(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions())
    await said(agent, "before", SECRET)
    (key,) = holding(storage)
    body = storage.objects.objects[key]
    await manager_of(agent).redact(tracking_id(agent))
    assert not holding(storage)

    await storage.objects.put(key, body)  # the request was on its way all the time, or came twice
    crash(manager_of(agent))
    heir = await started(memory_sessions(probe=certainly_dead))

    assert [message["content"][0]["text"] for message in heir.messages] == ["before", "[redacted]"]
    await eventually(lambda: not holding(storage))
    await heir.stop()


async def test_an_unknown_message_is_an_error(memory_sessions: Sessions) -> None:
    agent = await started(memory_sessions())
    with pytest.raises(KeyError):
        await manager_of(agent).redact("no such id")
    await agent.stop()


async def test_a_rewind_does_not_show_what_an_unfinished_sweep_has_left(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions())
    await said(agent, SECRET, *(f"after {number}" for number in range(6)))
    manager = manager_of(agent)
    storage.before = down = Unavailable("list")
    recorder_of(manager).redact(tracking_id(agent), "gone")
    manager._slot.append(rewind_record(manager.head))
    await eventually(lambda: down.failed)
    crash(manager)
    down.on = False

    heir = await started(memory_sessions(probe=certainly_dead))

    assert SECRET not in str(heir.messages)
    assert [message["content"] for message in heir.messages[:2]] == [[{"text": "gone"}], [{"text": "after 0"}]]
    assert not holding(storage)
