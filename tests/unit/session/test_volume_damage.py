"""Volumes that are lost, damaged or not written."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from segue import JournalCorrupt, SegueError
from segue.admin.verify import verify
from segue.journal.blocks import decode_block
from segue.journal.volumes import Binder
from segue.storage import file
from segue.storage.memory import MemoryObjects
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
    agent = await started(memory_sessions())
    await bound(agent, storage, "1")

    assert len(refused) == 2
    await agent.stop()
    assert texts(await started(memory_sessions())) == texts(agent)


async def test_a_mistake_of_the_binding_breaks_no_commit(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistaken(*_: Any) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(Binder, "_volume", mistaken)
    agent = await started(memory_sessions())
    for number in range(12):
        await agent.send(f"{number}")
        await settled(agent)
    await agent.stop()

    assert "volume not bound, unexpectedly" in caplog.text
    assert item_of(storage).volumes == ""
    assert len((await started(memory_sessions())).messages) == 12


@pytest.mark.parametrize("damage", [None, b"", b"{}"], ids=["lost", "empty", "of another shape"])
async def test_in_place_of_a_lost_or_damaged_volume_its_pages_are_read(
    memory_sessions: Sessions, storage: MemoryStorage, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await started(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    (key,) = [key for key in storage.objects.objects if key.endswith("/volumes/1.json")]
    del storage.objects.objects[key]
    if damage is not None:
        storage.objects.objects[key] = damage

    heir = await started(memory_sessions())

    assert heir.messages == agent.messages
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.object == key
    await heir.send("on")
    await heir.stop()
    assert texts(await started(memory_sessions())) == [*texts(agent), "on"]


@pytest.mark.slow
@pytest.mark.parametrize("instead", ["/volumes/2.json", "/pages/2.json", "/pages/0.json", "/segments/"])
@pytest.mark.parametrize("place", ["/volumes/0.json", "/volumes/1.json", "/volumes/2.json"])
async def test_in_place_of_a_volume_that_is_another_object_of_the_session_its_pages_are_read(
    memory_sessions: Sessions, storage: MemoryStorage, place: str, instead: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await started(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    objects = storage.objects.objects
    key, other = (next(key for key in sorted(objects) if part in key) for part in (place, instead))
    objects[key] = objects[other]

    heir = await started(memory_sessions())

    assert texts(heir) == texts(agent)
    assert [record.object for record in caplog.records if record.levelname == "ERROR"] == [key] * (key != other)
    await heir.send("on")
    await heir.stop()
    assert texts(await started(memory_sessions())) == [*texts(agent), "on"]


@pytest.mark.parametrize(("one", "another"), [(0, 1), (0, 2), (1, 2)])
async def test_volumes_that_changed_places_are_read_as_their_pages(
    memory_sessions: Sessions, storage: MemoryStorage, one: int, another: int
) -> None:
    agent = await started(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    objects, root = storage.objects.objects, f"sessions/default/talk/{item_of(storage).born}/volumes/"
    first, second = f"{root}{one}.json", f"{root}{another}.json"
    objects[first], objects[second] = objects[second], objects[first]

    assert texts(await started(memory_sessions())) == texts(agent)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [None, b"", b"{}"], ids=["lost", "empty", "of another shape"])
@pytest.mark.parametrize("begun", [False, True], ids=["by this holder", "by the one before"])
async def test_a_redaction_binds_a_lost_or_damaged_volume_again(
    memory_sessions: Sessions, storage: MemoryStorage, damage: bytes | None, *, begun: bool
) -> None:
    agent = await started(memory_sessions())
    await agent.send(SECRET)
    await bound(agent, storage, "111")
    objects = storage.objects.objects
    key = next(key for key in objects if key.endswith("/volumes/0.json"))
    before = decode_block(key, objects.pop(key), item_of(storage))
    if damage is not None:
        objects[key] = damage
    manager, down = manager_of(agent), Unavailable("list")
    down.on, storage.before = begun, down

    recorder_of(manager).redact(tracking_id(agent), "gone")
    if begun:
        await eventually(lambda: down.failed)
        crash(manager)
        down.on = False
        assert item_of(storage).scrub is not None
    else:
        await agent.stop()
    heir = await started(memory_sessions(probe=certainly_dead))

    assert texts(heir)[0] == "gone"
    assert not holding(storage)
    again = decode_block(key, objects[key], item_of(storage))
    assert (again.first, again.commits, len(again.records)) == (before.first, before.commits, len(before.records))
    await heir.stop()
    report = await verify(storage.stores(), "default/talk", manager._runtime.clock)
    assert not report.damage


async def test_a_lost_volume_is_damage_if_one_of_its_pages_is_lost_too(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions())
    await bound(agent, storage, "1")
    await agent.stop()
    root = f"sessions/default/talk/{item_of(storage).born}/"
    del storage.objects.objects[f"{root}volumes/0.json"], storage.objects.objects[f"{root}pages/1.json"]

    with pytest.raises(JournalCorrupt, match=r"pages/1\.json"):
        await memory_sessions().open()


async def test_a_release_waits_for_no_volume(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    agent = await started(memory_sessions())
    storage.before = never = Latch("get")  # only the binding reads
    await reached(never, agent)

    await agent.stop()

    assert item_of(storage).acquire_id is None
    never.go.set()
    heir = await started(memory_sessions())
    await bound(heir, storage, "1")
    await heir.stop()


@pytest.mark.slow
async def test_a_volume_that_is_being_written_does_not_outlive_its_session(
    file_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread's write cannot be cancelled: the tombstone waits for it, and the deletion finds it."""
    create, begun, deleted, written = file.create_file, threading.Event(), threading.Event(), threading.Event()

    def slow(path: Path, body: bytes) -> None:
        if "volumes" in path.parts:
            begun.set()
            deleted.wait(0.5)
        create(path, body)
        if "volumes" in path.parts:
            written.set()

    monkeypatch.setattr(file, "create_file", slow)
    manager = file_sessions()
    agent = await started(manager)
    for _ in range(100):
        if not begun.is_set():
            await agent.send("on")
    await eventually(begun.is_set)

    await manager.delete()

    deleted.set()
    await eventually(written.is_set)
    assert not list((tmp_path / "segue" / "sessions").rglob("*.json"))
