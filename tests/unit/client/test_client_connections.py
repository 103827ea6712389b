"""The client's connections: renewed before they end, replaced when they are dead."""

from __future__ import annotations

import asyncio

from segue.wire.frames import (
    Bye,
    Hello,
    Ping,
)
from tests.support.waiting import eventually, within
from tests.unit.client.clients import client_of, of_kind
from tests.unit.client.conftest import Network, records_of

# --- renewal


async def test_connections_are_renewed_before_they_end_unnoticed(server):
    said = []
    settings = {"connection_lifetime": 0.3, "overlap": 0.05, "hello_interval": 9.0, "longest_hello_interval": 9.0}
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


async def test_a_renewal_that_fails_is_tried_again_and_the_old_connection_goes_on(server):
    async with client_of(server, connection_lifetime=0.1, lifetime_jitter=0.0) as client:
        server.refusals = [503] * 5
        await server.heard_all(lambda server: not server.refusals or len(of_kind(server.heard, Hello)) > 1)
        assert client.connection >= 1
        await client.send_text("hi")
        await client.flush(timeout=20)
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
    assert server.texts == ["hi"]


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
