"""Volumes hold what their pages hold, and a check says so when they do not."""

from __future__ import annotations

import json

import pytest

from segue.admin.fork import fork
from segue.admin.verify import verify
from segue.journal import blocks
from segue.journal.blocks import unpack
from segue.lease.item import GuardItem

KEY = "alice/notes"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    """Two pages of two messages make a volume."""
    monkeypatch.setattr(blocks, "PAGE_RECORDS", 2)
    monkeypatch.setattr(blocks, "VOLUME_PAGES", 2)


@pytest.fixture
def objects(stores):
    return stores.objects.objects


@pytest.fixture
def item(stores):
    return lambda: GuardItem.parse(stores.guard.items[KEY])


@pytest.fixture
async def bound(write, message, item):
    """A session with a volume at least, released."""
    session = await write(KEY, [message("first")], stay=True)
    for number in range(100):
        if "1" in item().volumes:
            await session.close()
            return
        session.append(message(str(number)))
        await session.durable()
        if binding := session.live._committer._binder._binding:
            await binding
    pytest.fail("nothing was bound")


@pytest.fixture
def check(stores, clock):
    return lambda: verify(stores, KEY, clock)


def volume_among(objects):
    return next(key for key in objects if key.endswith("/volumes/0.json"))


def codes(report):
    return [(one.severity, one.code) for one in report.findings]


async def test_a_sound_session_with_volumes_has_no_findings(check, bound, objects, item):
    report = await check()

    assert report.findings == ()
    assert report.objects == len(objects)
    assert report.size == sum(map(len, objects.values()))
    assert report.records == item().head


@pytest.mark.parametrize(
    ("damage", "code"), [(lambda body: body[:-9], "damaged"), (lambda body: None, "missing")], ids=["cut", "gone"]
)
async def test_a_damaged_or_missing_volume_is_damage(check, bound, objects, damage, code):
    key = volume_among(objects)
    body = damage(objects.pop(key))
    if body is not None:
        objects[key] = body

    report = await check()

    assert codes(report) == [("damage", code)], "the volume's pages hold the records still, so none is lost"
    assert report.findings[0].key == key


async def test_a_volume_that_differs_from_its_pages_is_damage(check, bound, objects):
    key = volume_among(objects)
    block = json.loads(unpack(objects[key]))
    block["records"][0], block["records"][1] = block["records"][1], block["records"][0]
    objects[key] = json.dumps(block).encode()

    report = await check()

    assert codes(report) == [("damage", "volume")]
    assert report.findings[0].key == key


async def test_a_redaction_that_is_being_swept_makes_them_differ(check, bound, objects, stores, write, message):
    before = objects[volume_among(objects)]
    session = await write(KEY, [message("gone", "first", kind="redact")])
    objects[volume_among(objects)] = before
    assert codes(await check()) == [("damage", "volume")]

    stores.guard.items[KEY]["scrub"] = str(session.lease.item.head - 1)

    assert codes(await check()) == [("warning", "scrub")]


async def test_an_uncommitted_volume_is_an_orphan(check, bound, objects, item):
    left = volume_among(objects).replace("/0.json", f"/{len(item().volumes)}.json")
    objects[left] = b"{}"

    assert codes(await check()) == [("note", "orphan")]


async def test_a_blank_in_the_place_of_the_next_volume_is_no_finding(check, bound, objects, item, write, message):
    await write(KEY, [message("gone", "first", kind="redact")])

    assert any(key.endswith(f"/volumes/{len(item().volumes)}.json") for key in objects)
    assert (await check()).findings == ()


async def test_an_item_with_volumes_of_missing_pages_is_damage(check, bound, stores):
    stores.guard.items[KEY]["volumes"] = "1" + "0" * 50

    assert ("damage", "guard") in codes(await check())


async def test_a_fork_of_a_session_with_volumes_is_sound_and_has_none(check, bound, stores, clock, item):
    await fork(stores, KEY, "alice/copy", clock)

    report = await verify(stores, "alice/copy", clock)
    assert report.findings == ()
    assert report.records == item().head
    assert report.item.volumes == ""
