"""Dispatch from frame to holder: with a remembered route, with one that has moved, and with none."""

import socket
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from gateway.dispatch import FrameOrigin
from gateway.handovers import HANDOVER_SECONDS
from gateway.post import HttpPost
from segue.lease.item import SCHEMA
from segue.wire.claims import ClientAddress
from segue.wire.delivery import HANDED_OVER, encode_refusal
from segue.wire.frames import AudioInput, Bye, Hello, OutputAck, TextInput, error_frame
from shared.connections import LIFETIME_SECONDS, MOST_CLIENTS, Binding
from shared.ingress.frame_needs import HOLDER_WAIT_SECONDS
from shared.ingress.outcomes import Accepted, Gone, Refused, outcome_of
from shared.ingress.routes import Route, Routes
from shared.ingress.suspects import SUSPECT_SECONDS
from tests.support.steady_clock import steady

FOR_LONG = 10**10
KEY = "alice/s"
SENDER = FrameOrigin("c1", "alice", FOR_LONG, Binding(KEY, "s", "c", 1))
HELLO = Hello(session="s", client_id="c", connection=1)
TEXT = TextInput(text="hi", seq=1)
PLAIN = TextInput(text="hi")
MOVED = (410, encode_refusal("moved"))
LEAVING = (410, encode_refusal(HANDED_OVER))


@pytest.fixture
def deliver(gateway):
    return lambda frame=TEXT: gateway.router._dispatch.deliver(SENDER, frame)


@pytest.fixture
def refusing():
    """An address without a listener: it refuses connections while the socket is bound and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield SimpleNamespace(endpoint=f"http://127.0.0.1:{bound.getsockname()[1]}", token="t")


@pytest.fixture
def hung():
    """An address that takes connections and never answers, as a stopped process does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield SimpleNamespace(endpoint=f"http://127.0.0.1:{listening.getsockname()[1]}", token="t")


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
def test_what_the_holder_refuses_is_told_in_the_protocols_own_words(gateway, worker, deliver, status, body, code):
    gateway.hold(KEY, worker)
    worker.answers = [(status, body)]
    assert deliver() == error_frame(code)
    assert gateway.claims() == []


def test_outcomes():
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


def test_a_flow_that_was_dropped_without_a_word_is_no_dead_holder(gateway, worker, deliver, monkeypatch):
    """The first connection brings nothing any more; a new one does, and the holder is not suspected."""
    gateway.hold(KEY, worker)
    assert deliver() is None
    worker.swallow = len(worker.connected)
    assert deliver() is None
    assert (worker.frames, len(worker.connected)) == ([TEXT, TEXT], 2)
    assert gateway.claims() == []


@pytest.mark.parametrize("frame", [HELLO, PLAIN, Bye()], ids=lambda frame: type(frame).__name__)
def test_what_has_no_number_is_sent_once_over_a_connection_of_its_own(gateway, worker, deliver, frame):
    gateway.hold(KEY, worker)
    assert deliver(TEXT) is None
    assert deliver(frame) is None
    assert deliver(frame) is None
    assert len(worker.connected) == 3
    worker.answers = [(None, b"")]
    posted = len(worker.requested)
    gateway.router._dispatch._claims.send = lambda *_: True
    gateway.clock.on_sleep = lambda: setattr(gateway.clock, "now", gateway.clock.now + HOLDER_WAIT_SECONDS)
    deliver(frame)
    assert len(worker.requested) == posted + 1


@pytest.mark.slow
def test_a_worker_that_hangs_up_twice_is_not_reachable(gateway, worker, deliver):
    gateway.hold(KEY, worker)
    worker.answers = [(None, b""), (None, b"")]
    assert deliver() is None
    assert gateway.claims()[0].reason == "unreachable"


# --- the session has moved


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


def test_a_later_handoff_is_another_one(gateway, worker, deliver):
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


# --- without a holder


@pytest.mark.parametrize("state", ["absent", "free", "tombstone", "no endpoint"])
def test_no_holder_makes_a_claim(gateway, worker, deliver, state):
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
def test_how_much_is_read_for_a_claim_is_bounded(gateway, monkeypatch):
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


@pytest.mark.parametrize("frame", [Bye(), OutputAck(epoch=1, seq=1)])
def test_a_frame_without_effect_makes_no_claim(gateway, deliver, frame):
    assert deliver(frame) is None
    assert gateway.claims() == []


@pytest.mark.parametrize("frame", [HELLO, PLAIN, AudioInput.from_pcm(b"\0\0")], ids=lambda frame: type(frame).__name__)
def test_hello_and_frames_without_a_number_wait_for_a_holder(gateway, worker, deliver, frame):
    gateway.clock.on_sleep = lambda: gateway.hold(KEY, worker) if len(gateway.clock.slept) == 3 else None
    assert deliver(frame) is None
    assert worker.frames == [frame]
    assert len(gateway.claims()) == 1
    assert len(gateway.clock.slept) == 3


def test_waiting_ends(gateway, deliver):
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
    assert deliver(HELLO) is None, "no no_worker"
    assert [claim.reason for claim in claimed] == ["unreachable", "unreachable"]
    assert worker.frames == [HELLO]
    assert gateway.claims() == []


@pytest.fixture
def quick_search(gateway, monkeypatch):
    """The search for another holder begins soon, so that its test does."""
    monkeypatch.setattr("gateway.post.SEARCH_AFTER_SECONDS", 0.05)


@pytest.fixture
def slow(worker, other_worker, monkeypatch):
    """A holder that answers a frame only once another worker was asked to take over."""
    take = worker.take

    def take_late(*request):
        assert other_worker.claimed.wait(30)
        return take(*request)

    monkeypatch.setattr(worker, "take", take_late)
    return worker


@pytest.mark.parametrize("frame", [TEXT, PLAIN, HELLO], ids=["numbered", "plain", "hello"])
def test_another_holder_is_looked_for_beside_a_post_that_waits(
    gateway, slow, other_worker, deliver, quick_search, frame
):
    gateway.hold(KEY, slow)
    gateway.register(other_worker, "w2")
    assert deliver(frame) is None
    assert slow.frames == [frame], "its answer counts after all"
    (claim,) = other_worker.claims
    assert (claim.reason, claim.session_key) == ("unreachable", KEY)
    assert other_worker.frames == [], "nothing is sent twice"
    assert deliver(TEXT) is None
    assert slow.frames == [frame, TEXT], "nor is a holder suspected that has answered"


@pytest.mark.parametrize("frame", [TEXT, PLAIN, HELLO], ids=["numbered", "plain", "hello"])
@pytest.mark.usefixtures("quick_search")
def test_a_holder_that_was_found_beside_the_post_gets_the_frame_once_that_has_ended(
    gateway, hung, other_worker, deliver, monkeypatch, frame
):
    monkeypatch.setattr("gateway.post.READ_SECONDS", 0.2)
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


@pytest.mark.parametrize("frame", [Bye(), OutputAck(epoch=1, seq=1)], ids=lambda frame: type(frame).__name__)
def test_no_holder_is_looked_for_that_a_frame_does_not_need(gateway, hung, deliver, quick_search, monkeypatch, frame):
    monkeypatch.setattr("gateway.post.READ_SECONDS", 0.1)
    gateway.hold(KEY, hung)
    assert deliver(frame) is None
    assert gateway.claims() == []


def test_a_claim_that_fails_beside_the_post_is_sent_after_it(gateway, hung, deliver, quick_search, monkeypatch):
    monkeypatch.setattr("gateway.post.READ_SECONDS", 0.1)
    claims, tried = gateway.router._dispatch._claims, []

    def fail_once(*claim):
        tried.append(claim)
        if len(tried) == 1:
            raise EndpointConnectionError(endpoint_url="http://sqs")

    monkeypatch.setattr(claims, "send", fail_once)
    gateway.hold(KEY, hung)
    assert deliver() is None
    assert len(tried) == 2


@pytest.mark.slow
def test_a_hung_holder_costs_one_time_out_and_then_none(gateway, hung, deliver, monkeypatch):
    tried = []
    gateway.router._dispatch._post = HttpPost()
    monkeypatch.setattr("gateway.post.READ_SECONDS", 0.1)
    send = HttpPost._send
    monkeypatch.setattr(HttpPost, "_send", lambda self, *args: tried.append(1) or send(self, *args))
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


@pytest.mark.slow
def test_an_endpoint_that_is_no_address_is_no_crash(gateway, deliver):
    gateway.hold(KEY, SimpleNamespace(endpoint="http://[nonsense", token="t"))
    assert deliver() is None
    assert gateway.claims()[0].reason == "unreachable"


# --- bounds


@pytest.mark.slow
def test_what_a_warm_function_remembers_is_bounded(gateway, worker):
    dispatch = gateway.router._dispatch
    remembering = (
        gateway.routes._remembered,
        dispatch._suspects._until,
        dispatch._claims._sent,
        dispatch._handovers._since,
    )
    for remembered in remembering:
        remembered.most = 2
    dispatch._post = lambda route, body, repeatable, search: Gone("unreachable")
    for number in range(5):
        key = f"alice/{number}"
        gateway.hold(key, SimpleNamespace(endpoint=f"http://{number}", token="t"))
        assert gateway.routes.find(key)
        dispatch.deliver(FrameOrigin("c", "alice", FOR_LONG, Binding(key, str(number), "c", 1)), TEXT)
        gateway.routes.find(key)
    assert len(gateway.routes._remembered) == 2
    assert len(dispatch._suspects._until) == 2
    assert len(dispatch._claims._sent) == 2
    dispatch._post = lambda route, body, repeatable, search: Gone("handoff", to_successor=True)
    for number in range(5):
        dispatch.deliver(FrameOrigin("c", "alice", FOR_LONG, Binding(f"alice/{number}", str(number), "c", 1)), TEXT)
    assert len(dispatch._handovers._since) == 2


def test_a_route_keeps_its_secret():
    assert "hush" not in repr(Route("http://x", "hush"))
