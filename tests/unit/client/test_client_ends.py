"""The client's end, and readers of its events that are slow."""

from __future__ import annotations

import asyncio

import pytest

from segue.client import (
    ClientClosed,
    ConnectionLost,
    EventsNotRead,
)
from segue.client.events import EventBuffer
from segue.wire.frames import (
    AudioOutput,
    Ready,
    TextOutput,
)
from tests.support.waiting import promptly, within
from tests.unit.client.clients import client_of, of_kind
from tests.unit.client.conftest import Network, events_until, records_of


@pytest.mark.slow
async def test_a_server_that_never_comes_back_ends_the_client(server):
    async with client_of(server, give_up_after=0.2) as client:
        await client.send_text("hi")
        await client.flush(timeout=20)
        await records_of(client, 2)
        await server.stop()
        with pytest.raises(ConnectionLost):
            await events_until(client, lambda _: False)
        with pytest.raises(ConnectionLost):
            await client.send_text("hello?")


async def test_a_client_takes_input_only_between_start_and_close(server):
    client = client_of(server)
    with pytest.raises(ClientClosed):
        await client.send_text("too early")
    async with client:
        pass
    with pytest.raises(ClientClosed):
        await client.send_text("too late")
    await client.close()
    assert [event async for event in client.events() if not isinstance(event, Ready | AudioOutput)] == []


async def test_closing_ends_a_flush(server):
    async with client_of(server) as client:
        server.inbound = Network(0, 1.0)
        server.inbound.random.choice = lambda fates: "lose"
        await client.send_text("never arrives")
        flushing = asyncio.create_task(client.flush())
        await asyncio.sleep(0)
        assert not flushing.done()
        await client.close()
        with pytest.raises(ClientClosed):
            await promptly(flushing, 20)


async def test_leaving_with_a_dead_server_does_not_take_long(server):
    async with client_of(server) as client:
        await server.stop()
        await client.send_text("hi")
        async with within(5):
            await client.close()


async def test_a_cancelled_start_leaves_nothing_behind(server):
    server.answer_hello = False
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client_of(server).start()
    assert not {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("segue-client")}


async def test_several_loops_share_the_events(server):
    once = {"hello_interval": 30.0, "longest_hello_interval": 30.0}  # a second hello would have a second answer
    async with client_of(server, **once) as client:
        first = await events_until(client, lambda event: isinstance(event, Ready))
        await client.send_text("hi")
        second = await events_until(client, lambda event: getattr(event, "record", None) == 1)
    assert not of_kind(second, Ready)
    assert first


async def test_a_reader_that_never_reads_ends_the_client():
    buffer = EventBuffer(capacity=3, lasting_capacity=5)
    buffer.put([TextOutput(text=str(record), record=record) for record in range(5)])
    with pytest.raises(EventsNotRead):
        buffer.put([TextOutput(text="one too many", record=5)])


async def test_a_reader_that_is_slow_loses_audio_and_nothing_else():
    buffer = EventBuffer(capacity=3, lasting_capacity=9)
    audio = [AudioOutput(audio="AAAA", rate=8000, epoch=1, seq=seq) for seq in range(1, 5)]
    texts = [TextOutput(text=str(record), record=record) for record in range(5)]
    for pair in zip(audio, texts, strict=False):
        buffer.put(pair)
    buffer.put(texts[4:])
    buffer.end(None)
    left = []
    with pytest.raises(StopAsyncIteration):
        while True:
            left.append(await buffer.next())
    assert left == texts
    assert buffer.dropped == 4


async def test_unread_events_are_bounded_in_bytes():
    buffer = EventBuffer(capacity=1000, lasting_capacity=1000, capacity_bytes=100_000)
    buffer.put([AudioOutput(audio="A" * 40_000, rate=8000, epoch=1, seq=seq) for seq in range(1, 4)])
    buffer.put([TextOutput(text="x" * 40_000, record=0)])
    assert buffer.dropped == 2
    with pytest.raises(EventsNotRead):
        buffer.put([TextOutput(text="x" * 61_000, record=1)])
    await buffer.next()
    buffer.put([])
