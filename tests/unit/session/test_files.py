"""The directory behaves as the bucket and the table do, and survives what happens to processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.bidi import BidiAgent
from strands.session import FileSessionManager

import segue.storage.durable_files
from segue import (
    GuardedFileSessionManager,
    JournalCorrupt,
    SessionFenced,
    SessionHeld,
    StorageRefused,
    StorageUnavailable,
)
from segue.ids import session_name, valid_id
from segue.session.runtime import Runtime
from segue.storage.file import FileGuard, FileObjects
from segue.storage.interface import (
    Clause,
    ConditionalWrite,
    ConditionFailed,
    ObjectMissing,
    PreconditionFailed,
)
from tests.support.crash import certainly_dead, crash
from tests.support.fake_model import FakeModel
from tests.support.scripted_model import ScriptedModel, answered, until

Files = Callable[..., GuardedFileSessionManager]


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    made: list[GuardedFileSessionManager] = []

    def make(session_id: str = "talk", **options: Any) -> GuardedFileSessionManager:
        manager = GuardedFileSessionManager(session_id, tmp_path, **{"acquire_timeout": 0.0, **options})
        made.append(manager)
        return manager

    yield make
    for manager in made:
        await asyncio.to_thread(crash, manager)


async def talking(manager: GuardedFileSessionManager) -> BidiAgent:
    await manager.open()
    agent = BidiAgent(model=ScriptedModel(), session_manager=manager)
    await agent.start()
    return agent


async def test_a_conversation_is_equal_after_a_restore(files: Files) -> None:
    agent = await talking(files())
    await agent.send("My name is Alice")
    agent.model.emit(answered("Hello Alice"))  # type: ignore[attr-defined]
    await until(agent, "bidi_response_stop")
    agent.state.set("mood", "good")
    await agent.stop()

    heir = await talking(files())

    assert heir.messages == agent.messages
    assert heir.state.get("mood") == "good"
    await heir.stop()


@pytest.mark.slow
async def test_the_same_guard_excludes_a_second_writer_and_fences_a_late_one(files: Files) -> None:
    agent = await talking(files())
    await agent.send("One")
    with pytest.raises(SessionHeld):
        await files().open()
    heir = await talking(files(probe=certainly_dead))
    await heir.send("Two")

    with pytest.raises(SessionFenced):
        await agent.send("Three")

    assert [message["content"][0]["text"] for message in heir.messages] == ["One", "Two"]
    await heir.stop()


def test_the_default_directory_is_where_strands_has_it() -> None:
    manager = GuardedFileSessionManager("talk")
    assert manager._directory == Path(FileSessionManager._default_storage_dir())


async def test_a_file_is_synced_before_it_is_renamed_and_its_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        done.append("sync directory" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "sync file")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)

    await FileObjects(tmp_path, Runtime.shared().executor).put("sessions/a", b"body")

    assert done == ["sync file", "rename", "sync directory"]


async def test_a_write_that_fails_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = FileObjects(tmp_path, Runtime.shared().executor)
    await objects.put("a/b.json", b"old")

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(segue.StorageUnavailable, match="No space left"):
        await objects.put("a/b.json", b"new")

    assert (await objects.get("a/b.json")).body == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


async def test_a_conditional_put_fails_if_its_condition_does_not_hold(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path, Runtime.shared().executor)
    with pytest.raises(ObjectMissing):
        await objects.get("page.json")
    await objects.put("page.json", b"1", if_absent=True)
    with pytest.raises(PreconditionFailed):
        await objects.put("page.json", b"2", if_absent=True)
    seen = await objects.get("page.json")
    await objects.put("page.json", b"2", if_match=seen.etag)
    with pytest.raises(PreconditionFailed):
        await objects.put("page.json", b"3", if_match=seen.etag)
    assert (await objects.get("page.json")).body == b"2"


async def test_of_many_writers_at_once_one_wins(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path, Runtime.shared().executor)

    async def attempt(number: int) -> bool:
        try:
            await guard.write(ConditionalWrite("a/b", (Clause("session_key", "absent"),), {"epoch": number}))
        except ConditionFailed as lost:
            return lost.item is None
        return True

    assert sum(await asyncio.gather(*(attempt(number) for number in range(20)))) == 1


async def test_a_guard_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path, Runtime.shared().executor)
    await guard.write(ConditionalWrite("a/b", (), {"epoch": 1}))
    (tmp_path / "guard/a/b.json").write_bytes(b"{trunc")
    with pytest.raises(JournalCorrupt, match=r"b\.json"):
        await guard.read("a/b")


async def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_options: object) -> None:  # root may write everywhere, so permissions alone would show nothing there
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", denied)
    with pytest.raises(StorageRefused, match="permission"):
        await FileObjects(tmp_path, Runtime.shared().executor).put("a", b"")


async def test_deleting_takes_the_empty_folders_too(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path, Runtime.shared().executor)
    await objects.put("sessions/a/b/segments/1.json", b"")
    await objects.put("sessions/a/c/segments/1.json", b"")
    await objects.delete(["sessions/a/b/segments/1.json", "sessions/a/b/segments/2.json"])
    assert await objects.list("sessions/a/") == ["sessions/a/c/segments/1.json"]
    assert not (tmp_path / "sessions/a/b").exists()


async def test_half_written_files_of_a_dead_process_are_removed(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path, Runtime.shared().executor)
    await objects.put("sessions/a/b/segments/1.json", b"whole")
    folder = tmp_path / "sessions/a/b/segments"
    (folder / "~writing-dead").write_bytes(b"a secr")
    living = folder / "~writing-living"
    with living.open("wb") as under_way:
        fcntl.flock(under_way, fcntl.LOCK_EX)

        assert await objects.list("sessions/a/b/") == ["sessions/a/b/segments/1.json"]
        assert sorted(path.name for path in folder.iterdir()) == ["1.json", "~writing-living"]


@pytest.mark.parametrize("condition", [{}, {"if_absent": True}], ids=["unconditional", "if absent"])
async def test_a_write_that_is_taken_for_a_dead_ones_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: dict[str, Any]
) -> None:
    objects = FileObjects(tmp_path, Runtime.shared().executor)
    make = tempfile.mkstemp

    def made_and_cleared(**options: Any) -> tuple[int, str]:
        descriptor, name = make(**options)
        Path(name).unlink()
        return descriptor, name

    monkeypatch.setattr(tempfile, "mkstemp", made_and_cleared)
    with pytest.raises(StorageUnavailable):
        await objects.put("a.json", b"body", **condition)
    monkeypatch.undo()
    assert await objects.list("") == []


@pytest.mark.parametrize("session_id", [".writing-x", ".writing-abcdefgh", "writing", "x.lock"])
async def test_listing_removes_no_session_whatever_its_id(files: Files, tmp_path: Path, session_id: str) -> None:
    agent = await talking(files(session_id))
    await agent.send("One")
    await agent.stop()
    stores = await files("other")._stores()

    assert await stores.guard.keys("default/") == [f"default/{session_id}"]
    assert await stores.objects.list("")

    await (again := files(session_id)).open()
    assert len(again.history.agents["default"].messages) == 1


def test_no_id_begins_as_a_file_that_is_being_written() -> None:
    temporary = segue.storage.durable_files.TEMPORARY
    with pytest.raises(ValueError, match="not valid"):
        valid_id(f"{temporary}x", "principal")
    assert not session_name(f"{temporary}x").startswith(temporary)


def test_files_and_folders_of_a_session_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    """As Strands' own ``FileSessionManager`` has it, whatever the umask."""
    before = os.umask(0)
    try:
        for session_id in ("talk", "user@example.com"):
            manager = GuardedFileSessionManager(session_id, tmp_path / "of" / "mine")
            agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
            agent("hi")
            manager.close_sync()
    finally:
        os.umask(before)

    made = list((tmp_path / "of").rglob("*"))
    assert {path.suffix for path in made if path.is_file()} == {".json", ".lock"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "of", *made) if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


async def test_a_directory_that_is_there_keeps_its_mode(files: Files, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    await files().open()

    assert tmp_path.stat().st_mode & 0o777 == 0o750


async def test_a_file_system_that_does_not_tell_letters_apart_mixes_no_two_sessions(
    files: Files, tmp_path: Path
) -> None:
    """There ``talk.json`` is also what ``Talk.json`` names: a link says so here."""
    first = files("talk")
    await first.open()
    await first.close()
    (path,) = tmp_path.rglob("talk.json")
    before = path.read_bytes()
    path.with_name("Talk.json").symlink_to(path)

    with pytest.raises(StorageRefused, match=r"holds session 'default/talk': .* use another id"):
        await files("Talk").open()

    assert path.read_bytes() == before
    await files("talk").open()


async def test_an_item_is_listed_as_its_principals_whatever_the_directorys_letters(
    files: Files, tmp_path: Path
) -> None:
    manager = files("talk", principal="alice")
    await manager.open()
    await manager.close()
    (tmp_path / "guard" / "alice").rename(tmp_path / "guard" / "Alice")
    guard = (await manager._stores()).guard

    assert await guard.keys("alice/") == ["alice/talk"]
    assert await guard.keys("Alice/") == []


async def test_a_wait_for_a_process_stopped_in_the_middle_of_a_write_ends(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segue.storage.durable_files, "LOCK_SECONDS", 0.05)
    first = files()
    await first.open()
    await first.close()
    (path,) = tmp_path.rglob("talk.lock")
    with path.open("ab") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        with pytest.raises(segue.StorageUnavailable, match=r"talk\.lock: locked .* stopped"):
            await files().open()

    heir = files()
    await heir.open()
    assert heir.epoch > first.epoch


@pytest.mark.parametrize("how", ["close", "leave"])
async def test_a_directory_that_was_removed_is_not_brought_back_by_a_release(
    files: Files, tmp_path: Path, how: str
) -> None:
    agent = await talking(manager := files())
    await agent.send("Hello")
    await manager.flush()
    for path in list(tmp_path.iterdir()):
        shutil.rmtree(path)

    await getattr(manager, how)()

    assert list(tmp_path.iterdir()) == []
