"""A session without a holder: the best worker is asked, then the next, then the queue."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from gateway import claims
from gateway.workers import Workers
from segue.wire.frames import Hello, encode_frame
from shared.ingress.recent_claims import QUIET_SECONDS
from shared.registered_worker import FRESH_SECONDS
from tests.support.steady_clock import steady
from tests.unit.gateway.stand_ins import Worker


@pytest.fixture
def workers():
    started = [Worker(token=f"w{number}") for number in range(3)]
    yield started
    for worker in started:
        worker.stop()


@pytest.fixture
def claim(gateway, monkeypatch):
    """Say hello to a session without a holder; no need to wait for one."""
    monkeypatch.setattr("gateway.dispatch.HOLDER_WAIT_SECONDS", 0.0)

    def send(session="s", connection_id="c1"):
        gateway.open(connection_id, "alice")
        frame = Hello(session=session, client_id="c", connection=1)
        return gateway.router.receive(connection_id, encode_frame(frame))

    return send


def test_the_newest_version_is_asked_first_then_the_most_room(gateway, aws, clock, workers):
    for number, (version, room) in enumerate([("1", 9), ("2", 1), ("2", 5)]):
        gateway.register(workers[number], f"w{number}", version={"S": version}, room={"N": str(room)})
    found = Workers(aws.dynamodb, "connections", wall_clock=clock).with_room()
    assert [worker.worker_id for worker in found] == ["w2", "w1", "w0"]
    assert "claims of" not in repr(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"room": {"N": "0"}}, {"claims_token": None}, {"expires_at": {"N": "1000"}}],
    ids=["full", "takes no claims", "gone for long"],
)
def test_full_expired_and_claimless_workers_are_not_asked(gateway, worker, claim, changes):
    gateway.register(worker, "w0", **changes)
    claim()
    assert worker.claims == []
    assert len(gateway.claims()) == 1


@pytest.mark.slow
def test_the_best_worker_takes_the_claim_and_the_queue_gets_none(gateway, workers, claim):
    gateway.register(workers[0], "w0", version={"S": "1"})
    gateway.register(workers[1], "w1", version={"S": "2"})
    claim()
    (taken,) = workers[1].claims
    assert (taken.session_key, taken.session_id, taken.principal) == ("alice/s", "s", "alice")
    assert taken.reason == "no-holder"
    assert [(each.client_id, each.connection_id, each.counter) for each in taken.clients] == [("c", "c1", 1)]
    assert workers[0].claims == []
    assert gateway.claims() == []


@pytest.mark.slow
@pytest.mark.parametrize("status", [409, 403, 500, 307])
def test_the_next_worker_is_asked_after_a_refusal(gateway, workers, claim, status):
    gateway.register(workers[0], "w0", room={"N": "2"})
    gateway.register(workers[1], "w1")
    workers[0].answers = [(status, b"")]
    claim()
    assert len(workers[1].claims) == 1
    assert gateway.claims() == []


def test_a_wrong_token_is_refused_by_the_worker(gateway, worker, claim):
    gateway.register(worker, "w0", claims_token={"S": "of an earlier process"})
    claim()
    assert worker.claims == []
    assert len(gateway.claims()) == 1


@pytest.mark.slow
def test_a_claim_that_two_workers_refuse_is_queued(gateway, workers, claim):
    for number, worker in enumerate(workers):
        gateway.register(worker, f"w{number}", room={"N": str(9 - number)})
    workers[0].answers = workers[1].answers = [(409, b"")] * 2
    claim()
    assert workers[2].claims == []
    (queued,) = gateway.claims()
    assert queued.session_key == "alice/s"


def test_a_dead_worker_costs_a_refused_connection(gateway, workers, claim):
    gateway.register(workers[0], "w0", room={"N": "2"})
    gateway.register(workers[1], "w1")
    workers[0].stop()
    claim()
    assert len(workers[1].claims) == 1


@pytest.mark.slow
def test_dead_workers_do_not_count_as_refusals_within_the_search_time(gateway, worker, claim, monkeypatch):
    """A zone that was lost leaves more in the registry than may refuse."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        dead = SimpleNamespace(endpoint=f"http://127.0.0.1:{bound.getsockname()[1]}", claims_token="t")
        for number in range(5):
            gateway.register(dead, f"dead{number}", room={"N": "40"})
        gateway.register(worker, "w0")
        claim()
        assert len(worker.claims) == 1
        monkeypatch.setattr(claims, "SEARCH_SECONDS", 0.0)
        gateway.warm()
        claim("other")
    assert len(worker.claims) == 1
    assert [queued.session_key for queued in gateway.claims()] == ["alice/other"]


@pytest.mark.slow
def test_workers_that_missed_their_last_beats_are_asked_last(gateway, workers, claim, clock):
    """The room of the dead stays what it was, so they would be the first."""
    gateway.register(workers[0], "w0", room={"N": "9"}, seen_at={"N": str(clock.now - FRESH_SECONDS)})
    gateway.register(workers[1], "w1", room={"N": "8"}, seen_at=None)
    gateway.register(workers[2], "w2")
    claim()
    assert [len(worker.claims) for worker in workers] == [0, 0, 1]


@pytest.mark.slow
def test_a_hung_worker_costs_its_time_out(gateway, worker, claim, monkeypatch):
    monkeypatch.setattr(claims, "ANSWER_SECONDS", 0.1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        gateway.register(SimpleNamespace(endpoint=endpoint, claims_token="t"), "w0", room={"N": "2"})
        gateway.register(worker, "w1")
        gateway.warm()
        started = steady().now()
        claim()
    assert len(worker.claims) == 1
    assert steady().now() - started < 5


def test_the_worker_that_has_just_failed_the_session_is_not_asked(gateway, workers, claim):
    gateway.register(workers[0], "w0", room={"N": "9"})
    gateway.register(workers[1], "w1")
    gateway.hold("alice/s", workers[0], token="another one by now", expires_at={"N": "9999999999"})
    claim()
    assert workers[0].claims == []
    (taken,) = workers[1].claims
    assert taken.reason == "unreachable"


@pytest.mark.slow
def test_a_session_is_claimed_once_in_a_while(gateway, worker, claim, clock):
    gateway.register(worker, "w0", expires_at={"N": "9999999999"})
    claim()
    claim()
    assert len(worker.claims) == 1
    clock.now += QUIET_SECONDS
    claim()
    assert len(worker.claims) == 2


@pytest.mark.slow
def test_the_secret_is_not_logged(gateway, worker, claim, log):
    gateway.register(worker, "w0", claims_token={"S": "the-secret"})
    claim()
    assert "claim refused" in log.getvalue()
    assert "the-secret" not in log.getvalue()
