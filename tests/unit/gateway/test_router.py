"""Hello binds a connection, and only within its own principal."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.wire.frames import (
    Error,
    Hello,
    HistoryRequest,
    OutputAck,
    Ping,
    Pong,
    TextInput,
    encode_frame,
    error_frame,
)
from shared.connections import Binding


def hello(session="s", client_id="c", connection=1, **more):
    return Hello(session=session, client_id=client_id, connection=connection, **more)


@pytest.fixture
def say(gateway):
    def send(frame, connection_id="c1"):
        return gateway.router.receive(connection_id, encode_frame(frame))

    return send


@pytest.fixture(autouse=True)
def opened(gateway):
    gateway.open("c1", "alice")
    gateway.open("c2", "alice")
    gateway.open("m1", "mallory")


def test_hello_binds_and_reaches_the_holder(gateway, worker, say):
    gateway.hold("alice/s", worker)
    assert say(hello(last_record=4)) is None
    (delivery,) = worker.deliveries
    assert (delivery.session_key, delivery.connection_id) == ("alice/s", "c1")
    assert (delivery.client_id, delivery.counter) == ("c", 1)
    assert delivery.frame == hello(last_record=4)
    binding = gateway.connections.find("c1").binding
    assert (binding.session_key, binding.session_id, binding.client_id, binding.counter) == ("alice/s", "s", "c", 1)


def test_before_hello_only_ping_is_answered(gateway, worker, say):
    gateway.hold("alice/s", worker)
    assert say(Ping()) == Pong()
    for frame in (TextInput(text="hi", seq=1), OutputAck(epoch=1, seq=1)):
        assert say(frame) == error_frame("hello_first")
    assert worker.deliveries == []


def test_a_connection_that_is_not_stored_is_told_so(say):
    for frame in (hello(), TextInput(text="hi", seq=1)):
        answer = say(frame, connection_id="unheard-of")
        assert (answer.code, answer.retryable) == ("unknown_connection", True)


@pytest.mark.slow
@pytest.mark.parametrize("session", ["", ".", "..", "a/b", "../mallory/s", "a b", "ä", "x" * 128 + "y", "s\n"])
def test_session_ids_that_could_leave_the_principal_are_refused(gateway, say, session):
    answer = say(hello(session=session[:128] if len(session) == 128 else session)) if len(session) <= 128 else None
    if answer is None:
        answer = gateway.router.receive(
            "c1", '{"type":"hello","session":"' + session + '","client_id":"c","connection":1}'
        )
    assert answer.code in {"bad_session", "bad_frame"}
    assert not answer.retryable
    assert gateway.connections.find("c1").binding is None


def test_the_same_id_of_another_principal_is_another_session(gateway, worker, other_worker, say):
    gateway.hold("alice/s", worker)
    gateway.hold("mallory/s", other_worker)
    say(hello(), "c1")
    say(hello(), "m1")
    say(TextInput(text="mine?", seq=1), "m1")
    assert [delivery.session_key for delivery in worker.deliveries] == ["alice/s"]
    assert {delivery.session_key for delivery in other_worker.deliveries} == {"mallory/s"}


def test_a_connection_is_bound_once(gateway, worker, say):
    gateway.hold("alice/s", worker)
    say(hello())
    assert say(hello(session="other")) == error_frame("already_bound")
    assert say(hello(client_id="other")) == error_frame("already_bound")
    gateway.warm()
    assert say(hello(session="other")) == error_frame("already_bound")
    assert say(hello()) is None
    assert len(worker.deliveries) == 2


@pytest.mark.slow
def test_two_functions_bind_one_connection_at_the_same_time(gateway, say, monkeypatch):
    """Both have read it unbound; the write of the second must not win."""
    unbound = gateway.connections.find("c1")
    gateway.free("alice/s")
    say(hello())
    monkeypatch.setattr(gateway.connections, "find", lambda _: unbound)
    assert say(hello(session="other")) == error_frame("already_bound")
    monkeypatch.undo()
    assert gateway.connections.find("c1").binding.session_id == "s"


def test_a_binding_does_not_bring_back_a_connection_that_ended(gateway, say, monkeypatch):
    found = gateway.connections.find("c1")
    gateway.connections.forget("c1")
    monkeypatch.setattr(gateway.connections, "find", lambda _: found)
    assert isinstance(say(hello()), Error)
    monkeypatch.undo()
    assert gateway.connections.find("c1") is None


@pytest.mark.slow
def test_a_table_that_fails_is_no_refusal(gateway, say):
    gateway.connections._table = "no-such-table"
    with pytest.raises(ClientError):
        gateway.connections.bind("c1", Binding("alice/s", "s", "c", 1))


@pytest.mark.slow
def test_an_older_connection_never_replaces_a_newer_one(gateway, worker, say):
    gateway.hold("alice/s", worker)
    assert say(hello(connection=2), "c2") is None
    assert say(hello(connection=1), "c1") == error_frame("superseded")
    assert say(TextInput(text="late", seq=1), "c1") == error_frame("hello_first")
    (address,) = gateway.connections.clients("alice/s")
    assert (address.connection_id, address.counter) == ("c2", 2)
    assert [delivery.connection_id for delivery in worker.deliveries] == ["c2"]


@pytest.mark.slow
def test_a_newer_connection_replaces_an_older_one(gateway, worker, say):
    gateway.hold("alice/s", worker)
    say(hello(connection=1), "c1")
    say(hello(connection=2), "c2")
    (address,) = gateway.connections.clients("alice/s")
    assert (address.connection_id, address.counter) == ("c2", 2)


@pytest.mark.slow
def test_hello_may_be_repeated(gateway, worker, say):
    gateway.hold("alice/s", worker)
    for _ in range(3):
        assert say(hello()) is None
    assert len(worker.deliveries) == 3


@pytest.mark.slow
def test_two_clients_of_one_session_are_two_addresses(gateway, worker, say):
    gateway.hold("alice/s", worker)
    say(hello(client_id="a"), "c1")
    say(hello(client_id="b"), "c2")
    assert {address.client_id: address.connection_id for address in gateway.connections.clients("alice/s")} == {
        "a": "c1",
        "b": "c2",
    }


@pytest.mark.slow
def test_a_client_that_asked_for_history_is_named_to_the_holder_and_in_claims(gateway, worker, say):
    gateway.hold("alice/s", worker)
    say(hello(client_id="a", history=True), "c1")
    say(HistoryRequest(before=3), "c1")
    say(hello(client_id="b"), "c2")
    assert [delivery.history for delivery in worker.deliveries] == [True, True, False]
    assert {address.client_id: address.history for address in gateway.connections.clients("alice/s")} == {
        "a": True,
        "b": False,
    }
    assert worker.deliveries[1].frame == HistoryRequest(before=3)


def test_a_warm_function_reads_a_bound_connection_once(gateway, worker, say, monkeypatch):
    gateway.hold("alice/s", worker)
    say(hello())
    gateway.warm()
    reads = []
    find = gateway.connections.find
    monkeypatch.setattr(gateway.connections, "find", lambda name: reads.append(name) or find(name))
    for seq in range(1, 6):
        assert say(TextInput(text="hi", seq=seq)) is None
    assert reads == ["c1"]
    assert [frame.seq for frame in worker.frames[1:]] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_router_of_a_warm_function_remembers_a_bounded_number_of_connections(gateway, worker, say):
    gateway.router._bound.most = 2
    gateway.hold("alice/s", worker)
    for number in range(5):
        gateway.open(f"n{number}", "alice")
        assert say(hello(client_id=f"n{number}"), f"n{number}") is None
    assert list(gateway.router._bound) == ["n3", "n4"]


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=100) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_any_message_is_answered(gateway, clock, body):
    clock.now += 1
    answer = gateway.router.receive("c1", body)
    assert isinstance(answer, Error)
    assert answer.code in {"bad_json", "bad_frame", "unknown_type"}
