"""S3 hangs in the middle of a conversation: it pauses, says so, and goes on."""

from __future__ import annotations

import asyncio
import functools

import pytest

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.wire.frames import (
    AudioOutput,
    Error,
    InputAck,
    Pause,
    Ready,
    Transcript,
    decode_server_message,
    encode_frame,
)
from tests.support.memory_manager import S3, Hang
from tests.support.scripted_model import spoken
from tests.support.sessions import KEPT
from tests.support.waiting import eventually, promptly
from tests.unit.worker.stand_ins import address, delivery, hello, speech, text
from tests.unit.worker.test_drain import Leaving
from worker.conversation.output_gate import OutputGate

BEGINS = Pause(active=True, reason="storage")
ENDS = Pause(active=False, reason="storage")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("worker.conversation.output.OutputGate", functools.partial(OutputGate, pause_seconds=0.2))


@pytest.fixture
def s3():
    """A hang of S3, begun with ``storage.before = s3``."""
    hang = Hang(*S3)
    yield hang
    hang.end()


def pauses(clients, connection_id="k1"):
    """Pauses and their ends that a client was told of, by turns. A busy machine may have had one before the test's."""
    told = [frame.active for frame in clients.of(connection_id, Pause)]
    assert told == [number % 2 == 0 for number in range(len(told))]
    return told


def paused(clients, connection_id="k1"):
    return pauses(clients, connection_id)[-1:] == [True]


def goes_on(clients, connection_id="k1"):
    return pauses(clients, connection_id)[-1:] == [False]


async def outlived(storage, leases=3.0):
    """Wait for as many heartbeats as are sent in so many leases."""

    def beats():
        return storage.writes.count("beat")

    enough = beats() + leases * KEPT.duration / KEPT.heartbeat
    await eventually(lambda: beats() >= enough, 60.0)


@pytest.mark.slow
async def test_a_hang_of_s3_pauses_the_conversation_and_costs_nothing(host, clients, storage, s3):
    hosting = await host(lease=KEPT)
    storage.before = s3
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: hosting.model.texts == ["hello"])
    hosting.model.emit([*spoken("Hi Alice."), speech()])
    await eventually(lambda: paused(clients))

    await outlived(storage)

    assert hosting.session.open
    assert clients.of("k1", AudioOutput), "speech goes on"
    assert not any(frame.final for frame in clients.of("k1", Transcript))
    assert not clients.of("k1", InputAck)
    assert not clients.of("k1", Error), "no client is told to slow down"
    s3.end()
    await eventually(lambda: clients.of("k1", InputAck) and goes_on(clients))
    await eventually(lambda: [frame.text for frame in clients.of("k1", Transcript) if frame.final])
    assert hosting.session.epoch == 1
    assert not hosting.session.lost


@pytest.mark.slow
async def test_a_client_that_comes_during_a_pause_is_told_before_ready(host, clients, storage, s3):
    hosting = await host(lease=KEPT)
    storage.before = s3
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: paused(clients))

    hosting.session.deliver(delivery(hello(client_id="c2"), client_id="c2", connection_id="k2"))
    await eventually(lambda: paused(clients, "k2"))
    assert not clients.of("k2", Ready)
    s3.end()
    await eventually(lambda: goes_on(clients, "k2") and clients.of("k2", Ready))


@pytest.mark.slow
async def test_a_pause_has_no_number_that_an_older_client_could_miss(host, clients, storage, s3):
    hosting = await host(lease=KEPT)
    storage.before = s3
    hosting.session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: paused(clients))
    s3.end()
    await eventually(lambda: goes_on(clients) and clients.of("k1", InputAck))
    sent = clients.posted["k1"]

    numbers = [frame.seq for frame in sent if not isinstance(frame, Pause)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(frame.seq is None and frame.epoch == 1 for frame in clients.of("k1", Pause))
    for known in (True, False):
        client = Conversation("talk", "c1", "voice", ClientSettings())
        client.connected(0.0)
        client.outgoing(0.0, 1)
        events = []
        for frame in sent:
            said = encode_frame(frame)
            events += client.received(said if known else said.replace('"pause"', '"of a newer server"'), 0.0, 1)
        assert client.wakeup(0.0, 1) != 0.5, "an older client waits for a missing frame"
        assert client.tick(1.0) == []
        assert [frame for frame in events if isinstance(frame, InputAck)]
        assert [frame.active for frame in events if isinstance(frame, Pause)] == (pauses(clients) if known else [])


def test_a_pause_frame_is_encoded_as_the_protocol_says():
    said = '{"type":"pause","active":false,"reason":"storage"}'
    assert encode_frame(ENDS) == said
    assert decode_server_message(said) == [ENDS]
    assert decode_server_message(said.replace("false", "true").replace("storage", "something new"))


@pytest.mark.slow
async def test_a_worker_that_leaves_while_s3_hangs_keeps_the_conversation_until_it_is_saved(world, storage, s3):
    leaving = Leaving(world)
    leaving.claims.start()
    session = await leaving.hold()
    await eventually(lambda: world.clients.of("k1", Ready))
    storage.before = s3
    session.deliver(delivery(text("hello", 1)))
    await eventually(lambda: world.models[0].texts == ["hello"] and s3.waiting)

    draining = asyncio.create_task(leaving.drain.run())
    await eventually(lambda: paused(world.clients))
    world.models[0].emit([speech()])
    await eventually(lambda: world.clients.of("k1", AudioOutput))
    assert session.open
    assert leaving.happened == []

    s3.end()
    await promptly(draining, 20)
    assert leaving.happened == ["refuse talk", "release talk", "claim talk"]
    assert address() in leaving.queue.sent[0].clients
