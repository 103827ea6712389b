"""A session that changes while it is verified, and storage that does not answer."""

from __future__ import annotations

import pytest

from segue.errors import StorageUnavailable
from tests.support.waiting import eventually
from tests.unit.copies.verifying import KEY, codes, named


@pytest.mark.slow
async def test_verify_finds_an_unfinished_redaction(check, paged, write, message, objects, stores):
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


async def test_a_session_folded_during_the_check_has_no_findings(check, write, message, objects, stores, monkeypatch):
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
async def test_a_session_that_changes_at_every_look_is_reported_as_moving(check, paged, objects, stores, monkeypatch):
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
