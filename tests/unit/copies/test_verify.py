import json

import pytest

from segue.admin.fork import COPY_SECONDS
from segue.admin.verify import verify
from segue.errors import SessionNotFound, StorageUnavailable
from segue.journal.records import Record, unpack
from segue.lease.item import SCHEMA
from tests.support.waiting import eventually

KEY = "alice/notes"


@pytest.fixture
def objects(stores):
    return stores.objects.objects


@pytest.fixture
def check(stores, clock):
    async def checked(key=KEY, **options):
        return await verify(stores, key, clock, **options)

    return checked


@pytest.fixture
async def paged(write, message):
    """A session of three pages and a tail of six segments, released."""
    await write(KEY, *([message(str(number))] for number in range(150)))


def named(objects, part):
    return sorted(
        (key for key in objects if part in key and KEY in key),
        key=lambda key: int(key.rsplit("/", 1)[-1].split("-")[0].removesuffix(".json")),
    )


def codes(report, *severities):
    return [one.code for one in report.findings if one.severity in (severities or ("damage", "warning", "note"))]


def rewrite(objects, key, **changes):
    objects[key] = json.dumps({**json.loads(unpack(objects[key])), **changes}).encode()


@pytest.mark.slow
async def test_a_sound_session(check, paged, objects):
    seen = []

    report = await check(progress=lambda done, total: seen.append((done, total)))

    assert report.findings == ()
    assert report.ok
    assert (report.state, report.objects, report.records) == ("free", 9, 150)
    assert report.size == sum(map(len, objects.values()))
    assert seen == [(number, 9) for number in range(1, 10)]


async def test_a_session_in_use_is_sound_and_stays_in_use(check, write, message, stores):
    session = await write(KEY, [message("a")], stay=True)
    before = await stores.guard.read(KEY)

    report = await check()

    assert report.findings == ()
    assert report.state == "held"
    assert await stores.guard.read(KEY) == before
    await session.close()


@pytest.mark.parametrize("where", ["/pages/", "/segments/"])
async def test_a_truncated_object(check, paged, objects, where):
    key = named(objects, where)[1]
    objects[key] = objects[key][:-20]

    report = await check()

    assert not report.ok
    assert codes(report) == ["damaged", "lost"]
    assert report.findings[0].key == key
    assert "not a readable segment, page or volume" in report.findings[0].problem
    assert "run 'segue" not in report.findings[0].problem
    lost = {"/pages/": "records 48 to 95", "/segments/": "record 145"}[where]
    assert report.findings[1].problem.startswith(lost)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["/pages/", "/segments/"])
async def test_a_missing_object(check, paged, objects, where):
    key = named(objects, where)[0]
    del objects[key]

    report = await check()

    assert codes(report) == ["missing", "lost"]
    assert report.findings[0].key == key
    assert report.objects == 8


@pytest.mark.parametrize("where", ["/pages/", "/segments/"])
async def test_swapped_objects(check, paged, objects, where):
    first, second = named(objects, where)[:2]
    objects[first], objects[second] = objects[second], objects[first]

    report = await check()

    assert {one.key for one in report.findings if one.code == "displaced"} == {first, second}
    assert "lost" not in codes(report)


@pytest.mark.slow
async def test_one_object_over_another(check, paged, objects):
    first, second, _ = named(objects, "/pages/")
    objects[second] = objects[first]

    report = await check()

    assert codes(report) == ["repeated", "lost", "commit"]
    assert report.findings[1].problem.startswith("records 48 to 95")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"born": "another"}, "born 'another'"),
        ({"schema": SCHEMA + 1}, "newer Segue"),
        ({"commits": []}, "commits end at"),
        ({"records": "none"}, "not a readable"),
    ],
)
async def test_an_object_that_is_not_the_sessions(check, paged, objects, changes, problem):
    key = named(objects, "/segments/")[2]
    rewrite(objects, key, **changes)

    report = await check()

    assert codes(report) == ["damaged", "lost"]
    assert report.findings[0].key == key
    assert problem in report.findings[0].problem


@pytest.mark.slow
async def test_a_record_that_is_none(check, paged, objects):
    key = named(objects, "/pages/")[1]
    records = json.loads(unpack(objects[key]))["records"]
    rewrite(objects, key, records=[*records[:3], {"kind": 5}, "?", *records[5:]])

    report = await check()

    assert codes(report) == ["record", "record"]
    assert [one.problem.split(":")[0] for one in report.findings] == ["record 51", "record 52"]
    assert report.records == 148


async def test_another_commit_in_the_segments_place(check, paged, objects):
    key = named(objects, "/segments/")[0]
    block = json.loads(unpack(objects[key]))
    rewrite(objects, key, commits=[[block["commits"][0][0], 1, "someone-else"]])

    report = await check()

    assert codes(report) == ["commit"]
    assert "someone-else" in report.findings[0].problem


async def test_a_commit_of_an_epoch_that_never_was(check, paged, objects):
    key = named(objects, "/pages/")[0]
    commits = json.loads(unpack(objects[key]))["commits"]
    rewrite(objects, key, commits=[[end, 99, commit_id] for end, _, commit_id in commits])

    report = await check()

    assert codes(report) == ["commit"]
    assert "epochs [99]" in report.findings[0].problem


async def test_records_that_do_not_add_up(check, write):
    await write(KEY, [Record(kind="window", data={"keep": ["never"]})])
    await write("alice/other", [Record(kind="message", data={"text": "no message"})])
    assert codes(await check()) == codes(await check("alice/other")) == ["history"]


@pytest.mark.parametrize("data", [{}, {"message": {}}, {"message": {"tracking_id": []}}, {"message": 5}, [], 5])
async def test_a_redaction_that_is_none(check, write, objects, data):
    await write(KEY, [Record(kind="state", data={}), Record(kind="state", data={})])
    (key,) = named(objects, "/segments/")
    rewrite(objects, key, records=[{"kind": "message", "data": data}, {"kind": "redact", "data": data}])

    assert set(codes(await check(), "damage")) == {"history"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"head": 151}, "record 150 is in no object"),
        ({"head": 149}, "beyond its head"),
        ({"pages": 2}, "records 96 to 143 are in no object"),
        ({"epoch": 0}, "epochs above its own"),
        ({"commit_id": "other"}, "its last commit is 'other'"),
        ({"session_key": "alice/elsewhere"}, "it is the item of 'alice/elsewhere'"),
        ({"acquire_id": "x", "lease_ms": 10_000}, "without a holder's name"),
        ({"head": "many"}, "its head is 'many'"),
        ({"pages": -1}, "its pages is -1"),
        ({"pages": 10**9}, "for 150 records"),
        ({"schema": SCHEMA + 1}, "newer Segue"),
        ({"tail": ["nonsense"]}, "cannot be read"),
        ({"scrub": "3"}, "does not name redactions"),
    ],
)
async def test_a_guard_item_that_cannot_be(check, paged, stores, changes, problem):
    stores.guard.items[KEY].update(changes)

    report = await check()

    assert not report.ok
    assert problem in " | ".join(one.problem for one in report.damage)


async def test_a_tail_out_of_order(check, paged, stores):
    stores.guard.items[KEY]["tail"].reverse()

    report = await check()

    assert any("out of order" in one.problem for one in report.damage)


async def test_it_never_stops_at_the_first_finding(check, paged, objects, stores):
    pages, segments = named(objects, "/pages/"), named(objects, "/segments/")
    objects[pages[0]] = b""
    del objects[segments[1]]
    rewrite(objects, segments[3], born="another")
    stores.guard.items[KEY]["commit_id"] = "other"
    objects[f"kept/sessions/{KEY}/README.json"] = b""

    report = await check()

    assert codes(report, "damage") == ["guard", "damaged", "missing", "damaged", "lost", "lost", "lost"]
    assert len(report.foreign) == 1
    assert report.records == 150 - 48 - 1 - 1


async def test_orphans_and_foreign_objects_are_told_apart(check, paged, objects):
    segment, page = named(objects, "/segments/")[0], named(objects, "/pages/")[0]
    orphan = segment.rsplit("/", 1)[0] + "/10-1-neverCommitted.json"
    ahead = page.replace("/0.json", "/3.json")
    future = segment.rsplit("/", 1)[0] + "/10-77-fromNowhere.json"
    unheld = segment.rsplit("/", 1)[0] + "/10-2-fromNobody.json"
    strangers = [
        page.replace("pages/0.json", "notes.json"),
        page.replace("0.json", "zero.json"),
        f"kept/sessions/{KEY}/a.json",
    ]
    for key in (orphan, ahead, future, unheld, *strangers):
        objects[key] = b"{}"
    objects["kept/sessions/alice/notes2/other.json"] = b"{}"

    report = await check()

    assert sorted(one.key for one in report.orphans) == sorted([orphan, ahead])
    assert sorted(one.key for one in report.foreign) == sorted([future, unheld, *strangers])
    assert report.damage == ()
    assert not report.ok
    for key in (future, unheld, *strangers):
        del objects[key]
    assert (await check()).ok


async def test_what_a_holder_is_about_to_commit_is_no_orphan(check, write, message, objects):
    session = await write(KEY, [message("a")], stay=True)
    (segment,) = named(objects, "/segments/")
    objects[segment.rsplit("/", 1)[0] + f"/1-{session.epoch}-underWay.json"] = b"{}"
    objects[segment.rsplit("/", 2)[0] + "/pages/0.json"] = b"{}"

    assert (await check()).findings == ()
    await session.close()
    assert codes(await check()) == ["orphan", "orphan"]


async def test_an_orphan_that_is_gone_the_next_moment(check, paged, objects, stores, monkeypatch):
    """A holder deletes what it has folded only after the commit."""
    orphan = named(objects, "/segments/")[0].rsplit("/", 1)[0] + "/10-1-folded.json"
    objects[orphan] = b"{}"
    real = stores.guard.read

    async def then_deleted(key):
        objects.pop(orphan, None)
        return await real(key)

    monkeypatch.setattr(stores.guard, "read", then_deleted)

    assert (await check()).findings == ()


async def test_objects_of_an_earlier_life(check, write, message, objects, clock):
    session = await write(KEY, [message("old")], stay=True)
    old = dict(objects)
    await session.delete()
    assert (await check_deleted(check, objects, old)) == ["ended"]

    clock._now += 3 * COPY_SECONDS
    await write(KEY, [message("new")])
    report = await check()

    assert codes(report, "warning") == ["ended"]
    assert "1 object of an ended session" in report.findings[0].problem
    assert report.damage == ()


async def check_deleted(check, objects, old):
    assert (await check()).findings == ()
    objects.update(old)
    report = await check()
    assert report.state == "deleted"
    return codes(report, "warning")


async def test_an_expired_session_is_the_janitors(check, write, message, clock):
    await write(KEY, [message("a")])
    clock._now += 366 * 86_400

    report = await check()

    assert report.state == "expired"
    assert codes(report) == codes(report, "note") == ["ended"]


@pytest.mark.slow
async def test_objects_that_no_item_names(check, paged, stores, clock):
    del stores.guard.items[KEY]

    report = await check()
    assert (report.state, codes(report, "note")) == ("absent", ["ended"])  # a copy may be under way

    clock._now += 3 * COPY_SECONDS
    assert codes(await check(), "warning") == ["ended"]


async def test_nothing_at_all(check):
    with pytest.raises(SessionNotFound):
        await check()


@pytest.mark.slow
async def test_an_unfinished_redaction(check, paged, write, message, objects, stores):
    page = named(objects, "/pages/")[0]
    unswept = objects[page]
    await write(KEY, [message("gone", "7", kind="redact")])
    assert (await check()).findings == ()

    objects[page] = unswept
    assert codes(await check(), "damage") == ["redaction"]
    stores.guard.items[KEY]["scrub"] = "150"
    report = await check()
    assert codes(report) == ["scrub"]
    assert not report.ok
    assert report.damage == ()


async def test_a_session_that_is_folded_under_the_check(check, write, message, objects, stores, monkeypatch):
    session = await write(KEY, *([message(str(number))] for number in range(48)), stay=True)
    real, folded = stores.objects.get, []

    async def meanwhile(key):
        if not folded:
            folded.append(key)
            session.append(message("next"))
            await session.durable()
            await eventually(lambda: key not in objects)
        return await real(key)

    monkeypatch.setattr(stores.objects, "get", meanwhile)
    report = await check()

    assert folded[0] not in objects
    assert report.findings == ()
    assert report.records == 49
    await session.close()


@pytest.mark.slow
async def test_a_session_that_never_stands_still(check, paged, objects, stores, monkeypatch):
    real = stores.guard.read

    async def moved(key):
        stores.guard.items[KEY]["pages"] += 1
        return await real(key)

    monkeypatch.setattr(stores.guard, "read", moved)
    report = await check()

    assert codes(report, "warning") == ["moving"]
    assert "missing" not in codes(report)


async def test_storage_that_does_not_answer_is_no_finding(check, paged, stores, monkeypatch):
    async def down(key):
        raise StorageUnavailable("down")

    monkeypatch.setattr(stores.objects, "get", down)
    with pytest.raises(StorageUnavailable):
        await check()
