"""Pages are bound into volumes: a restore asks for few objects, and everything else is as if there were none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import JournalCorrupt, SegueError
from segue.admin.verify import verify
from segue.history.points import read_at
from segue.journal import records, volumes
from segue.journal.keys import ObjectKeys
from segue.journal.records import Record, decode_block, unpack
from segue.journal.volumes import Binder
from segue.lease import item
from segue.lease.item import GuardItem
from segue.storage import file
from segue.storage.memory import MemoryObjects
from tests.support.crash import certainly_dead, crash
from tests.support.memory_manager import Latch, MemoryStorage, Unavailable
from tests.support.scripted_model import ScriptedModel
from tests.support.waiting import eventually

Sessions = Callable[..., Any]

SECRET = "the number is 4111"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages of two messages make a volume."""
    monkeypatch.setattr(records, "PAGE_RECORDS", 2)
    monkeypatch.setattr(records, "VOLUME_PAGES", 2)


def item_of(storage: MemoryStorage) -> GuardItem:
    return GuardItem.parse(storage.guard.items["default/talk"])


def holding(storage: MemoryStorage, part: str = "") -> list[str]:
    found = storage.objects.objects.items()
    return [key for key, body in found if part in key and SECRET.encode() in unpack(body)]


def texts(agent: BidiAgent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


async def talking(manager: Any) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    return agent


async def bound(agent: BidiAgent, storage: MemoryStorage, volumes: str) -> None:
    """Speak until the guard says so."""
    for number in range(100):
        if item_of(storage).volumes.startswith(volumes):
            return
        await agent.send(f"{number}")
        await settled(agent)
    pytest.fail(f"volumes are {item_of(storage).volumes!r} after 100 messages")


async def settled(agent: BidiAgent) -> None:
    """Wait for the binding that is under way, if there is one."""
    binder = agent._session_manager._session.writer._committer._binder
    await eventually(lambda: binder._binding is None or binder._binding.done())


async def reached(latch: Latch, agent: BidiAgent) -> None:
    """Speak until a request is held up."""
    for _ in range(100):
        if latch._taken:
            return await latch.reached.wait()
        await agent.send("on")
    pytest.fail("nothing was bound in 100 messages")


def tracking_id(agent: BidiAgent) -> str:
    (found,) = [message for message in agent.messages if message["content"][0].get("text") == SECRET]
    return str(found["tracking_id"])


async def test_a_restore_asks_for_volumes_in_place_of_their_pages(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    storage.requests.clear()

    heir = await talking(memory_sessions())

    assert heir.messages == agent.messages
    left = item_of(storage)
    asked = [what for operation, what in storage.requests if operation == "get"]
    assert len(asked) == left.volumes.count("1") + left.pages - 2 * len(left.volumes) + len(left.tail)
    assert sum("/pages/" in key for key in storage.objects.objects) == left.pages, "the pages stay"
    await heir.stop()


async def test_every_commit_is_a_point_in_time_still(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    agent = await talking(manager)
    await bound(agent, storage, "1")
    seen = [point.records for point in await manager.points()]
    assert len(seen) > 4
    for records_then in seen:
        then = await read_at(storage.stores(), "default/talk", manager._runtime.clock, records_then)
        messages = then.agents["default"].messages
        assert messages == agent.messages[: len(messages)]
    await agent.stop()


async def test_a_session_of_pages_only_is_restored_and_bound_little_by_little(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before_volumes:
        before_volumes.setattr(records, "VOLUME_PAGES", 1000)
        agent = await talking(memory_sessions())
        for number in range(20):
            await agent.send(f"old {number}")
        await agent.stop()
    assert (item_of(storage).schema, item_of(storage).volumes) == (1, "")

    heir = await talking(memory_sessions())
    assert heir.messages == agent.messages
    await bound(heir, storage, "1111")
    await heir.stop()

    assert texts(await talking(memory_sessions())) == texts(heir)


async def test_who_does_not_know_volumes_refuses_such_a_session(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would redact, and leave what it redacted in a volume."""
    agent = await talking(memory_sessions())
    assert item_of(storage).schema == 1
    await bound(agent, storage, "1")
    await agent.stop()
    before = storage.guard.items["default/talk"]
    monkeypatch.setattr(item, "SCHEMA", 1)

    with pytest.raises(JournalCorrupt, match="newer Segue"):
        await memory_sessions().open()

    assert storage.guard.items["default/talk"] == before


async def test_no_volume_is_put_before_the_item_says_that_there_may_be_some(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    seen: list[int] = []

    async def look(operation: str, what: Any) -> None:
        if operation == "put" and "/volumes/" in what:
            seen.append(item_of(storage).schema)

    storage.before = look
    agent = await talking(memory_sessions())
    await bound(agent, storage, "11")
    await agent.stop()

    assert set(seen) == {2}


async def test_a_run_that_is_large_is_left_as_it_is(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await talking(memory_sessions())
    monkeypatch.setattr(volumes, "VOLUME_BYTES", 10)
    await bound(agent, storage, "0")
    monkeypatch.undo()
    monkeypatch.setattr(records, "PAGE_RECORDS", 2)
    monkeypatch.setattr(records, "VOLUME_PAGES", 2)
    await bound(agent, storage, "01")
    await agent.stop()

    heir = await talking(memory_sessions())

    assert texts(heir) == texts(agent)
    assert not [key for key in storage.objects.objects if key.endswith("volumes/0.json")]
    await heir.stop()


async def test_a_new_life_begins_without_volumes(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    agent = await talking(manager)
    await bound(agent, storage, "1")
    await manager.delete()
    assert item_of(storage).volumes == ""
    assert not storage.objects.objects

    await talking(memory_sessions())

    assert (item_of(storage).schema, item_of(storage).volumes) == (1, "")


# What goes wrong.


async def test_a_volume_that_cannot_be_written_costs_nothing_and_is_tried_again(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    put = MemoryObjects.put

    async def refuse(self: MemoryObjects, key: str, body: bytes, **conditions: Any) -> None:
        if "/volumes/" in key and len(refused) < 2:
            refused.append(key)
            raise SegueError("no")
        await put(self, key, body, **conditions)

    monkeypatch.setattr(MemoryObjects, "put", refuse)
    agent = await talking(memory_sessions())
    await bound(agent, storage, "1")

    assert len(refused) == 2
    await agent.stop()
    assert texts(await talking(memory_sessions())) == texts(agent)


async def test_a_mistake_of_the_binding_breaks_no_commit(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistaken(*_: Any) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(Binder, "_volume", mistaken)
    agent = await talking(memory_sessions())
    for number in range(12):
        await agent.send(f"{number}")
        await settled(agent)
    await agent.stop()

    assert "volume not bound, unexpectedly" in caplog.text
    assert item_of(storage).volumes == ""
    assert len((await talking(memory_sessions())).messages) == 12


@pytest.mark.parametrize("damage", [None, b"", b"{}"], ids=["lost", "empty", "of another shape"])
async def test_in_place_of_a_lost_or_damaged_volume_its_pages_are_read(
    memory_sessions: Sessions, storage: MemoryStorage, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    (key,) = [key for key in storage.objects.objects if key.endswith("/volumes/1.json")]
    del storage.objects.objects[key]
    if damage is not None:
        storage.objects.objects[key] = damage

    heir = await talking(memory_sessions())

    assert heir.messages == agent.messages
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.object == key
    await heir.send("on")
    await heir.stop()
    assert texts(await talking(memory_sessions())) == [*texts(agent), "on"]


@pytest.mark.parametrize("instead", ["/volumes/2.json", "/pages/2.json", "/pages/0.json", "/segments/"])
@pytest.mark.parametrize("place", ["/volumes/0.json", "/volumes/1.json", "/volumes/2.json"])
async def test_in_place_of_a_volume_that_is_another_object_of_the_session_its_pages_are_read(
    memory_sessions: Sessions, storage: MemoryStorage, place: str, instead: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    objects = storage.objects.objects
    key, other = (next(key for key in sorted(objects) if part in key) for part in (place, instead))
    objects[key] = objects[other]

    heir = await talking(memory_sessions())

    assert texts(heir) == texts(agent)
    assert [record.object for record in caplog.records if record.levelname == "ERROR"] == [key] * (key != other)
    await heir.send("on")
    await heir.stop()
    assert texts(await talking(memory_sessions())) == [*texts(agent), "on"]


@pytest.mark.parametrize(("one", "another"), [(0, 1), (0, 2), (1, 2)])
async def test_volumes_that_changed_places_are_read_as_their_pages(
    memory_sessions: Sessions, storage: MemoryStorage, one: int, another: int
) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    objects, root = storage.objects.objects, f"sessions/default/talk/{item_of(storage).born}/volumes/"
    first, second = f"{root}{one}.json", f"{root}{another}.json"
    objects[first], objects[second] = objects[second], objects[first]

    assert texts(await talking(memory_sessions())) == texts(agent)


@pytest.mark.parametrize("damage", [None, b"", b"{}"], ids=["lost", "empty", "of another shape"])
@pytest.mark.parametrize("begun", [False, True], ids=["by this holder", "by the one before"])
async def test_a_redaction_binds_a_lost_or_damaged_volume_again(
    memory_sessions: Sessions, storage: MemoryStorage, damage: bytes | None, *, begun: bool
) -> None:
    agent = await talking(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, "111")
    objects = storage.objects.objects
    key = next(key for key in objects if key.endswith("/volumes/0.json"))
    before = decode_block(key, objects.pop(key), item_of(storage))
    if damage is not None:
        objects[key] = damage
    manager, down = agent._session_manager, Unavailable("list")
    down.on, storage.before = begun, down

    manager._recorders["default"].redact(tracking_id(agent), "gone")
    if begun:
        await eventually(lambda: down.failed)
        crash(manager)
        down.on = False
        assert item_of(storage).scrub is not None
    else:
        await agent.stop()
    heir = await talking(memory_sessions(probe=certainly_dead))

    assert texts(heir)[0] == "gone"
    assert not holding(storage)
    again = decode_block(key, objects[key], item_of(storage))
    assert (again.first, again.commits, len(again.records)) == (before.first, before.commits, len(before.records))
    await heir.stop()
    report = await verify(storage.stores(), "default/talk", manager._runtime.clock)
    assert not report.damage


async def test_with_a_page_of_it_a_lost_volume_is_damage(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "1")
    await agent.stop()
    root = f"sessions/default/talk/{item_of(storage).born}/"
    del storage.objects.objects[f"{root}volumes/0.json"], storage.objects.objects[f"{root}pages/1.json"]

    with pytest.raises(JournalCorrupt, match=r"pages/1\.json"):
        await memory_sessions().open()


async def test_a_release_waits_for_no_volume(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    storage.before = never = Latch("get")  # only the binding reads
    await reached(never, agent)

    await agent.stop()

    assert item_of(storage).acquire_id is None
    never.go.set()
    heir = await talking(memory_sessions())
    await bound(heir, storage, "1")
    await heir.stop()


async def test_a_volume_that_is_being_written_does_not_outlive_its_session(
    file_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread's write cannot be cancelled: the tombstone waits for it, and the deletion finds it."""
    create, begun, deleted, written = file._create, threading.Event(), threading.Event(), threading.Event()

    def slow(path: Path, body: bytes) -> None:
        if "volumes" in path.parts:
            begun.set()
            deleted.wait(0.5)
        create(path, body)
        if "volumes" in path.parts:
            written.set()

    monkeypatch.setattr(file, "_create", slow)
    manager = file_sessions()
    agent = await talking(manager)
    for _ in range(100):
        if not begun.is_set():
            await agent.send("on")
    await eventually(begun.is_set)

    await manager.delete()

    deleted.set()
    await eventually(written.is_set)
    assert not list((tmp_path / "segue" / "sessions").rglob("*.json"))


# Redaction.


@pytest.mark.parametrize("more", ["1", "11"], ids=["a volume", "two volumes"])
async def test_redacted_content_is_in_no_volume(memory_sessions: Sessions, storage: MemoryStorage, more: str) -> None:
    agent = await talking(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, more)
    assert holding(storage, "/volumes/")

    await agent._session_manager.redact(tracking_id(agent))

    assert not holding(storage)
    await bound(agent, storage, more + "1")
    assert not holding(storage)
    await agent.stop()
    heir = await talking(memory_sessions())
    assert heir.messages == agent.messages
    assert texts(heir)[0] == "[redacted]"
    await heir.stop()


@pytest.mark.parametrize("kind", ["commit", "list", "get", "put", "beat"])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("part", ["/pages/", "/volumes/"])
async def test_a_crash_in_the_middle_is_finished_by_the_next_holder(
    memory_sessions: Sessions, storage: MemoryStorage, kind: str, side: str, part: str
) -> None:
    agent = await talking(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, "11")
    manager = agent._session_manager
    redacted = tracking_id(agent)
    down = Unavailable(kind)

    async def there(operation: str, what: Any) -> None:
        if operation not in {"get", "put"} or part in what:
            await down(operation, what)

    setattr(storage, side, there)
    manager._recorders["default"].redact(redacted, "gone")
    await eventually(lambda: down.failed)
    crash(manager)
    down.on = False
    began = item_of(storage).scrub is not None

    heir = await talking(memory_sessions(probe=certainly_dead))

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
    agent = await talking(memory_sessions())
    await agent.send(SECRET)
    latch = Latch(at)

    async def binding(operation: str, what: Any) -> None:
        if operation == "get" or (operation == "put" and "/volumes/" in what):
            await latch(operation, what)

    setattr(storage, {"get": "after", "put": "before"}[at], binding)
    await reached(latch, agent)

    await agent._session_manager.redact(tracking_id(agent))
    latch.go.set()
    assert not holding(storage)
    await bound(agent, storage, "1")

    assert not holding(storage)
    await agent.stop()
    assert texts(await talking(memory_sessions()))[0] == "[redacted]"


async def test_a_volume_that_a_dead_holder_left_is_not_read_and_does_not_keep_what_is_redacted(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await talking(memory_sessions())
    await agent.send(SECRET)
    while not holding(storage, "/volumes/"):
        await agent.send("on")
        await settled(agent)
    crash(agent._session_manager)
    assert item_of(storage).volumes == ""

    heir = await talking(memory_sessions(probe=certainly_dead))
    await heir._session_manager.redact(tracking_id(heir))

    assert not holding(storage)
    await bound(heir, storage, "1")
    await heir.stop()
    assert texts(await talking(memory_sessions()))[0] == "[redacted]"


# Form and places.


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["s3_sessions", "file_sessions"])
async def test_volumes_in_a_bucket_and_in_a_directory(request: pytest.FixtureRequest, backend: str) -> None:
    sessions: Sessions = request.getfixturevalue(backend)
    manager = sessions()
    agent = await talking(manager)
    stores = await manager._runtime.run(manager._stores())
    await agent.send(SECRET)
    item = await _bound_at(stores, manager, agent)
    await manager.redact(tracking_id(agent))
    await agent.stop()

    heir = await talking(sessions())

    assert heir.messages == agent.messages
    keys = ObjectKeys(stores.prefix, "default/talk", item.born)
    kept = await manager._runtime.run(stores.objects.list(keys.root))
    bodies = [(await manager._runtime.run(stores.objects.get(key))).body for key in kept]
    assert not any(SECRET.encode() in unpack(body) for body in bodies)
    assert keys.volume(0) in kept
    await heir.stop()


async def _bound_at(stores: Any, manager: Any, agent: BidiAgent) -> GuardItem:
    for _ in range(100):
        item = GuardItem.parse(await manager._runtime.run(stores.guard.read("default/talk")))
        if item.volumes:
            return item
        await agent.send("on")
        await settled(agent)
    pytest.fail("nothing was bound in 100 messages")


def test_a_volume_is_as_large_as_its_pages_together_at_most() -> None:
    assert volumes.small_enough(volumes.VOLUME_BYTES)
    assert not volumes.small_enough(volumes.VOLUME_BYTES + 1)


async def test_a_volume_has_the_form_of_a_page(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await talking(memory_sessions())
    await bound(agent, storage, "1")
    (key,) = [key for key in storage.objects.objects if key.endswith("/volumes/0.json")]
    block = records.decode_block(key, storage.objects.objects[key], item_of(storage), first=0)
    pages = [
        records.decode_block(
            "page", storage.objects.objects[key.replace("volumes/0", f"pages/{number}")], item_of(storage)
        )
        for number in range(2)
    ]
    assert block.commits == pages[0].commits + pages[1].commits
    assert block.records == pages[0].records + pages[1].records
    assert all(isinstance(records.decode_record(raw), Record) for raw in block.records)
    await agent.stop()
