"""Sessions of a stopped task are offered to the other workers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from gateway.stopped import Stopped, StoppedEnvironment, dependencies, handler
from segue.wire.claims import ClientAddress, decode_claim
from shared.connections import Binding, ConnectionsTable
from worker.hosting.registry import Registry

TASK = "arn:aws:ecs:eu-west-1:111122223333:task/segue/0123456789abcdef"


@pytest.fixture
def world(aws, monkeypatch):
    environment = StoppedEnvironment("connections", aws.queue_url)
    world = SimpleNamespace(dynamodb=aws.dynamodb, sqs=aws.sqs, url=aws.queue_url)
    world.stopped = Stopped(world.dynamodb, world.sqs, environment)
    monkeypatch.setenv("SEGUE_CONNECTIONS_TABLE", "connections")
    monkeypatch.setenv("SEGUE_CLAIMS_QUEUE_URL", world.url)
    return world


async def holding(world, name, task, *sessions):
    registry = Registry(world.dynamodb, "connections", name, "1", host=task)
    await registry.beat("http://10.0.0.7:8080", room=3, sessions=len(sessions))
    for session_key in sessions:
        await registry.holds(session_key)
    return registry


def connected(world, session_key, connection_id="k1"):
    binding = Binding(session_key, session_key.partition("/")[2], "c1", 1)
    assert ConnectionsTable(world.dynamodb, "connections").claim_client(connection_id, binding)


def claims(world):
    found = []
    while messages := world.sqs.receive_message(QueueUrl=world.url, MaxNumberOfMessages=10).get("Messages"):
        found += [decode_claim(message["Body"]) for message in messages]
    return found


def left(world):
    items = world.dynamodb.scan(TableName="connections")["Items"]
    return sorted((item["pk"]["S"], item["sk"]["S"]) for item in items if not item["pk"]["S"].startswith(("c", "s")))


@pytest.mark.slow
async def test_each_session_with_clients_is_claimed_once_and_the_worker_forgotten(world):
    await holding(world, "w1", TASK, *(f"alice/s{number}" for number in range(13)), "alice/quiet")
    await holding(world, "w2", TASK + "0", "bob/other")
    for number in range(13):
        connected(world, f"alice/s{number}", f"k{number}")
    connected(world, "bob/other", "kb")
    assert world.stopped.offer_sessions(TASK) == 13
    found = claims(world)
    assert sorted(one.session_key for one in found) == sorted(f"alice/s{number}" for number in range(13))
    one = next(one for one in found if one.session_id == "s3")
    assert (one.principal, one.reason) == ("alice", "unreachable")
    assert one.clients == (ClientAddress(client_id="c1", connection_id="k3", counter=1),)
    assert left(world) == [("holder/w2", "bob/other"), ("workers", "w2")]
    assert world.stopped.offer_sessions(TASK) == 0


async def test_a_worker_that_drained_has_nothing_left_to_offer(world):
    registry = await holding(world, "w1", TASK, "alice/s")
    connected(world, "alice/s")
    await registry.holds_no_more("alice/s")
    await registry.remove()
    assert world.stopped.offer_sessions(TASK) == 0
    assert claims(world) == []


async def test_nothing_is_forgotten_before_the_claims_are_sent(world):
    await holding(world, "w1", TASK, "alice/s")
    connected(world, "alice/s")
    lost = Stopped(world.dynamodb, world.sqs, StoppedEnvironment("connections", world.url + "-gone"))
    with pytest.raises(ClientError):
        lost.offer_sessions(TASK)
    assert left(world) == [("holder/w1", "alice/s"), ("workers", "w1")]
    assert world.stopped.offer_sessions(TASK) == 1


@pytest.mark.slow
async def test_the_handler_reads_ecs_events(world):
    await holding(world, "w1", TASK, "alice/s")
    connected(world, "alice/s")
    dependencies.cache_clear()
    assert handler({"detail": {"taskArn": TASK, "lastStatus": "DEPROVISIONING"}}, None) == {"claims": 0}
    assert handler({"detail": {"taskArn": TASK, "lastStatus": "STOPPED"}}, None) == {"claims": 1}
    dependencies.cache_clear()
