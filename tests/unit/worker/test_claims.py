"""Outcome of each message in the claims queue."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from segue import SessionHeld, StorageUnavailable
from segue.wire.claims import Claim, decode_claim, encode_claim
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import FakeQueue, claim, turns
from worker.aws.claims_queue import ClaimsQueue
from worker.hosting.claims import ClaimTaker


class FakeHost:
    """Takes claims as told."""

    def __init__(self) -> None:
        self.room = 3
        self.taken: list[Claim] = []
        self.failure: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.room_changed = asyncio.Event()

    async def until_room(self) -> None:
        while not self.room:
            self.room_changed.clear()
            await self.room_changed.wait()

    async def open_session(self, taken: Claim) -> None:
        self.taken.append(taken)
        await self.go.wait()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def queue():
    return FakeQueue()


@pytest.fixture
def a_host():
    return FakeHost()


@pytest.fixture
async def taker(queue, a_host):
    made = ClaimTaker(queue, a_host, pause_seconds=0.001)
    made.start()
    yield made
    made.stop()
    a_host.go.set()
    await promptly(made.stopped(), 5)


async def test_a_claim_that_was_taken_is_deleted(taker, queue, a_host):
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: queue.deleted == ["r1"])
    assert a_host.taken == [claim("one")]


async def test_a_claim_is_not_deleted_before_it_was_taken(taker, queue, a_host):
    a_host.go.clear()
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: a_host.taken)
    await turns()
    assert queue.deleted == []
    a_host.go.set()
    await eventually(lambda: queue.deleted == ["r1"])


async def test_a_claim_for_a_session_with_another_holder_is_deleted(taker, queue, a_host):
    a_host.failure = SessionHeld("other", 3)
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: queue.deleted == ["r1"])


@pytest.mark.slow
@pytest.mark.parametrize("failure", [StorageUnavailable("down"), RuntimeError("the agent is broken")], ids=repr)
async def test_a_claim_that_could_not_be_taken_is_left(taker, queue, a_host, failure):
    a_host.failure = failure
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: a_host.taken)
    a_host.failure = None
    queue.add(encode_claim(claim("two")), "r2")
    await eventually(lambda: queue.deleted == ["r2"])
    assert queue.given_back == []


async def test_a_malformed_claim_is_left_for_the_dead_letter_queue(taker, queue, a_host):
    queue.add("not a claim", "bad")
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: queue.deleted == ["r1"])
    assert queue.given_back == []


async def test_claims_are_taken_only_when_there_is_room(queue, a_host):
    a_host.room = 0
    taker = ClaimTaker(queue, a_host)
    taker.start()
    await turns()
    assert queue.wanted == []
    a_host.room = 2
    a_host.room_changed.set()
    await eventually(lambda: queue.wanted == [2])
    taker.stop()
    await promptly(taker.stopped(), 5)


async def test_a_worker_without_room_can_leave(queue, a_host):
    a_host.room = 0
    taker = ClaimTaker(queue, a_host)
    taker.start()
    await asyncio.sleep(0)
    taker.stop()
    await promptly(taker.stopped(), 5)


async def test_a_claim_that_arrives_while_the_worker_stops_is_returned(taker, queue, a_host):
    await eventually(lambda: queue.wanted)
    taker.stop()
    queue.add(encode_claim(claim("one")))
    await promptly(taker.stopped(), 5)
    assert queue.given_back == ["r1"]
    assert a_host.taken == []


async def test_leaving_waits_for_what_is_being_taken(taker, queue, a_host):
    a_host.go.clear()
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: a_host.taken)
    taker.stop()
    stopped = asyncio.create_task(taker.stopped())
    await eventually(taker._polling.done)
    await turns()
    assert not stopped.done()
    a_host.go.set()
    await promptly(stopped, 5)
    assert queue.deleted == ["r1"]


async def test_a_queue_that_does_not_answer_is_asked_again(taker, queue, a_host):
    queue.failures = [EndpointConnectionError(endpoint_url="http://queue")] * 2
    queue.add(encode_claim(claim("one")))
    await eventually(lambda: queue.deleted == ["r1"])
    assert not queue.failures


async def test_the_sqs_queue_receives_deletes_and_returns_claims(aws: Any):
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="claims", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    queue = ClaimsQueue(sqs, url, poll_seconds=0)
    await queue.send(claim("one", reason="handoff"))
    (received,) = await queue.receive(40)
    assert decode_claim(received.body) == claim("one", reason="handoff")
    assert await queue.receive(1) == []
    await queue.give_back(received)
    (again,) = await queue.receive(1)
    await queue.delete(again)
    assert await queue.receive(1) == []
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
    queue.close()
