"""The client against a server that refuses: credentials, addresses, sessions, and servers in trouble."""

from __future__ import annotations

import asyncio

import pytest

from segue.client import (
    Client,
    ClientClosed,
    ConnectionLost,
    HandshakeRefused,
    NotReady,
    SessionRefused,
)
from segue.wire.frames import (
    Error,
    encode_frame,
    error_frame,
)
from tests.support.waiting import promptly, within
from tests.unit.client.clients import client_of, greeted_over
from tests.unit.client.conftest import events_until, quick


@pytest.mark.slow
async def test_a_start_without_a_holder_raises_not_ready(server):
    server.answer_hello = False
    client = client_of(server, ready_timeout=0.2)
    with pytest.raises(NotReady, match="'s' was not ready"):
        await client.start()
    with pytest.raises(TimeoutError):
        await client_of(server, ready_timeout=0.01).start()
    with pytest.raises(ClientClosed):
        await client.start()


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_raise_handshake_refused(server, status):
    server.refuse_with = status
    with pytest.raises(HandshakeRefused) as caught:
        await client_of(server).start()
    assert caught.value.status == status


async def test_a_server_in_trouble_is_tried_again(server):
    server.refuse_with = 503
    starting = asyncio.create_task(client_of(server).start())
    async with within(20):
        while len(server.handshakes) < 3:
            await asyncio.sleep(0)
    server.refuse_with = None
    await promptly(starting, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "limits"),
    [
        (("direct",), {"connect_timeout": 3600.0, "direct_connect_timeout": 0.1}),
        ((), {"connect_timeout": 0.1, "direct_connect_timeout": 3600.0}),
    ],
    ids=["direct", "gateway"],
)
async def test_a_handshake_that_nothing_answers_is_given_up_sooner_after_a_direct_connection(server, features, limits):
    server.features = features
    assert quick().direct_connect_timeout < quick().connect_timeout
    async with client_of(server, **limits):
        server.silent_handshakes = 1
        server.cut()
        await server.heard_all(greeted_over(2))
    assert len(server.handshakes) >= 3


async def test_headers_are_made_anew_for_each_connection(server):
    numbers = iter(range(1, 10))
    client = Client(server.url, session="s", headers=lambda: {"x-signed": str(next(numbers))}, settings=quick())
    async with client:
        server.cut()
        await server.heard_all(greeted_over(2))
    assert [headers["x-signed"] for headers in server.handshakes] == ["1", "2"]


async def test_headers_that_cannot_be_made_end_the_client(server):
    def headers():
        raise RuntimeError("no credentials")

    with pytest.raises(ConnectionLost, match="no credentials"):
        await Client(server.url, session="s", headers=headers, settings=quick()).start()


async def test_a_refused_session_ends_the_client(server):
    async with client_of(server) as client:
        await server.connections[0].send(encode_frame(error_frame("superseded")))
        shown = await events_until(client, lambda event: isinstance(event, Error))
        assert shown[-1].code == "superseded"
        with pytest.raises(SessionRefused) as caught:
            await events_until(client, lambda _: False)
        assert caught.value.code == "superseded"
        with pytest.raises(SessionRefused):
            await client.send_text("still there?")


async def test_an_unknown_connection_is_replaced(server):
    async with client_of(server) as client:
        await server.connections[0].send(encode_frame(error_frame("unknown_connection")))
        await server.heard_all(greeted_over(2))
        await client.send_text("hi")
        await client.flush(timeout=20)
        assert client.connection == 2


# --- who is there


async def test_a_token_is_got_for_each_connection_and_goes_as_a_subprotocol(server):
    tokens = iter(["first.a-b_c.1", "second.a-b_c.2"])

    async def token():
        return next(tokens)

    async with Client(server.url, session="s", token=token, settings=quick()) as client:
        server.cut()
        await server.heard_all(greeted_over(2))
        assert client.connection == 2
    offered = [headers["Sec-WebSocket-Protocol"] for headers in server.handshakes]
    assert offered == ["segue.v1, bearer.first.a-b_c.1", "segue.v1, bearer.second.a-b_c.2"]
    assert server.connections[0].subprotocol == "segue.v1"


async def test_a_token_that_cannot_be_sent_is_no_token(server):
    with pytest.raises(ConnectionLost, match="should be a JWT"):
        await Client(server.url, session="s", token="a, bearer.b", settings=quick()).start()
    assert server.handshakes == []


async def test_expired_credentials_are_replaced_if_they_can_be(server):
    async with Client(server.url, session="s", token=lambda: "new", settings=quick()) as client:
        await server.connections[0].send(encode_frame(error_frame("expired")))
        await server.heard_all(greeted_over(2))
        await client.send_text("hi")
        await client.flush(timeout=20)


async def test_expired_credentials_that_cannot_be_replaced_end_the_client(server):
    async with Client(server.url, session="s", token="old", settings=quick()) as client:
        await server.connections[0].send(encode_frame(error_frame("expired")))
        with pytest.raises(SessionRefused, match="expired"):
            await events_until(client, lambda _: False)


async def test_a_client_that_was_let_in_once_is_refused_for_good_only_the_third_time(server):
    async with client_of(server) as client:
        server.refusals = [403, 401]
        server.cut()
        await server.heard_all(greeted_over(2))
        server.refuse_with = 403
        server.cut()
        with pytest.raises(HandshakeRefused, match="missing, wrong or expired"):
            await events_until(client, lambda _: False)


async def test_a_token_issuer_may_be_away_for_a_moment(server):
    answers = iter(["one", OSError("no route"), "two"])

    def token():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with Client(server.url, session="s", token=token, settings=quick()):
        server.cut()
        await server.heard_all(greeted_over(2))


async def test_a_wrong_address_is_not_tried_again(server):
    server.refuse_with = 404
    with pytest.raises(HandshakeRefused, match="check the address"):
        await client_of(server).start()
    assert len(server.handshakes) == 1


async def reason_of(server):
    """Return what a start raises that has waited in vain, as soon as the server had the time to answer it."""
    for ready_timeout in (0.2, 2.0, 20.0):
        with pytest.raises(NotReady) as caught:
            await client_of(server, ready_timeout=ready_timeout).start()
        if "(" in str(caught.value):
            break
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_not_ready_names_the_last_reason(server, status):
    server.refuse_with = status
    assert f"status {status}" in await reason_of(server)

    async def refused(*_):
        await server.connections[-1].send(encode_frame(error_frame("too_many_sessions")))

    server.refuse_with, server.greet = None, refused
    assert "too_many_sessions: " in await reason_of(server)
