"""A frame without a holder: claims, and frames that wait for one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segue.wire.claims import ClientAddress
from segue.wire.frames import AudioInput, Bye, OutputAck, error_frame
from shared.connections import LIFETIME_SECONDS, MOST_CLIENTS, Binding
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS
from tests.support.steady_clock import steady
from tests.unit.gateway.dispatching import HELLO, KEY, MOVED, PLAIN

# --- without a holder


@pytest.mark.slow
@pytest.mark.parametrize("state", ["absent", "free", "tombstone", "no endpoint"])
def test_a_session_without_a_holder_is_claimed(gateway, worker, deliver, state):
    match state:
        case "free":
            gateway.free(KEY)
        case "tombstone":
            gateway.hold(KEY, worker, deleted={"BOOL": True})
        case "no endpoint":
            gateway.hold(KEY, worker, endpoint=None)
    assert deliver() is None
    (claim,) = gateway.claims()
    assert (claim.session_key, claim.session_id, claim.principal) == (KEY, "s", "alice")
    assert claim.reason == "no-holder"
    assert claim.clients == (ClientAddress(client_id="c", connection_id="c1", counter=1),)
    assert worker.deliveries == []
    assert gateway.clock.slept == [], "a frame with a number is not waited with"


@pytest.mark.parametrize("off", [0, -365 * 86_400, 365 * 86_400], ids=["no", "behind", "ahead"])
def test_a_holder_is_found_whatever_the_clock_says(gateway, worker, deliver, off):
    gateway.hold(KEY, worker, expires_at={"N": str(int(gateway.clock.now) - 1)})
    gateway.clock.now += off
    deliver()
    assert len(worker.deliveries) == 1
    assert gateway.claims() == []


def test_a_claim_names_every_client_of_the_session(gateway, deliver):
    gateway.connections.claim_client("c9", Binding(KEY, "s", "silent", 4))
    gateway.connections.claim_client("c0", Binding(KEY, "s", "c", 0))
    gateway.connections.claim_client("x1", Binding("alice/other", "other", "x", 1))
    deliver()
    (claim,) = gateway.claims()
    assert {(client.client_id, client.connection_id, client.counter) for client in claim.clients} == {
        ("c", "c1", 1),
        ("silent", "c9", 4),
    }


@pytest.mark.slow
def test_clients_that_are_long_gone_crowd_no_other_client_out_of_a_claim(gateway, deliver):
    """DynamoDB deletes what has expired days late, and a query still finds it."""
    connections = gateway.connections
    for number in range(40):
        connections.claim_client(f"gone{number}", Binding(KEY, "s", f"a{number:02}", 1))
    gateway.clock.now += LIFETIME_SECONDS
    connections.claim_client("k", Binding(KEY, "s", "zoe", 1))
    deliver()
    (claim,) = gateway.claims()
    assert {client.client_id for client in claim.clients} == {"c", "zoe"}


@pytest.mark.slow
def test_a_claim_names_the_clients_that_came_last(gateway):
    for number in range(40):
        gateway.connections.claim_client(f"k{number}", Binding(KEY, "s", f"c{40 - number:02}", 1))
        gateway.clock.now += 1
    named = {client.connection_id for client in gateway.connections.clients(KEY)}
    assert named == {f"k{number}" for number in range(40 - MOST_CLIENTS, 40)}


@pytest.mark.slow
def test_clients_read_for_a_claim_are_bounded_in_number(gateway, monkeypatch):
    monkeypatch.setattr("shared.connections.MOST_READ", 5)
    for number in range(40):
        gateway.connections.claim_client(f"k{number}", Binding(KEY, "s", f"c{number:02}", 1))
    assert len(gateway.connections.clients(KEY)) == 5


def test_a_newer_connection_of_the_client_is_the_one_that_is_claimed_for(gateway, deliver):
    gateway.connections.claim_client("c2", Binding(KEY, "s", "c", 2))
    deliver()
    assert gateway.claims()[0].clients == (ClientAddress(client_id="c", connection_id="c2", counter=2),)


def test_claims_of_one_session_are_seldom(gateway, deliver):
    for _ in range(5):
        deliver()
    assert len(gateway.claims()) == 1
    gateway.clock.now += 1.9
    deliver()
    assert gateway.claims() == []
    gateway.clock.now += 0.2
    deliver()
    assert len(gateway.claims()) == 1


def test_a_holder_that_came_since_the_last_claim_is_missed_at_once(gateway, refusing, deliver):
    """Two workers may die within a second: the second's session must not wait because of the first's claim."""
    gateway.hold(KEY, refusing, token="first")
    deliver()
    assert len(gateway.claims()) == 1
    gateway.hold(KEY, refusing, token="second", epoch=2)
    deliver()
    assert len(gateway.claims()) == 1
    deliver()
    assert gateway.claims() == []


def test_a_holder_that_came_since_the_last_claim_and_still_restores_is_not_claimed_over(
    gateway, refusing, worker, deliver
):
    gateway.hold(KEY, refusing)
    deliver()
    assert len(gateway.claims()) == 1
    gateway.hold(KEY, worker, epoch=2)
    worker.answers = [MOVED]
    deliver()
    assert gateway.claims() == []


@pytest.mark.parametrize("frame", [Bye(), OutputAck(epoch=1, seq=1)], ids=lambda frame: type(frame).__name__)
def test_a_frame_without_effect_makes_no_claim(gateway, deliver, frame):
    assert deliver(frame) is None
    assert gateway.claims() == []


@pytest.mark.slow
@pytest.mark.parametrize("frame", [HELLO, PLAIN, AudioInput.from_pcm(b"\0\0")], ids=lambda frame: type(frame).__name__)
def test_hello_and_frames_without_a_number_wait_for_a_holder(gateway, worker, deliver, frame):
    gateway.clock.on_sleep = lambda: gateway.hold(KEY, worker) if len(gateway.clock.slept) == 3 else None
    assert deliver(frame) is None
    assert worker.frames == [frame]
    assert len(gateway.claims()) == 1
    assert len(gateway.clock.slept) == 3


def test_a_wait_for_a_holder_ends_with_no_worker(gateway, deliver):
    start = gateway.clock.now
    assert deliver(PLAIN) == error_frame("no_worker")
    assert HOLDER_WAIT_SECONDS <= gateway.clock.now - start < HOLDER_WAIT_SECONDS + 0.5
    assert 5 < len(gateway.clock.slept) < 20


def test_waiting_goes_on_when_the_new_holder_passes_the_session_on(gateway, worker, other_worker, deliver):
    worker.answers = [MOVED]

    def acquire():
        if len(gateway.clock.slept) == 1:
            gateway.hold(KEY, worker)
        if len(gateway.clock.slept) == 3:
            gateway.hold(KEY, other_worker, epoch=2)

    worker.answers = [MOVED, MOVED, MOVED]
    gateway.clock.on_sleep = acquire
    assert deliver(PLAIN) is None
    assert other_worker.frames == [PLAIN]
    assert worker.frames == []


@pytest.mark.slow
def test_a_holder_that_was_still_restoring_is_asked_again(gateway, worker, deliver):
    gateway.hold(KEY, worker)
    worker.answers = [MOVED, MOVED]
    assert deliver(HELLO) is None
    assert worker.frames == [HELLO]


# --- the holder does not answer


@pytest.mark.slow
def test_a_refused_connection_makes_a_claim_at_once(gateway, refusing, deliver):
    gateway.hold(KEY, refusing)
    started = steady().now()
    assert deliver() is None
    assert steady().now() - started < 1.0
    (claim,) = gateway.claims()
    assert claim.reason == "unreachable"


def test_a_waiting_frame_goes_to_the_one_that_takes_over(gateway, refusing, worker, deliver):
    gateway.hold(KEY, refusing)
    gateway.clock.on_sleep = lambda: gateway.hold(KEY, worker, epoch=2) if len(gateway.clock.slept) == 2 else None
    assert deliver(PLAIN) is None
    assert worker.frames == [PLAIN]


@pytest.mark.slow
def test_a_new_holder_that_is_dead_as_well_is_claimed_over_while_a_frame_waits(gateway, refusing, worker, deliver):
    dead_too = SimpleNamespace(endpoint=refusing.endpoint, token="another")
    gateway.hold(KEY, refusing)
    waiting, claimed = [], []

    def pass_on():
        waiting.append(gateway.clock.slept[-1])
        if len(waiting) == 2:
            gateway.hold(KEY, dead_too, epoch=2)
        claimed.extend(gateway.claims())
        if len(claimed) == 2:
            gateway.hold(KEY, worker, epoch=3)

    gateway.clock.on_sleep = pass_on
    assert deliver(HELLO) is None, "the frame found a holder, so no_worker is not told"
    assert [claim.reason for claim in claimed] == ["unreachable", "unreachable"]
    assert worker.frames == [HELLO]
    assert gateway.claims() == []
