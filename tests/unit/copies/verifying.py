"""A session to verify, and what is found in it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import pytest

from segue.admin.verify import verify
from segue.storage.attributes import Attributes

KEY = "alice/notes"


@pytest.fixture
def objects(stores):
    return stores.objects.objects


@pytest.fixture
def check(stores, clock):
    async def checked(key=KEY, **options):
        return await verify(stores, key, clock, **options)

    return checked


@dataclass(frozen=True)
class Written:
    """Storage of a session that was written: the guard's items, the objects, and the time of the last commit."""

    items: dict[str, Attributes]
    objects: dict[str, bytes]
    now: float


_paged: list[Written] = []
"""The session of ``paged`` as this process has written it: its 150 commits take a tenth of a second."""


@pytest.fixture
async def paged(write, message, stores, clock):
    """A session of three pages and a tail of six segments, released."""
    if not _paged:
        await write(KEY, *([message(str(number))] for number in range(150)))
        _paged.append(Written(deepcopy(stores.guard.items), dict(stores.objects.objects), clock.now()))
    stores.guard.items.update(deepcopy(_paged[0].items))
    stores.objects.objects.update(_paged[0].objects)
    clock._now = _paged[0].now


def named(objects, part):
    return sorted(
        (key for key in objects if part in key and KEY in key),
        key=lambda key: int(key.rsplit("/", 1)[-1].split("-")[0].removesuffix(".json")),
    )


def codes(report, *severities):
    return [one.code for one in report.findings if one.severity in (severities or ("damage", "warning", "note"))]
