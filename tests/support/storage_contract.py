"""Contract of any storage that the protocol rests on: conditions decide atomically, and the loser learns the winner."""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import Any

import pytest

from segue.storage.aws import DynamoGuard
from segue.storage.interface import Clause, ConditionalWrite, ConditionFailed, ObjectMissing, PreconditionFailed
from segue.storage.stores import Stores

KEY = "alice/talk"
ITEM: dict[str, Any] = {
    "session_key": KEY,
    "epoch": 3,
    "acquire_id": "a",
    "head": 7,
    "deleted": True,
    "tail": ["1.2.x", "3.4.y"],
}


async def made(stores: Stores) -> None:
    await stores.guard.write(
        ConditionalWrite(
            KEY,
            (Clause("session_key", "absent"),),
            assign={name: value for name, value in ITEM.items() if name != "session_key"},
        )
    )


async def check_items(stores: Stores) -> None:
    """An item is what was written, and every kind of value comes back as it was."""
    assert await stores.guard.read(KEY) is None
    await made(stores)

    assert await stores.guard.read(KEY) == ITEM
    assert await stores.guard.keys("alice/") == [KEY]
    assert await stores.guard.keys("bob/") == []


async def check_time(stores: Stores) -> None:
    """Storage that has a clock of its own tells the time of its latest answer, and storage that has none does not."""
    assert stores.guard.wall() is None
    await stores.guard.read("default/nothing")
    told = stores.guard.wall()
    assert (told is None) == (not isinstance(stores.guard, DynamoGuard))
    assert told is None or abs(told - time.time()) < 60


async def check_changes(stores: Stores) -> None:
    """A change sets, adds and removes, and answers with the whole new item."""
    await made(stores)
    change = ConditionalWrite(
        KEY,
        (Clause("epoch", "=", 3),),
        {"head": 8, "tail": []},
        remove=("deleted", "never"),
        add={"epoch": 2, "new": 1},
    )

    after = await stores.guard.write(change)

    assert after == {"session_key": KEY, "epoch": 5, "acquire_id": "a", "head": 8, "tail": [], "new": 1}
    assert await stores.guard.read(KEY) == after


HOLDS = [
    (Clause("epoch", "=", 3),),
    (Clause("acquire_id", "=", "a"), Clause("head", "=", 7)),
    (Clause("epoch", "<", 4),),
    (Clause("holder", "absent"),),
]
FAILS = [
    (Clause("epoch", "=", 4),),
    (Clause("acquire_id", "=", "a"), Clause("head", "=", 8)),
    (Clause("epoch", "<", 3),),
    (Clause("never", "<", 3),),
    (Clause("never", "=", 3),),
    (Clause("acquire_id", "absent"),),
    (Clause("session_key", "absent"),),
]


async def check_conditions(stores: Stores) -> None:
    """A condition decides, and the loser's answer carries the winner."""
    await made(stores)
    for condition in FAILS:
        with pytest.raises(ConditionFailed) as lost:
            await stores.guard.write(ConditionalWrite(KEY, condition, {"head": 9}))
        assert lost.value.item == ITEM, condition
    with pytest.raises(ConditionFailed) as lost:
        await stores.guard.write(ConditionalWrite("alice/nothing", (Clause("epoch", "=", 1),), {"head": 9}))
    assert lost.value.item is None
    assert await stores.guard.read(KEY) == ITEM
    for condition in HOLDS:
        assert await stores.guard.write(ConditionalWrite(KEY, condition, {"seen": 1})) == {**ITEM, "seen": 1}


async def check_item_races(stores: Stores) -> None:
    """Of many that want the same, one wins, and no change gets lost."""
    await made(stores)

    async def take(name: str) -> bool:
        try:
            await stores.guard.write(
                ConditionalWrite(KEY, (Clause("epoch", "=", 3),), {"acquire_id": name}, add={"epoch": 1})
            )
        except ConditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(take(f"racer-{number}") for number in range(12)))) == 1
    counts = (
        stores.guard.write(ConditionalWrite(KEY, (Clause("session_key", "=", KEY),), {"seen": 1}, add={"beat": 1}))
        for _ in range(12)
    )
    await asyncio.gather(*counts)
    item = await stores.guard.read(KEY)
    assert item is not None
    assert (item["epoch"], item["beat"]) == (4, 12)


async def check_objects(stores: Stores) -> None:
    """Objects are there whole, in order, until they are deleted; deleting what is not there is no error."""
    objects, bodies = stores.objects, {f"k/{number}.json": bytes([number]) * 300 for number in range(12)}
    for key, body in bodies.items():
        await objects.put(key, body)
    await objects.put("k/0.json", b"second version")
    bodies["k/9.json"] = gzip.compress(b'{"a": "page"}')
    await objects.put("k/9.json", bodies["k/9.json"])

    assert (await objects.get("k/0.json")).body == b"second version"
    for key in ("k/11.json", "k/9.json"):
        assert (await objects.get(key)).body == bodies[key]
    assert await objects.list("k/") == sorted(bodies)
    assert await objects.list("k/1") == ["k/1.json", "k/10.json", "k/11.json"]
    await objects.delete([*sorted(bodies)[:11], "k/never.json"])
    assert await objects.list("k/") == sorted(bodies)[11:]
    for key in ("k/0.json", "never"):
        with pytest.raises(ObjectMissing):
            await objects.get(key)


async def check_preconditions(stores: Stores) -> None:
    """``if_absent`` and ``if_match`` decide."""
    objects = stores.objects
    await objects.put("page", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed):
        await objects.put("page", b"again", if_absent=True)
    first = await objects.get("page")
    assert first.body == b"first"
    await objects.put("page", b"second", if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        await objects.put("page", b"late", if_match=first.etag)
    assert (await objects.get("page")).body == b"second"
    with pytest.raises((PreconditionFailed, ObjectMissing)):
        await objects.put("never", b"", if_match=first.etag)


async def check_object_races(stores: Stores) -> None:
    """Of many that create or replace the same object, one wins."""
    objects = stores.objects

    async def put(body: bytes, **condition: bool | str) -> bool:
        try:
            await objects.put("page", body, **condition)  # type: ignore[arg-type]
        except PreconditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(put(b"%d" % number, if_absent=True) for number in range(12)))) == 1
    etag = (await objects.get("page")).etag
    assert sum(await asyncio.gather(*(put(b"new %d" % number, if_match=etag) for number in range(12)))) == 1


RACES = [check_item_races, check_object_races]

CHECKS = [check_items, check_time, check_changes, check_conditions, check_objects, check_preconditions, *RACES]
