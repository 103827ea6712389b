"""Objects that no session needs: orphans, earlier lives, ended sessions."""

from __future__ import annotations

import pytest

from segue.admin.fork import COPY_SECONDS
from segue.errors import SessionNotFound
from tests.unit.copies.verifying import KEY, codes, named


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


async def test_objects_of_a_holders_next_commit_are_no_orphans(check, write, message, objects):
    session = await write(KEY, [message("a")], stay=True)
    (segment,) = named(objects, "/segments/")
    objects[segment.rsplit("/", 1)[0] + f"/1-{session.epoch}-underWay.json"] = b"{}"
    objects[segment.rsplit("/", 2)[0] + "/pages/0.json"] = b"{}"

    assert (await check()).findings == ()
    await session.close()
    assert codes(await check()) == ["orphan", "orphan"]


async def test_an_orphan_deleted_during_the_check_is_not_reported(check, paged, objects, stores, monkeypatch):
    """A holder deletes what it has folded only after the commit."""
    orphan = named(objects, "/segments/")[0].rsplit("/", 1)[0] + "/10-1-folded.json"
    objects[orphan] = b"{}"
    real = stores.guard.read

    async def then_deleted(key):
        objects.pop(orphan, None)
        return await real(key)

    monkeypatch.setattr(stores.guard, "read", then_deleted)

    assert (await check()).findings == ()


async def test_objects_of_an_earlier_incarnation_are_reported(check, write, message, objects, clock):
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


async def test_an_expired_session_is_a_note(check, write, message, clock):
    await write(KEY, [message("a")])
    clock._now += 366 * 86_400

    report = await check()

    assert report.state == "expired"
    assert codes(report) == codes(report, "note") == ["ended"]


@pytest.mark.slow
async def test_objects_without_an_item_are_a_note_and_later_a_warning(check, paged, stores, clock):
    del stores.guard.items[KEY]

    report = await check()
    assert (report.state, codes(report, "note")) == ("absent", ["ended"])  # a copy may be under way

    clock._now += 3 * COPY_SECONDS
    assert codes(await check(), "warning") == ["ended"]


async def test_checking_a_session_without_item_and_objects_is_not_found(check):
    with pytest.raises(SessionNotFound):
        await check()
