"""The client's connections: renewed before they end, replaced when they are dead."""

from __future__ import annotations

import asyncio

import pytest

from segue.client import connections
from segue.client.retries import AT_ONCE
from segue.wire.codes import SERVICE_RESTART, TRY_AGAIN_LATER
from segue.wire.frames import (
    Bye,
    Hello,
    Ping,
    Reconnect,
    encode_frame,
)
from segue.wire.sender import SenderSettings
from tests.support.waiting import eventually, within
from tests.unit.client.clients import ONE_HELLO, client_of, greeted_over, of_kind
from tests.unit.client.conftest import Network, records_of

# --- renewal


@pytest.mark.slow
async def test_connections_are_renewed_before_they_end_unnoticed(server):
    said = []
    settings = {"connection_lifetime": 0.3, "overlap": 0.05, **ONE_HELLO}
    async with client_of(server, **settings) as client, within(20):
        while client.connection < 3 or len(said) < 20:
            said.append(f"text {len(said)}")
            await client.send_text(said[-1])
            await asyncio.sleep(0.02)
        records = await records_of(client, 2 * len(said))
        await client.flush(timeout=20)
        assert client.epoch == 2
        assert not of_kind(server.heard, Bye)
    assert records == [(record, content) for record, (_, _, content) in enumerate(server.journal)]
    assert server.texts == said
    counters = [hello.connection for hello in of_kind(server.heard, Hello)]
    assert counters == list(range(1, len(counters) + 1)), "one hello a connection: nothing was missing, none was lost"


@pytest.mark.slow
async def test_a_renewal_that_fails_is_tried_again_and_the_old_connection_goes_on(server):
    async with client_of(server, connection_lifetime=0.1, lifetime_jitter=0.0) as client:
        server.refusals = [503] * 5
        await server.heard_all(lambda server: not server.refusals or len(of_kind(server.heard, Hello)) > 1)
        assert client.connection >= 1
        await client.send_text("hi")
        await client.flush(timeout=20)
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) >= 2)
    assert server.texts == ["hi"]


@pytest.mark.slow
async def test_a_connection_that_is_dead_without_a_word_is_replaced(server):
    async with client_of(server, silence_timeout=0.1, pong_timeout=0.1) as client:
        server.answer_ping = False
        server.inbound = Network(0, 1.0)
        server.inbound.random.choice = lambda fates: "lose"
        server.listeners.clear()  # not even noise
        await client.send_text("hi")
        await eventually(lambda: len(server.handshakes) >= 2, 20)
        server.inbound = Network()
        await client.flush(timeout=20)
    assert server.texts == ["hi"]


async def test_a_quiet_connection_is_kept_open(server):
    async with client_of(server, ping_interval=0.05, ack_delay=9):
        await server.heard_all(lambda server: len(of_kind(server.heard, Ping)) >= 3)


# --- renewals that are refused

FOR_EVER = {"first_backoff": 1e9, "longest_backoff": 1e9, **ONE_HELLO}
"""A pause is never over by itself."""


async def reconnect(server):
    await server.connections[-1].send(encode_frame(Reconnect()))


async def test_refused_renewals_are_forgotten_with_the_next_ready(server):
    async with client_of(server, **FOR_EVER):
        for count in range(1, 4):
            await server.heard_all(greeted_over(count))
            server.closes = [TRY_AGAIN_LATER] * AT_ONCE
            await reconnect(server)
        await server.heard_all(greeted_over(4))


@pytest.mark.parametrize("code", [SERVICE_RESTART, TRY_AGAIN_LATER])
async def test_a_renewal_waits_no_longer_once_its_worker_has_ended(server, code):
    async with client_of(server, **FOR_EVER):
        server.closes = [TRY_AGAIN_LATER] * (AT_ONCE + 1)
        await reconnect(server)
        await eventually(lambda: len(server.handshakes) == AT_ONCE + 2, 20)
        await server.connections[-1].close(code)
        await server.heard_all(greeted_over(2))


async def test_a_break_during_the_pause_of_a_renewal_is_followed_by_the_shortest_of_pauses(server, monkeypatch):
    longest = []

    def uniform(low, high):
        if low == 0:
            longest.append(high)
        return 1e9 if longest == [0.25, 0.5, 1.0] else low

    monkeypatch.setattr("segue.client.retries.random.uniform", uniform)
    async with client_of(server, first_backoff=0.25, longest_backoff=99.0):
        server.closes = [TRY_AGAIN_LATER] * (AT_ONCE + 3)
        await reconnect(server)
        await eventually(lambda: len(longest) == 3, 20)
        server.cut()
        await server.heard_all(greeted_over(2))
    assert longest == [0.25, 0.5, 1.0, 0.25]


# --- handshakes


@pytest.mark.parametrize(
    ("features", "given"), [(("direct",), [1.5, 3.0, 4.0, 1.5]), ((), [9.0] * 4)], ids=["direct", "gateway"]
)
async def test_a_handshake_has_longer_after_one_that_was_not_answered(server, monkeypatch, features, given):
    server.features = features
    opened, times, silent = connections.connect, [], 0

    async def connect(*args, open_timeout, **options):
        nonlocal silent
        times.append(open_timeout)
        if silent:
            silent -= 1
            raise TimeoutError
        return await opened(*args, open_timeout=20.0, **options)

    monkeypatch.setattr(connections, "connect", connect)
    times_of = {"received_timeout": 1.5, "direct_connect_timeout": 4.0, "connect_timeout": 9.0}
    async with client_of(server, sender=SenderSettings(), **times_of):
        silent = 2
        server.cut()
        await server.heard_all(greeted_over(2))
        server.cut()
        await server.heard_all(greeted_over(3))
    assert times == [9.0, *given]
