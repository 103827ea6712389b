from __future__ import annotations

import pytest

from segue.admin.fork import COPY_SECONDS, commits_of, create, fork
from segue.admin.verify import verify
from segue.errors import JournalCorrupt, RecordTooLarge, SessionExists, SessionNotFound, StorageUnavailable
from segue.history.points import points, read_at
from segue.journal.blocks import PAGE_RECORDS, unpack
from segue.journal.reader import read_held
from segue.journal.records import MAX_RECORD_BYTES, Record
from segue.lease.item import GuardItem, Known

SOURCE, TARGET = "alice/notes", "bob/copy"


async def item_of(stores, key):
    return GuardItem.parse(await stores.guard.read(key))


def objects_of(stores, key):
    return {name: body for name, body in stores.objects.objects.items() if f"sessions/{key}/" in name}


@pytest.fixture
def meddle(stores, monkeypatch):
    """Do something before or instead of an operation of storage."""

    def on(store, operation, action):
        real = getattr(store, operation)

        async def meddled(*args, **kwargs):
            return await action(real, *args, **kwargs)

        monkeypatch.setattr(store, operation, meddled)

    return on


async def test_a_fork_is_the_session_under_another_id(stores, clock, write, message, texts):
    await write(SOURCE, [message("a"), message("b")], [message("c")])

    item = await fork(stores, SOURCE, TARGET, clock)

    assert texts(await read_at(stores, TARGET, clock)) == ["a", "b", "c"]
    assert await points(stores, TARGET, clock) == await points(stores, SOURCE, clock)
    assert item == await item_of(stores, TARGET)
    assert not item.held
    assert item.born != (await item_of(stores, SOURCE)).born
    assert (await verify(stores, TARGET, clock)).findings == ()


async def test_source_and_fork_go_on_independently(stores, clock, write, message, texts):
    await write(SOURCE, [message("a")])
    await fork(stores, SOURCE, TARGET, clock)

    await write(SOURCE, [message("here")])
    await write(TARGET, [message("there")])

    assert texts(await read_at(stores, SOURCE, clock)) == ["a", "here"]
    assert texts(await read_at(stores, TARGET, clock)) == ["a", "there"]


async def test_a_fork_at_a_point_ends_there(stores, clock, write, message, texts):
    await write(SOURCE, [message("a")], [message("b")], [message("c")])

    item = await fork(stores, SOURCE, TARGET, clock, at=2)

    assert item.head == 2
    assert item.commit_id == (await points(stores, SOURCE, clock))[1].commit_id
    assert texts(await read_at(stores, TARGET, clock)) == ["a", "b"]
    with pytest.raises(ValueError, match="nearest points are: 3"):
        await fork(stores, SOURCE, "bob/other", clock, at=4)


async def test_the_epoch_is_above_those_of_all_copied_commits(stores, clock, write, message):
    for text in "abc":
        await write(SOURCE, [message(text)])
    epochs = [point.epoch for point in await points(stores, SOURCE, clock)]

    assert epochs == [1, 3, 5]
    assert (await fork(stores, SOURCE, TARGET, clock)).epoch == 6


async def test_a_holder_of_the_fork_collects_none_of_it(stores, clock, write, message, texts):
    """Copied objects have epochs below the new item's, as orphans do: only the tail tells them apart."""
    await write(SOURCE, [message("a")], [message("b")])
    await fork(stores, SOURCE, TARGET, clock)

    session = await write(TARGET, stay=True)
    await session.live._committer.collect()
    await session.close()

    assert texts(await read_at(stores, TARGET, clock)) == ["a", "b"]


async def test_pages_are_cut_as_a_writer_cuts_them(stores, clock, write, message):
    await write(SOURCE, *([message(f"{number}-{part}") for part in range(9)] for number in range(70)))
    source, target = await item_of(stores, SOURCE), await fork(stores, SOURCE, TARGET, clock)

    assert source.pages == target.pages == 2
    assert [entry.first for entry in source.tail] == [entry.first for entry in target.tail]
    journal = await read_held(stores.objects, stores.prefix, target)
    assert len(journal.records) == 630
    report = await verify(stores, TARGET, clock)
    assert report.findings == ()
    assert report.objects == 2 + len(target.tail)


async def test_redacted_content_does_not_come_along(stores, clock, write, message, texts):
    """Neither from a point before the redaction, nor from a page that is not swept."""
    await write(SOURCE, *([message(f"secret {number}", str(number))] for number in range(60)))
    page = next(key for key in objects_of(stores, SOURCE) if "/pages/" in key)
    unswept = stores.objects.objects[page]
    await write(SOURCE, [message("gone", "7", kind="redact")])
    stores.objects.objects[page] = unswept
    assert b'"secret 7"' in unpack(unswept)

    await fork(stores, SOURCE, TARGET, clock, at=20)

    assert texts(await read_at(stores, TARGET, clock))[6:9] == ["secret 6", "gone", "secret 8"]
    assert not [key for key, body in objects_of(stores, TARGET).items() if b'"secret 7"' in unpack(body)]
    assert (await item_of(stores, TARGET)).scrub is None


async def test_a_redacted_summary_does_not_come_along_while_the_sweep_is_not_finished(stores, clock, write, message):
    secret = message("secret", "s")
    summary = Record(kind="internal", data={"conversation_manager_state": {"summary_message": secret.data["message"]}})
    await write(SOURCE, *([secret, summary] for _ in range(60)))
    unswept = {key: body for key, body in stores.objects.objects.items() if "/pages/" in key}
    await write(SOURCE, [message("gone", "s", kind="redact")])
    stores.objects.objects |= unswept
    assert b'"secret"' in unpack(next(iter(unswept.values())))

    await fork(stores, SOURCE, TARGET, clock)

    assert not [key for key, body in objects_of(stores, TARGET).items() if b'"secret"' in unpack(body)]


async def test_a_fork_has_none_of_its_sources_client_inputs(stores, clock, write, message):
    await write(SOURCE, [message("a", inputs=("page", (1, 2)))])
    assert (await item_of(stores, SOURCE)).inputs == {"page": Known(2)}

    await fork(stores, SOURCE, TARGET, clock)

    assert (await item_of(stores, TARGET)).inputs == {}


async def test_an_empty_session_forks(stores, clock, write, message, texts):
    await write(SOURCE)
    await fork(stores, SOURCE, TARGET, clock)
    await write(TARGET, [message("a")])

    assert texts(await read_at(stores, TARGET, clock)) == ["a"]


async def test_a_session_in_use_forks_and_stays_in_use(stores, clock, write, message):
    session = await write(SOURCE, [message("a")], stay=True)
    before = await stores.guard.read(SOURCE)

    await fork(stores, SOURCE, TARGET, clock)

    assert await stores.guard.read(SOURCE) == before
    await session.close()


async def test_progress_counts_objects(stores, clock, write, message):
    await write(SOURCE, [message("a")], [message("b")])
    seen = []

    await fork(stores, SOURCE, TARGET, clock, progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 2), (2, 2)]


async def test_a_living_session_is_never_overwritten(stores, clock, write, message, texts):
    await write(SOURCE, [message("a")])
    await write(TARGET, [message("mine")])

    with pytest.raises(SessionExists) as caught:
        await fork(stores, SOURCE, TARGET, clock)

    assert caught.value.session_key == TARGET
    assert texts(await read_at(stores, TARGET, clock)) == ["mine"]
    with pytest.raises(SessionExists):
        await fork(stores, SOURCE, SOURCE, clock)


async def test_a_session_that_begins_during_the_fork_is_not_overwritten(stores, clock, write, message, texts, meddle):
    await write(SOURCE, [message("a")])

    async def meanwhile(real, key, body, **conditions):
        await real(key, body, **conditions)
        if TARGET in key and await stores.guard.read(TARGET) is None:
            await write(TARGET, [message("first")])

    meddle(stores.objects, "put", meanwhile)
    with pytest.raises(SessionExists):
        await fork(stores, SOURCE, TARGET, clock)

    assert texts(await read_at(stores, TARGET, clock)) == ["first"]
    assert (await verify(stores, TARGET, clock)).findings == ()


async def test_a_deleted_session_makes_room_and_its_epoch_goes_on(stores, clock, write, message, texts):
    await write(SOURCE, [message("a")])
    session = await write(TARGET, [message("old")], stay=True)
    await session.delete()
    tombstone = await item_of(stores, TARGET)

    item = await fork(stores, SOURCE, TARGET, clock)

    assert item.epoch > tombstone.epoch > 1
    assert item.born != tombstone.born
    assert not item.deleted
    assert texts(await read_at(stores, TARGET, clock)) == ["a"]


async def test_an_expired_session_makes_room(stores, clock, write, message, texts):
    await write(TARGET, [message("old")])
    clock._now += 366 * 86_400
    await write(SOURCE, [message("a")])

    await fork(stores, SOURCE, TARGET, clock, retention_s=60)

    assert texts(await read_at(stores, TARGET, clock)) == ["a"]
    clock._now += 61
    with pytest.raises(SessionNotFound):
        await read_at(stores, TARGET, clock)


async def test_half_a_copy_is_never_seen(stores, clock, write, message, meddle):
    await write(SOURCE, [message("a")], [message("b")])

    async def breaks(real, key, body, **conditions):
        if len(objects_of(stores, TARGET)) == 1:
            raise StorageUnavailable("down")
        await real(key, body, **conditions)

    meddle(stores.objects, "put", breaks)
    with pytest.raises(StorageUnavailable):
        await fork(stores, SOURCE, TARGET, clock)

    assert await stores.guard.read(TARGET) is None
    assert objects_of(stores, TARGET) == {}


async def test_storage_that_stumbles_is_asked_again(stores, clock, write, message, meddle):
    await write(SOURCE, [message("a")])
    failures = iter([True, True, False])

    async def stumbles(real, key, body, **conditions):
        if next(failures):
            raise StorageUnavailable("throttled")
        await real(key, body, **conditions)

    meddle(stores.objects, "put", stumbles)
    await fork(stores, SOURCE, TARGET, clock)

    assert (await verify(stores, TARGET, clock)).ok


async def test_a_lost_answer_is_no_failure(stores, clock, write, message, meddle):
    await write(SOURCE, [message("a")])
    answers = iter([False, True])

    async def loses(real, write):
        item = await real(write)
        if not next(answers):
            raise StorageUnavailable("no answer")
        return item

    meddle(stores.guard, "write", loses)
    item = await fork(stores, SOURCE, TARGET, clock)

    assert item == await item_of(stores, TARGET)
    assert (await verify(stores, TARGET, clock)).ok


async def test_a_fork_of_unknown_outcome_deletes_no_object(stores, clock, write, message, meddle):
    """The last request may still be on its way: were its objects gone, it would make a broken session."""
    await write(SOURCE, [message("a")])

    async def never(real, write):
        raise StorageUnavailable("no answer")

    meddle(stores.guard, "write", never)
    with pytest.raises(StorageUnavailable):
        await fork(stores, SOURCE, TARGET, clock)

    assert len(objects_of(stores, TARGET)) == 1


async def test_a_copy_that_takes_too_long_is_given_up(stores, clock, write, message, meddle):
    await write(SOURCE, [message("a")])

    async def slow(real, key, body, **conditions):
        clock._now += COPY_SECONDS + 1
        await real(key, body, **conditions)

    meddle(stores.objects, "put", slow)
    with pytest.raises(StorageUnavailable, match="given up"):
        await fork(stores, SOURCE, TARGET, clock)

    assert await stores.guard.read(TARGET) is None
    assert objects_of(stores, TARGET) == {}


async def test_a_missing_or_corrupt_session_cannot_be_forked(stores, clock, write, message):
    with pytest.raises(SessionNotFound):
        await fork(stores, SOURCE, TARGET, clock)
    await write(SOURCE, [message("a")])
    for key in objects_of(stores, SOURCE):
        stores.objects.objects[key] = b"{"
    with pytest.raises(JournalCorrupt):
        await fork(stores, SOURCE, TARGET, clock)


@pytest.mark.parametrize("key", ["copy", "bob/", "/copy", "bob/../alice", "bob/a b", "bob/.."])
async def test_an_invalid_key_cannot_be_created(stores, clock, key):
    with pytest.raises(ValueError, match="not valid"):
        await create(stores, key, [], clock)


def test_records_from_elsewhere_become_commits_of_bounded_size():
    small = [Record(kind="state", data={"n": number}) for number in range(PAGE_RECORDS * 2 + 1)]
    commits = commits_of(small)

    assert [len(commit.records) for commit in commits] == [PAGE_RECORDS, PAGE_RECORDS, 1]
    assert [commit.entry.first for commit in commits] == [0, PAGE_RECORDS, PAGE_RECORDS * 2]
    large = commits_of([Record(kind="state", data={"text": "x" * 200_000})] * 3)
    assert [len(commit.records) for commit in large] == [1, 1, 1]
    with pytest.raises(RecordTooLarge):
        commits_of([Record(kind="state", data="x" * MAX_RECORD_BYTES)])


async def test_a_copy_may_be_kept_for_ever(stores, clock, write, message, texts):
    await write(SOURCE, [message("a")])

    await fork(stores, SOURCE, TARGET, clock, retention_s=10**18)

    assert texts(await read_at(stores, TARGET, clock)) == ["a"]
