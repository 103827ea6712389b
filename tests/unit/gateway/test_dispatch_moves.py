"""A frame whose session moves, or is handed over, while it is on its way."""

from __future__ import annotations

import pytest

from segue.wire.frames import error_frame
from shared.ingress.handoffs import HANDOVER_SECONDS
from tests.unit.gateway.dispatching import HELLO, KEY, LEAVING, MOVED, PLAIN, TEXT

# --- the session has moved


@pytest.mark.slow
@pytest.mark.parametrize("how", ["moved", "token", "refused"])
def test_a_frame_follows_the_session_to_its_new_holder(gateway, worker, other_worker, deliver, how):
    gateway.hold(KEY, worker)
    assert deliver() is None
    match how:
        case "moved":
            worker.answers = [MOVED]
        case "token":
            worker.token = "another session's"
        case "refused":
            worker.stop()
    gateway.hold(KEY, other_worker, epoch=2)
    assert deliver() is None
    assert deliver() is None
    assert other_worker.frames == [TEXT, TEXT]
    assert gateway.claims() == []


def test_two_moves_in_a_row_end_in_a_claim(gateway, worker, other_worker, deliver):
    gateway.hold(KEY, worker)
    deliver()
    worker.answers = [MOVED]
    gateway.hold(KEY, other_worker, epoch=2)
    other_worker.answers = [MOVED]
    assert deliver() is None
    (claim,) = gateway.claims()
    assert claim.reason == "handoff"
    assert deliver() is None
    assert other_worker.frames == [TEXT]


# --- the session is handed over, and its successor is ready


@pytest.mark.slow
@pytest.mark.parametrize("released", [True, False], ids=["released", "still held"])
def test_a_session_that_is_handed_over_is_left_to_its_successor_for_a_while(
    gateway, worker, other_worker, deliver, released
):
    gateway.hold(KEY, worker)
    assert deliver() is None
    gateway.register(other_worker, "w2")
    worker.answers = [LEAVING] * 9
    if released:
        gateway.free(KEY)
    for _ in range(3):
        assert deliver() is None
    gateway.clock.now += HANDOVER_SECONDS - 0.1
    assert deliver() is None
    assert other_worker.claims == [], "no claim overtakes the handoff"
    gateway.clock.now += 0.2
    assert deliver() is None
    assert len(other_worker.claims) == 1, "a successor that does not come is not waited for"


@pytest.mark.parametrize("frame", [HELLO, PLAIN], ids=lambda frame: type(frame).__name__)
def test_a_frame_that_waits_is_given_to_the_successor(gateway, worker, other_worker, deliver, frame):
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.answers = [LEAVING]
    gateway.free(KEY)
    gateway.clock.on_sleep = lambda: gateway.hold(KEY, other_worker, epoch=2)
    assert deliver(frame) is None
    assert other_worker.frames == [frame]
    assert gateway.claims() == []


@pytest.mark.slow
@pytest.mark.parametrize("released", [True, False], ids=["released", "still held"])
def test_a_frame_that_waits_claims_a_session_whose_successor_does_not_come(gateway, worker, deliver, released):
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.answers = [LEAVING] * 99
    if released:
        gateway.free(KEY)
    started, claimed = gateway.clock.now, []
    gateway.clock.on_sleep = lambda: claimed.extend(gateway.clock.now - started for _ in gateway.claims())
    assert deliver(HELLO) == error_frame("no_worker")
    claimed.extend(gateway.clock.now - started for _ in gateway.claims())
    assert len(claimed) == 1
    assert claimed[0] > HANDOVER_SECONDS


def test_a_session_that_only_ended_is_claimed_at_once(gateway, worker, deliver):
    """Its client comes back after a while, and this function remembers where it was."""
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.answers = [MOVED]
    gateway.free(KEY)
    assert deliver() is None
    assert len(gateway.claims()) == 1


def test_a_second_handoff_a_minute_later_waits_for_its_own_successor(gateway, worker, deliver):
    gateway.hold(KEY, worker)
    worker.answers = [LEAVING]
    assert deliver() is None
    gateway.clock.now += 60
    worker.answers = [LEAVING]
    assert deliver() is None
    assert gateway.claims() == []


def test_a_predecessor_that_dies_while_it_hands_over_is_claimed_over(gateway, refusing, worker, deliver):
    gateway.hold(KEY, worker)
    worker.answers = [LEAVING]
    assert deliver() is None
    gateway.hold(KEY, refusing)
    assert deliver() is None
    worker.stop()
    assert deliver() is None
    assert [claim.reason for claim in gateway.claims()] == ["unreachable"]
