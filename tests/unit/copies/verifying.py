"""A session to verify, and what is found in it."""

from __future__ import annotations

import pytest

from segue.admin.verify import verify

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
