"""Pages are bound into volumes: a restore asks for few objects, and everything else is as if there were none."""

from __future__ import annotations

from typing import Any

import pytest
from strands.bidi import BidiAgent

from segue import JournalCorrupt
from segue.history.points import read_at
from segue.journal import blocks, volumes
from segue.journal.blocks import unpack
from segue.journal.keys import ObjectKeys
from segue.journal.records import Record, decode_record
from segue.lease import item
from segue.lease.item import GuardItem
from tests.support.memory_manager import MemoryStorage
from tests.support.sessions import started
from tests.unit.session.volumes import (
    SECRET,
    Sessions,
    bound,
    item_of,
    settled,
    texts,
    tracking_id,
)

pytestmark = pytest.mark.usefixtures("small_volumes")


async def test_a_restore_asks_for_volumes_in_place_of_their_pages(
    memory_sessions: Sessions, storage: MemoryStorage
) -> None:
    agent = await started(memory_sessions())
    await bound(agent, storage, "111")
    await agent.stop()
    storage.requests.clear()

    heir = await started(memory_sessions())

    assert heir.messages == agent.messages
    left = item_of(storage)
    asked = [what for operation, what in storage.requests if operation == "get"]
    assert len(asked) == left.volumes.count("1") + left.pages - 2 * len(left.volumes) + len(left.tail)
    assert sum("/pages/" in key for key in storage.objects.objects) == left.pages, "the pages stay"
    await heir.stop()


async def test_every_commit_is_a_point_in_time_still(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    agent = await started(manager)
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
        before_volumes.setattr(blocks, "VOLUME_PAGES", 1000)
        agent = await started(memory_sessions())
        for number in range(20):
            await agent.send(f"old {number}")
        await agent.stop()
    assert (item_of(storage).schema, item_of(storage).volumes) == (1, "")

    heir = await started(memory_sessions())
    assert heir.messages == agent.messages
    await bound(heir, storage, "1111")
    await heir.stop()

    assert texts(await started(memory_sessions())) == texts(heir)


async def test_a_release_without_volumes_refuses_a_session_that_has_them(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would redact, and leave what it redacted in a volume."""
    agent = await started(memory_sessions())
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
    agent = await started(memory_sessions())
    await bound(agent, storage, "11")
    await agent.stop()

    assert set(seen) == {2}


async def test_a_run_that_is_large_is_left_as_it_is(
    memory_sessions: Sessions, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await started(memory_sessions())
    monkeypatch.setattr(volumes, "VOLUME_BYTES", 10)
    await bound(agent, storage, "0")
    monkeypatch.undo()
    monkeypatch.setattr(blocks, "PAGE_RECORDS", 2)
    monkeypatch.setattr(blocks, "VOLUME_PAGES", 2)
    await bound(agent, storage, "01")
    await agent.stop()

    heir = await started(memory_sessions())

    assert texts(heir) == texts(agent)
    assert not [key for key in storage.objects.objects if key.endswith("volumes/0.json")]
    await heir.stop()


async def test_a_new_incarnation_begins_without_volumes(memory_sessions: Sessions, storage: MemoryStorage) -> None:
    manager = memory_sessions()
    agent = await started(manager)
    await bound(agent, storage, "1")
    await manager.delete()
    assert item_of(storage).volumes == ""
    assert not storage.objects.objects

    await started(memory_sessions())

    assert (item_of(storage).schema, item_of(storage).volumes) == (1, "")


# Form and places.


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["s3_sessions", "file_sessions"])
async def test_volumes_in_a_bucket_and_in_a_directory(request: pytest.FixtureRequest, backend: str) -> None:
    sessions: Sessions = request.getfixturevalue(backend)
    manager = sessions()
    agent = await started(manager)
    stores = await manager._runtime.run(manager._stores())
    await agent.send(SECRET)
    item = await _bound_at(stores, manager, agent)
    await manager.redact(tracking_id(agent))
    await agent.stop()

    heir = await started(sessions())

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
    agent = await started(memory_sessions())
    await bound(agent, storage, "1")
    (key,) = [key for key in storage.objects.objects if key.endswith("/volumes/0.json")]
    block = blocks.decode_block(key, storage.objects.objects[key], item_of(storage), first=0)
    pages = [
        blocks.decode_block(
            "page", storage.objects.objects[key.replace("volumes/0", f"pages/{number}")], item_of(storage)
        )
        for number in range(2)
    ]
    assert block.commits == pages[0].commits + pages[1].commits
    assert block.records == pages[0].records + pages[1].records
    assert all(isinstance(decode_record(raw), Record) for raw in block.records)
    await agent.stop()
