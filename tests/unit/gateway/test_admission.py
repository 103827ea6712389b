"""Limits of one principal: sessions, frames a second, and the end of its token."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.wire.frames import FrameError, Hello, Ping, Pong, TextInput, encode_frame, error_frame
from segue.wire.rate import FrameRate
from shared.connections import LIFETIME_SECONDS, Binding
from shared.ingress.admission import ATTEMPTS, CONNECTIONS_PER_SESSION, Admission, entered
from tests.unit.gateway.conftest import FRAMES_OF_A_PRINCIPAL, FRAMES_PER_SECOND, SESSIONS


def hello(session="s", client_id="c", connection=1):
    return Hello(session=session, client_id=client_id, connection=connection)


def bound(session, client_id="c", counter=1):
    return Binding(f"alice/{session}", session, client_id, counter)


@pytest.fixture
def say(gateway):
    return lambda frame, connection_id="c1": gateway.router.receive(connection_id, encode_frame(frame))


@pytest.fixture
def admission(aws, clock):
    return Admission(aws.dynamodb, "connections", most=SESSIONS, wall_clock=clock)


@pytest.fixture
def held(gateway, worker):
    for number in range(10):
        gateway.hold(f"alice/s{number}", worker, expires_at={"N": "9999999999"})
    gateway.hold("bob/s0", worker, expires_at={"N": "9999999999"})


def enter_all(gateway, say, count, principal="alice"):
    """A connection for each of so many sessions; what each hello was answered."""
    for number in range(count):
        gateway.open(f"{principal}{number}", principal)
    return [say(hello(f"s{number}", f"c{number}"), f"{principal}{number}") for number in range(count)]


@pytest.mark.slow
def test_a_principals_sessions_are_bounded(gateway, worker, say, held):
    answers = enter_all(gateway, say, SESSIONS + 2)
    refused = error_frame("too_many_sessions")
    assert refused.retryable
    assert answers == [None] * SESSIONS + [refused] * 2
    assert {delivery.session_key for delivery in worker.deliveries} == {f"alice/s{n}" for n in range(SESSIONS)}
    assert gateway.connections.find(f"alice{SESSIONS}").binding is None


@pytest.mark.slow
def test_another_principal_is_not_affected(gateway, say, held):
    enter_all(gateway, say, SESSIONS)
    assert enter_all(gateway, say, 1, "bob") == [None]


@pytest.mark.slow
def test_a_second_client_and_a_reconnect_are_no_new_session(gateway, say, held):
    enter_all(gateway, say, SESSIONS)
    gateway.open("again", "alice")
    assert say(hello("s0", "c0", connection=2), "again") is None
    gateway.open("second", "alice")
    assert say(hello("s1", "other"), "second") is None


@pytest.mark.slow
def test_a_session_that_ended_makes_room(gateway, say, held, admission):
    enter_all(gateway, say, SESSIONS)
    gateway.open("late", "alice")
    assert say(hello("s9"), "late") == error_frame("too_many_sessions")
    admission.remove_connection("alice", "alice0")
    assert say(hello("s9"), "late") is None


@pytest.mark.slow
def test_an_unnoticed_end_counts_until_the_connections_lifetime_is_over(gateway, clock, say, held):
    enter_all(gateway, say, SESSIONS)
    clock.now += LIFETIME_SECONDS - 1
    gateway.open("late", "alice")
    assert say(hello("s9"), "late") == error_frame("too_many_sessions")
    clock.now += 2
    assert say(hello("s9"), "late") is None


def test_connections_to_one_session_are_bounded_too(admission):
    codes = [
        admission.add_connection("alice", f"c{n}", bound("s", f"c{n}"))
        for n in range(SESSIONS * CONNECTIONS_PER_SESSION + 1)
    ]
    assert codes == [None] * (SESSIONS * CONNECTIONS_PER_SESSION) + ["too_many_sessions"]


def test_a_repeated_hello_writes_nothing(admission, aws):
    admission.add_connection("alice", "c", bound("s"))
    admission.add_connection("alice", "c", bound("s"))
    item = aws.dynamodb.get_item(
        TableName="connections", Key={"pk": {"S": "principal/alice"}, "sk": {"S": "sessions"}}
    )["Item"]
    assert item["revision"] == {"N": "1"}


@pytest.mark.slow
def test_leaving_twice_or_never_having_come_is_nothing(admission):
    admission.remove_connection("alice", "c")
    admission.add_connection("alice", "c", bound("s"))
    admission.remove_connection("alice", "c")
    admission.remove_connection("alice", "c")


class OneAtATime:
    """A client whose requests do not overlap, as DynamoDB's of one item do not: moto checks and writes in two steps."""

    def __init__(self, client):
        self._client, self._lock = client, threading.Lock()
        self.exceptions = client.exceptions

    def __getattr__(self, name):
        def request(**arguments):
            with self._lock:
                return getattr(self._client, name)(**arguments)

        return request


@pytest.mark.slow
def test_connections_that_come_at_the_same_time_are_all_counted(aws, clock):
    """Many read the same revision; each write is accepted for one of them."""
    start = threading.Barrier(8)
    dynamodb = OneAtATime(aws.dynamodb)
    codes = []

    def enter(number):
        admission = Admission(dynamodb, "connections", most=SESSIONS, wall_clock=clock)
        start.wait()
        code = "busy"
        while code == "busy":
            code = admission.add_connection("alice", f"c{number}", bound(f"s{number}"))
        codes.append(code)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes, key=str) == [None] * SESSIONS + ["too_many_sessions"] * (8 - SESSIONS)


def test_a_connection_that_loses_every_attempt_is_told_busy(admission, monkeypatch):
    tried = []
    monkeypatch.setattr(Admission, "_write", lambda *_: tried.append(1) and False)
    assert admission.add_connection("alice", "c", bound("s")) == "busy"
    assert len(tried) == ATTEMPTS


@pytest.mark.slow
def test_a_client_that_reconnects_is_counted_once_however_often(admission):
    """No end of any of its connections is told."""
    many = 2 * SESSIONS * CONNECTIONS_PER_SESSION
    codes = [admission.add_connection("alice", f"c{n}", bound("s", counter=n)) for n in range(1, many)]
    assert set(codes) == {None}


def test_an_older_connection_does_not_replace_a_newer_one():
    newer = entered({}, "new", bound("s", counter=2), 0, 1)
    assert set(entered(newer, "old", bound("s", counter=1), 0, 1)) == {"new", "old"}


names = st.sampled_from("abcdef")
steps = st.lists(st.tuples(names, names, names, st.integers(1, 3), st.integers(0, LIFETIME_SECONDS // 2)), max_size=40)


@pytest.mark.slow
@given(steps, st.integers(1, 4))
def test_sessions_never_exceed_the_limit_and_none_is_displaced(steps, most):
    entries, now = {}, 0
    for connection, session, client, counter, later in steps:
        now += later
        binding = bound(session, client, counter)
        after = entered(entries, connection, binding, now, most)
        if after is None:
            continue
        assert after[connection].endswith(f" {counter} {client} {session}")
        assert len({entry.split(" ")[3] for entry in after.values()}) <= most
        alive = {name for name, entry in entries.items() if int(entry.split(" ")[0]) > now}
        assert all(entries[name].endswith(f" {client} {session}") for name in alive - set(after))
        entries = after


# --- frames a second


def test_a_flood_is_answered_with_an_error_and_reaches_no_worker(gateway, worker, clock, say, held):
    gateway.open("c1", "alice")
    gateway.open("c2", "alice")
    say(hello("s0"))
    answers = [say(TextInput(text="hi", seq=n)) for n in range(1, 2 * FRAMES_PER_SECOND)]
    refused = error_frame("too_fast")
    assert refused.retryable
    assert answers == [None] * (FRAMES_PER_SECOND - 1) + [refused] * FRAMES_PER_SECOND
    assert len(worker.deliveries) == FRAMES_PER_SECOND
    assert say(hello("s1"), "c2") is None, "another connection"
    clock.now += 1 / FRAMES_PER_SECOND
    assert say(TextInput(text="hi", seq=1)) is None
    assert say(TextInput(text="hi", seq=2)) == refused


@pytest.mark.slow
def test_connections_of_one_principal_are_counted_together(gateway, worker, clock, say, held):
    for connection_id, principal in (("c1", "alice"), ("c2", "alice"), ("c3", "bob")):
        gateway.open(connection_id, principal)
        assert say(hello("s0", connection_id), connection_id) is None
    sent = [(seq, connection_id) for seq in range(1, FRAMES_PER_SECOND - 5) for connection_id in ("c1", "c2")]
    answers = [say(TextInput(text="hi", seq=seq), connection_id) for seq, connection_id in sent]
    refused = error_frame("too_fast")
    taken = FRAMES_OF_A_PRINCIPAL - 2
    assert answers == [None] * taken + [refused] * (len(sent) - taken), "neither was too fast by itself"
    assert say(hello("s1", "c2"), "c2") == refused, "and nothing is looked up or written for it"
    assert say(TextInput(text="hi", seq=1), "c3") is None, "another principal"
    assert len(worker.deliveries) == FRAMES_OF_A_PRINCIPAL + 2
    clock.now += 1 / FRAMES_OF_A_PRINCIPAL
    assert say(TextInput(text="hi", seq=1), "c1") is None
    assert say(TextInput(text="hi", seq=1), "c2") == refused


def test_malformed_frames_count_towards_the_rate(gateway):
    codes = [gateway.router.receive("c1", "{").code for _ in range(FRAMES_PER_SECOND + 1)]
    assert codes == ["bad_json"] * FRAMES_PER_SECOND + ["too_fast"]


def test_rates_of_senders_are_bounded_in_number(clock):
    rate = FrameRate(clock, 1, 1, senders=2)
    for number in range(5):
        rate.admit(f"c{number}")
    for remembered in ("c3", "c4"):
        with pytest.raises(FrameError):
            rate.admit(remembered)
    for forgotten in ("c0", "c1", "c2"):
        rate.admit(forgotten)


# --- the token's end


def test_after_the_tokens_end_nothing_is_taken(gateway, worker, clock, say, held):
    gateway.open("c1", "alice", token_expires_at=int(clock.now) + 10)
    assert say(hello("s0")) is None
    clock.now += 9
    assert say(TextInput(text="hi", seq=1)) is None
    clock.now += 1
    ended = error_frame("expired")
    assert not ended.retryable
    assert say(TextInput(text="hi", seq=2)) == ended
    assert say(hello("s0")) == ended
    gateway.warm()
    assert say(TextInput(text="hi", seq=2)) == ended, "a cold function knows it too"
    assert len(worker.deliveries) == 2
    assert say(Ping()) == Pong()


def test_a_fresh_token_goes_on_with_the_session(gateway, worker, clock, say, held):
    gateway.open("c1", "alice", token_expires_at=int(clock.now) + 10)
    say(hello("s0"))
    clock.now += 10
    gateway.open("c2", "alice", token_expires_at=int(clock.now) + 10)
    assert say(hello("s0", connection=2), "c2") is None
    assert say(TextInput(text="hi", seq=1), "c2") is None
    assert {delivery.session_key for delivery in worker.deliveries} == {"alice/s0"}


def test_an_ended_token_binds_nothing(gateway, clock, say, held):
    gateway.open("c1", "alice", token_expires_at=int(clock.now))
    assert say(hello("s0")) == error_frame("expired")
    assert say(TextInput(text="hi", seq=1)) == error_frame("expired")
    assert gateway.connections.find("c1").binding is None


def test_a_connection_without_a_tokens_end_is_not_known(gateway, aws, say, held):
    gateway.open("c1", "alice")
    say(hello("s0"))
    aws.dynamodb.update_item(
        TableName="connections",
        Key={"pk": {"S": "connection/c1"}, "sk": {"S": "connection"}},
        UpdateExpression="REMOVE token_expires_at",
    )
    gateway.warm()
    assert say(TextInput(text="hi", seq=1)) == error_frame("unknown_connection")
    assert gateway.connections.forget("c1") is None
