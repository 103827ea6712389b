"""The registry item, in moto."""

from __future__ import annotations

import time

from segue.testing import ManualClock
from shared.registered_worker import FRESH_SECONDS, RegisteredWorker
from worker.hosting.registry import FORGET_SECONDS, Notes, Registry


def items(dynamodb):
    return dynamodb.scan(TableName="connections")["Items"]


async def test_the_item_says_who_is_there_and_beats(dynamodb):
    registry = Registry(dynamodb, "connections", "w1", "2024-05-01", host="arn:aws:ecs:eu-west-1:1:task/c/t")
    await registry.beat("http://10.0.0.7:8080", room=40, sessions=0)
    await registry.beat("http://10.0.0.7:8080", room=38, sessions=2)
    (item,) = items(dynamodb)
    expires_at = int(item.pop("expires_at")["N"])
    assert abs(expires_at - time.time() - FORGET_SECONDS) < 10
    assert abs(float(item.pop("seen_at")["N"]) - time.time()) < 10
    assert item == {
        "pk": {"S": "workers"},
        "sk": {"S": "w1"},
        "endpoint": {"S": "http://10.0.0.7:8080"},
        "claims_token": {"S": registry.claims_token},
        "host": {"S": "arn:aws:ecs:eu-west-1:1:task/c/t"},
        "version": {"S": "2024-05-01"},
        "room": {"N": "38"},
        "sessions": {"N": "2"},
        "beat": {"N": "2"},
    }


async def test_leaving_takes_only_the_own_item_away(dynamodb):
    one, other = Registry(dynamodb, "connections", "w1", "1"), Registry(dynamodb, "connections", "w2", "1")
    await one.beat("http://a", room=1, sessions=0)
    await other.beat("http://b", room=1, sessions=0)
    await one.remove()
    assert [item["sk"]["S"] for item in items(dynamodb)] == ["w2"]


async def test_leaving_without_a_table_does_no_harm(dynamodb):
    await Registry(dynamodb, "missing", "w1", "1").remove()


async def test_others_are_the_registered_workers_with_room(dynamodb):
    one, two, full = (Registry(dynamodb, "connections", name, "1") for name in ("w1", "w2", "w3"))
    await one.beat("http://a", room=1, sessions=0)
    await two.beat("http://b", room=5, sessions=0)
    await full.beat("http://c", room=0, sessions=40)
    assert await one.others() == [RegisteredWorker("w2", "http://b", two.claims_token, "1", 5)]
    assert one.claims_token != two.claims_token


async def test_a_worker_that_missed_its_last_beats_is_not_fresh(dynamodb):
    clock = ManualClock(int(time.time()))
    one, two = (Registry(dynamodb, "connections", name, "1", wall_clock=clock.wall) for name in ("w1", "w2"))
    await two.beat("http://b", room=5, sessions=0)
    for seconds, fresh in ((FRESH_SECONDS - 1, True), (1.0, False)):
        await clock.advance(seconds)
        assert [peer.fresh for peer in await one.others()] == [fresh]


async def test_a_worker_killed_long_ago_is_not_among_the_others(dynamodb):
    """DynamoDB deletes days after the TTL; newer versions that died would keep all who live from being asked."""
    clock = ManualClock(int(time.time()))
    one, two = (Registry(dynamodb, "connections", name, "1", wall_clock=clock.wall) for name in ("w1", "w2"))
    await two.beat("http://b", room=5, sessions=0)
    assert len(await one.others()) == 1
    await clock.advance(FORGET_SECONDS)
    assert await one.others() == []


async def test_held_sessions_are_noted_in_order_and_no_caller_waits(dynamodb):
    registry = Registry(dynamodb, "connections", "w1", "1")
    notes = Notes(registry)
    for _ in range(3):
        notes.note_held("p/talk")
        notes.note_left("p/talk")
    notes.note_held("p/other")
    await notes.written()
    (item,) = items(dynamodb)
    assert (item["pk"], item["sk"]) == ({"S": "holder/w1"}, {"S": "p/other"})
    assert int(item["expires_at"]["N"]) > time.time()


def test_repr_of_a_registered_worker_hides_its_token():
    assert "hush" not in repr(RegisteredWorker("w", "http://x", "hush", "1", 3))
