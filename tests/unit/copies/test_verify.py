"""A session's objects and its item are compared: what is missing, cut, swapped or wrong is found."""

from __future__ import annotations

import json

import pytest

from segue.journal.blocks import unpack
from segue.journal.records import Record
from segue.lease.item import SCHEMA
from tests.unit.copies.verifying import KEY, codes, named


def rewrite(objects, key, **changes):
    objects[key] = json.dumps({**json.loads(unpack(objects[key])), **changes}).encode()


@pytest.mark.slow
async def test_verify_finds_nothing_in_a_sound_session(check, paged, objects):
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
async def test_verify_finds_a_truncated_object(check, paged, objects, where):
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
async def test_verify_finds_a_missing_object(check, paged, objects, where):
    key = named(objects, where)[0]
    del objects[key]

    report = await check()

    assert codes(report) == ["missing", "lost"]
    assert report.findings[0].key == key
    assert report.objects == 8


@pytest.mark.parametrize("where", ["/pages/", "/segments/"])
async def test_verify_finds_swapped_objects(check, paged, objects, where):
    first, second = named(objects, where)[:2]
    objects[first], objects[second] = objects[second], objects[first]

    report = await check()

    assert {one.key for one in report.findings if one.code == "displaced"} == {first, second}
    assert "lost" not in codes(report)


@pytest.mark.slow
async def test_verify_finds_an_object_copied_over_another(check, paged, objects):
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
async def test_verify_finds_an_object_of_another_session(check, paged, objects, changes, problem):
    key = named(objects, "/segments/")[2]
    rewrite(objects, key, **changes)

    report = await check()

    assert codes(report) == ["damaged", "lost"]
    assert report.findings[0].key == key
    assert problem in report.findings[0].problem


@pytest.mark.slow
async def test_verify_finds_malformed_records(check, paged, objects):
    key = named(objects, "/pages/")[1]
    records = json.loads(unpack(objects[key]))["records"]
    rewrite(objects, key, records=[*records[:3], {"kind": 5}, "?", *records[5:]])

    report = await check()

    assert codes(report) == ["record", "record"]
    assert [one.problem.split(":")[0] for one in report.findings] == ["record 51", "record 52"]
    assert report.records == 148


async def test_verify_finds_another_commit_in_a_segments_place(check, paged, objects):
    key = named(objects, "/segments/")[0]
    block = json.loads(unpack(objects[key]))
    rewrite(objects, key, commits=[[block["commits"][0][0], 1, "someone-else"]])

    report = await check()

    assert codes(report) == ["commit"]
    assert "someone-else" in report.findings[0].problem


async def test_verify_finds_a_commit_of_an_impossible_epoch(check, paged, objects):
    key = named(objects, "/pages/")[0]
    commits = json.loads(unpack(objects[key]))["commits"]
    rewrite(objects, key, commits=[[end, 99, commit_id] for end, _, commit_id in commits])

    report = await check()

    assert codes(report) == ["commit"]
    assert "epochs [99]" in report.findings[0].problem


async def test_verify_finds_records_that_do_not_fold(check, write):
    await write(KEY, [Record(kind="window", data={"keep": ["never"]})])
    await write("alice/other", [Record(kind="message", data={"text": "no message"})])
    assert codes(await check()) == codes(await check("alice/other")) == ["history"]


@pytest.mark.parametrize(
    "data", [{}, {"message": {}}, {"message": {"tracking_id": []}}, {"message": 5}, [], 5], ids=str
)
async def test_verify_finds_a_malformed_redaction(check, write, objects, data):
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
async def test_verify_finds_an_impossible_guard_item(check, paged, stores, changes, problem):
    stores.guard.items[KEY].update(changes)

    report = await check()

    assert not report.ok
    assert problem in " | ".join(one.problem for one in report.damage)


async def test_verify_finds_a_tail_out_of_order(check, paged, stores):
    stores.guard.items[KEY]["tail"].reverse()

    report = await check()

    assert any("out of order" in one.problem for one in report.damage)


async def test_a_check_reports_all_findings(check, paged, objects, stores):
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
