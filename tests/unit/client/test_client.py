"""The client on real sockets: it connects, loses connections, and nothing is lost or doubled."""

import asyncio

import pytest

from segue.client import (
    Client,
    ClientClosed,
    ConnectionLost,
    HandshakeRefused,
    NotReady,
    SenderFull,
    SessionRefused,
)
from segue.client.events import EventBuffer
from segue.wire.frames import (
    AudioOutput,
    Bye,
    Error,
    FrameError,
    Hello,
    InputAck,
    OutputAck,
    Ping,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    encode_frame,
    error_frame,
)
from segue.wire.sender import SenderSettings
from tests.unit.client.conftest import Network, events_until, quick, records_of


def client_of(server, **changes):
    return Client(server.url, session="s", settings=quick(**changes))


def of_kind(frames, *kinds):
    return [frame for frame in frames if isinstance(frame, kinds)]


async def test_a_conversation(server):
    async with client_of(server) as client:
        assert client.ready.session == "s"
        assert (client.session, client.epoch, client.connection, client.last_record) == ("s", 2, 1, -1)
        await client.send_text("hi")
        assert await client.send_audio(b"\1\0\2\0") == 0
        await client.flush(timeout=20)
        assert client.unacknowledged == 0
        events = await events_until(client, lambda event: getattr(event, "record", None) == 3)
    assert server.texts == ["hi", "01000200"]
    assert isinstance(events[0], Ready)
    assert [event.text for event in of_kind(events, TextOutput)] == ["you said hi", "you said 01000200"]
    assert of_kind(events, InputAck)
    assert not of_kind(events, Pong)
    await server.heard_all(lambda server: isinstance(server.heard[-1], Bye))
    (hello,) = of_kind(server.heard, Hello)
    assert (hello.session, hello.client_id, hello.connection, hello.last_record) == ("s", client.client_id, 1, None)


async def test_what_was_shown_is_acknowledged(server):
    async with client_of(server) as client:
        await client.send_text("hi")
        await server.heard_all(lambda server: of_kind(server.heard, OutputAck))
        assert of_kind(server.heard, OutputAck)[0].epoch == client.epoch


@pytest.mark.parametrize("seed", range(6))
async def test_a_bad_network_loses_and_doubles_nothing(server, seed):
    server.inbound = Network(seed, 0.2)
    server.outbound = Network(seed + 100, 0.2)
    server.cut_every = 7
    server.take_over_every = 5
    said = [f"text {number}" for number in range(25)]
    async with client_of(server) as client:
        for text in said:
            await client.send_text(text)
        records = await records_of(client, 2 * len(said))
        await client.flush(timeout=20)
        assert client.connection > 1
        assert client.epoch > 3
    assert server.texts == said
    assert records == [(record, content) for record, (_, _, content) in enumerate(server.journal)]


async def test_a_cut_connection_is_renewed_and_everything_unacknowledged_said_again(server):
    async with client_of(server) as client:
        await client.send_text("one")
        await client.flush(timeout=20)
        await records_of(client, 2)
        server.cut()
        await client.send_text("two")
        await client.flush(timeout=20)
        assert await records_of(client, 2) == [(2, "two"), (3, "you said two")]
    assert [(hello.connection, hello.last_record) for hello in of_kind(server.heard, Hello)] == [(1, None), (2, 1)]
    assert server.texts == ["one", "two"]


async def test_a_redeploy_keeps_the_connection(server):
    async with client_of(server) as client:
        await client.send_text("one")
        await client.flush(timeout=20)
        await server.take_over(greet=True)
        await client.send_text("two")
        assert [content for _, content in await records_of(client, 4)] == ["one", "you said one", "two", "you said two"]
        assert (client.connection, client.epoch) == (1, 3)
    assert server.texts == ["one", "two"]


async def test_hello_is_repeated_until_somebody_is_ready(server):
    server.answer_hello = False
    starting = asyncio.create_task(client_of(server).start())
    await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) >= 3)
    server.answer_hello = True
    await asyncio.wait_for(starting, 20)


async def test_nobody_ready_in_time(server):
    server.answer_hello = False
    client = client_of(server, ready_timeout=0.2)
    with pytest.raises(NotReady, match="'s' was not ready"):
        await client.start()
    with pytest.raises(TimeoutError):
        await client_of(server, ready_timeout=0.01).start()
    with pytest.raises(ClientClosed):
        await client.start()


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials(server, status):
    server.refuse_with = status
    with pytest.raises(HandshakeRefused) as caught:
        await client_of(server).start()
    assert caught.value.status == status


async def test_a_server_in_trouble_is_tried_again(server):
    server.refuse_with = 503
    starting = asyncio.create_task(client_of(server).start())
    async with asyncio.timeout(20):
        while len(server.handshakes) < 3:
            await asyncio.sleep(0)
    server.refuse_with = None
    await asyncio.wait_for(starting, 20)


async def test_headers_are_made_anew_for_each_connection(server):
    numbers = iter(range(1, 10))
    client = Client(server.url, session="s", headers=lambda: {"x-signed": str(next(numbers))}, settings=quick())
    async with client:
        server.cut()
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
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
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
        await client.send_text("hi")
        await client.flush(timeout=20)
        assert client.connection == 2


async def test_a_server_that_never_comes_back(server):
    async with client_of(server, give_up_after=0.2) as client:
        await client.send_text("hi")
        await client.flush(timeout=20)
        await records_of(client, 2)
        await server.stop()
        with pytest.raises(ConnectionLost):
            await events_until(client, lambda _: False)
        with pytest.raises(ConnectionLost):
            await client.send_text("hello?")


async def test_a_quiet_connection_is_kept_open(server):
    async with client_of(server, ping_interval=0.05, ack_delay=9):
        await server.heard_all(lambda server: len(of_kind(server.heard, Ping)) >= 3)


async def test_the_end(server):
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
            await asyncio.wait_for(flushing, 20)


async def test_leaving_with_a_dead_server_does_not_take_long(server):
    async with client_of(server) as client:
        await server.stop()
        await client.send_text("hi")
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 5


async def test_a_cancelled_start_leaves_nothing_behind(server):
    server.answer_hello = False
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client_of(server).start()
    assert not {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("segue-client")}


async def test_limits(server):
    async with client_of(server, sender=SenderSettings(lasting_bytes=500)) as client:
        with pytest.raises(FrameError):
            await client.send_text("x" * 40_000)
        server.answer_hello = False
        server.inbound = Network(0, 1.0)
        await client.send_text("a")
        await client.send_text("b")
        with pytest.raises(SenderFull):
            await client.send_text("c")


async def test_several_loops_share_the_events(server):
    async with client_of(server) as client:
        first = await events_until(client, lambda event: isinstance(event, Ready))
        await client.send_text("hi")
        second = await events_until(client, lambda event: getattr(event, "record", None) == 1)
    assert not of_kind(second, Ready)
    assert first


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


async def test_the_client_does_not_say_more_than_it_must(server):
    """A quiet conversation is a few frames: no needless hellos, repeats or acknowledgements."""
    async with client_of(server, sender=SenderSettings()) as client:
        for text in ("one", "two", "three"):
            await client.send_text(text)
        await client.flush(timeout=20)
        await records_of(client, 6)
    assert len(of_kind(server.heard, Hello)) == 1
    assert [frame.seq for frame in of_kind(server.heard, TextInput)] == [1, 2, 3]
