"""A frame whose holder may be dead: the search beside the post, suspects, and what is remembered of them."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from gateway.post import HttpPost
from segue.wire.frames import Bye, OutputAck
from shared.ingress.suspects import SUSPECT_SECONDS
from tests.unit.gateway.conftest import NO_SEARCH_SECONDS
from tests.unit.gateway.dispatching import HELLO, KEY, PLAIN, TEXT


@pytest.fixture
def hung():
    """An address that takes connections and never answers, as a stopped process does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield SimpleNamespace(endpoint=f"http://127.0.0.1:{listening.getsockname()[1]}", token="t")


@pytest.fixture
def quick_search(gateway):
    """The search for another holder begins soon, so that its test does."""
    gateway.warm(post=HttpPost(search_after_seconds=0.05))


@pytest.fixture
def quick_end(gateway):
    """The same, and a holder counts as hung soon after."""
    gateway.warm(post=HttpPost(answer_seconds=0.1, search_after_seconds=0.05))


@pytest.fixture
def slow(worker, other_worker, monkeypatch):
    """A holder that answers a frame only once another worker was asked to take over."""
    take = worker.take

    def take_late(*request):
        assert other_worker.claimed.wait(30)
        return take(*request)

    monkeypatch.setattr(worker, "take", take_late)
    return worker


@pytest.mark.slow
@pytest.mark.parametrize("frame", [TEXT, PLAIN, HELLO], ids=["numbered", "plain", "hello"])
def test_another_holder_is_looked_for_beside_a_post_that_waits(
    gateway, slow, other_worker, deliver, quick_search, frame
):
    gateway.hold(KEY, slow)
    gateway.register(other_worker, "w2")
    assert deliver(frame) is None
    assert slow.frames == [frame], "the slow holder's answer counts after all"
    (claim,) = other_worker.claims
    assert (claim.reason, claim.session_key) == ("unreachable", KEY)
    assert other_worker.frames == [], "no frame is sent twice"
    assert deliver(TEXT) is None
    assert slow.frames == [frame, TEXT], "nor is a holder suspected that has answered"


@pytest.mark.slow
@pytest.mark.parametrize("frame", [TEXT, PLAIN, HELLO], ids=["numbered", "plain", "hello"])
def test_a_holder_that_was_found_beside_the_post_gets_the_frame_once_that_has_ended(
    gateway, hung, other_worker, deliver, monkeypatch, frame
):
    gateway.warm(post=HttpPost(answer_seconds=0.2, search_after_seconds=0.05))
    gateway.hold(KEY, hung)
    gateway.register(other_worker, "w2")
    take = other_worker.take

    def take_over(path, headers, body):
        answer = take(path, headers, body)
        gateway.hold(KEY, other_worker, epoch=2)
        return answer

    monkeypatch.setattr(other_worker, "take", take_over)
    assert deliver(frame) is None
    assert [claim.reason for claim in other_worker.claims] == ["unreachable"]
    assert other_worker.frames == [frame]
    assert gateway.clock.slept == []


@pytest.mark.slow
@pytest.mark.parametrize("frame", [Bye(), OutputAck(epoch=1, seq=1)], ids=lambda frame: type(frame).__name__)
def test_no_holder_is_looked_for_that_a_frame_does_not_need(gateway, hung, deliver, quick_end, frame):
    gateway.hold(KEY, hung)
    assert deliver(frame) is None
    assert gateway.claims() == []


def test_a_claim_that_fails_beside_the_post_is_sent_after_it(gateway, hung, deliver, quick_end, monkeypatch):
    tried = []

    def fail_once(*claim):
        tried.append(claim)
        if len(tried) == 1:
            raise EndpointConnectionError(endpoint_url="http://sqs")

    monkeypatch.setattr(gateway.claiming, "send", fail_once)
    gateway.hold(KEY, hung)
    assert deliver() is None
    assert len(tried) == 2


@pytest.mark.slow
def test_a_hung_holder_costs_one_time_out_and_then_none(gateway, hung, deliver):
    post, tried = HttpPost(answer_seconds=0.1, search_after_seconds=NO_SEARCH_SECONDS), []

    def counted(route, body, **options):
        tried.append(route)
        return post(route, body, **options)

    gateway.warm(post=counted)
    gateway.hold(KEY, hung)
    for _ in range(10):
        assert deliver() is None
    assert len(tried) == 1
    assert [claim.reason for claim in gateway.claims()] == ["unreachable"]
    gateway.clock.now += SUSPECT_SECONDS
    assert deliver() is None
    assert len(tried) == 2


def test_a_suspect_that_lost_the_lease_does_not_delay_its_successor(gateway, refusing, worker, deliver):
    gateway.hold(KEY, refusing)
    deliver()
    gateway.hold(KEY, worker, epoch=2)
    assert deliver() is None
    assert worker.frames == [TEXT]
