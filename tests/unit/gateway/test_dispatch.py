"""A frame on its way to the holder: its route, its connection, and what a refusal means."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.dispatch import FrameOrigin
from segue.lease.item import SCHEMA
from segue.wire.delivery import encode_refusal
from segue.wire.frames import Bye, error_frame
from shared.connections import Binding
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS
from shared.ingress.outcomes import Accepted, Gone, Refused, outcome_of
from shared.ingress.routes import Route, Routes
from tests.unit.gateway.dispatching import FOR_LONG, HELLO, KEY, LEAVING, MOVED, PLAIN, TEXT


@pytest.fixture
def reads(gateway, monkeypatch):
    """Record of the reads of the lease."""
    counted = []
    read = Routes.read
    monkeypatch.setattr(Routes, "read", lambda self, key: counted.append(key) or read(self, key))
    return counted


# --- the holder answers


@pytest.mark.slow
def test_the_route_is_read_once_and_remembered(gateway, worker, deliver, reads):
    gateway.hold(KEY, worker)
    for _ in range(3):
        assert deliver() is None
    assert len(worker.deliveries) == 3
    assert len(reads) == 1
    assert gateway.claims() == []


def test_a_holder_of_a_newer_version_is_routed_to(gateway, worker, deliver):
    """Workers are deployed before this function: of their items it reads the route and nothing else."""
    newer = {"schema": {"N": str(SCHEMA + 1)}, "tail": {"M": {"anything": {"NULL": True}}}, "unknown": {"L": []}}
    gateway.hold(KEY, worker, **newer)
    assert deliver() is None
    assert len(worker.deliveries) == 1
    assert gateway.claims() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, encode_refusal("beyond_window", "secret detail"), "beyond_window"),
        (400, encode_refusal("made_up"), "bad_frame"),
        (400, b"<html>stack trace</html>", "bad_frame"),
        (429, encode_refusal("busy"), "busy"),
        (500, b"Traceback", "internal"),
        (200, b"", "internal"),
        (302, b"", "internal"),
    ],
)
def test_a_holders_refusal_becomes_an_error_frame_of_the_protocol(gateway, worker, deliver, status, body, code):
    gateway.hold(KEY, worker)
    worker.answers = [(status, body)]
    assert deliver() == error_frame(code)
    assert gateway.claims() == []


def test_a_workers_answer_becomes_an_outcome():
    assert outcome_of(202, b"") == Accepted()
    assert outcome_of(403, b"") == Gone("unreachable")
    assert outcome_of(410, b"") == outcome_of(*MOVED) == Gone("handoff")
    assert outcome_of(*LEAVING) == Gone("handoff", to_successor=True)
    assert outcome_of(429, b"") == Refused("busy")
    assert outcome_of(429, b'{"error":"too_fast"}') == Refused("too_fast")
    assert outcome_of(429, b'{"error":"the worker\'s own words"}') == Refused("busy")


@pytest.mark.slow
def test_a_kept_connection_that_the_worker_has_closed_is_opened_again(gateway, worker, deliver):
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.answers = [(None, b"")]
    assert deliver() is None
    assert gateway.claims() == []
    assert len(worker.deliveries) == 2


@pytest.mark.slow
def test_a_flow_that_was_dropped_without_a_word_is_no_dead_holder(gateway, worker, deliver, monkeypatch):
    """The first connection brings nothing any more; a new one does, and the holder is not suspected."""
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.swallow = len(worker.connected)
    assert deliver() is None
    assert (worker.frames, len(worker.connected)) == ([TEXT, TEXT], 2)
    assert gateway.claims() == []


@pytest.mark.slow
@pytest.mark.parametrize("frame", [HELLO, PLAIN, Bye()], ids=lambda frame: type(frame).__name__)
def test_a_frame_without_a_number_is_sent_once_over_its_own_connection(gateway, worker, deliver, frame):
    gateway.hold(KEY, worker)
    assert deliver(TEXT) is None
    assert deliver(frame) is None
    assert deliver(frame) is None
    assert len(worker.connected) == 3
    worker.answers = [(None, b"")]
    posted = len(worker.requested)
    gateway.claiming.send = lambda *_: True
    gateway.clock.on_sleep = lambda: setattr(gateway.clock, "now", gateway.clock.now + HOLDER_WAIT_SECONDS)
    deliver(frame)
    assert len(worker.requested) == posted + 1


@pytest.mark.slow
def test_a_worker_that_hangs_up_twice_is_not_reachable(gateway, worker, deliver):
    gateway.hold(KEY, worker)
    worker.answers = [(None, b""), (None, b"")]
    assert deliver() is None
    assert gateway.claims()[0].reason == "unreachable"


@pytest.mark.slow
def test_an_endpoint_that_is_no_address_is_no_crash(gateway, deliver):
    gateway.hold(KEY, SimpleNamespace(endpoint="http://[nonsense", token="t"))
    assert deliver() is None
    assert gateway.claims()[0].reason == "unreachable"


# --- bounds


@pytest.mark.slow
def test_dispatch_of_a_warm_function_remembers_a_bounded_number_of_sessions(gateway, worker):
    outcome = Gone("unreachable")
    gateway.warm(post=lambda *_, **__: outcome)
    dispatch = gateway.dispatch
    remembering = (
        gateway.routes._remembered,
        dispatch._suspects._suspected_until,
        gateway.claiming._recent._last_claims,
        dispatch._handoffs._noted_at,
    )
    for remembered in remembering:
        remembered.most = 2
    for number in range(5):
        key = f"alice/{number}"
        gateway.hold(key, SimpleNamespace(endpoint=f"http://{number}", token="t"))
        assert gateway.routes.find(key)
        dispatch.deliver(FrameOrigin("c", "alice", FOR_LONG, Binding(key, str(number), "c", 1)), TEXT)
        gateway.routes.find(key)
    assert len(gateway.routes._remembered) == 2
    assert len(dispatch._suspects._suspected_until) == 2
    assert len(gateway.claiming._recent._last_claims) == 2
    outcome = Gone("handoff", to_successor=True)
    for number in range(5):
        dispatch.deliver(FrameOrigin("c", "alice", FOR_LONG, Binding(f"alice/{number}", str(number), "c", 1)), TEXT)
    assert len(dispatch._handoffs._noted_at) == 2


def test_a_route_keeps_its_secret():
    assert "hush" not in repr(Route("http://x", "hush"))
