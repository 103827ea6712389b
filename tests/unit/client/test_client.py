"""The client against a server in process: conversations, several clients, images, limits."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect

from segue.client import (
    Client,
    SenderFull,
)
from segue.wire.frames import (
    Bye,
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    OutputAck,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    decode_server_message,
)
from segue.wire.sender import SenderSettings
from tests.support.waiting import promptly, within
from tests.unit.client.clients import ONE_HELLO, client_of, of_kind
from tests.unit.client.conftest import Network, events_until, quick, records_of


async def test_a_conversation_sends_input_and_shows_the_answers(server):
    async with client_of(server, **ONE_HELLO) as client:
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


async def test_client_acknowledges_the_output_it_showed(server):
    async with client_of(server) as client:
        await client.send_text("hi")
        await server.heard_all(lambda server: of_kind(server.heard, OutputAck))
        assert of_kind(server.heard, OutputAck)[0].epoch == client.epoch


@pytest.mark.slow
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
    async with client_of(server, **ONE_HELLO) as client:
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


@pytest.mark.slow
async def test_hello_is_repeated_until_a_holder_is_ready(server):
    server.answer_hello = False
    starting = asyncio.create_task(client_of(server).start())
    await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) >= 3)
    server.answer_hello = True
    await promptly(starting, 20)


# --- several clients


async def test_a_reloaded_page_is_a_new_client_of_the_same_session(server):
    async with client_of(server) as first:
        await first.send_text("one")
        await first.flush(timeout=20)
    async with client_of(server) as second:
        assert second.client_id != first.client_id
        assert second.ready.head == 2
        await second.send_text("two")
        assert await records_of(second, 2) == [(2, "two"), (3, "you said two")], "what was before is history"
    assert server.texts == ["one", "two"]


async def test_two_clients_on_one_session_both_speak_and_both_hear(server):
    async with client_of(server) as alice, client_of(server) as bob:
        await asyncio.gather(alice.send_text("hi"), bob.send_text("hello"))
        await asyncio.gather(alice.flush(timeout=20), bob.flush(timeout=20))
        heard = await asyncio.gather(records_of(alice, 4), records_of(bob, 4))
    assert heard[0] == heard[1] == [(record, content) for record, (_, _, content) in enumerate(server.journal)]
    assert sorted(server.texts) == ["hello", "hi"]


async def test_a_plain_client_without_numbers_is_heard(server):
    async with connect(server.url) as socket:
        await socket.send('{"type":"hello","session":"s","client_id":"plain","connection":1}')
        await socket.send('{"type":"text","text":"hi"}')
        async with within(20):
            async for message in socket:
                if any(isinstance(frame, TextOutput) for frame in decode_server_message(message)):
                    break
    assert server.texts == ["hi"]


# --- what is sent


async def test_images_are_sent_in_parts_and_input_carries_the_trace(server):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with Client(server.url, session="s", trace=lambda: trace, settings=quick()) as client:
        await client.send_image(b"x" * 50_000, "image/png")
        await client.send_text("what is this?")
        await client.flush(timeout=20)
        with pytest.raises(ValueError, match="an image has"):
            await client.send_image(b"", "image/png")
    inputs = of_kind(server.heard, ImageInput, TextInput)
    assert [frame.seq for frame in inputs] == [1, 2, 3, 4]
    assert b"".join(frame.raw for frame in of_kind(server.heard, ImageInput)) == b"x" * 50_000
    assert {frame.trace for frame in inputs} == {trace}


async def test_audio_that_is_too_much_is_given_up_oldest_first_and_counted(server):
    async with client_of(server, sender=SenderSettings(audio_bytes=4000)) as client:
        server.answer_hello = False
        server.take_over()
        given_up = [await client.send_audio(b"\1\0" * 300) for _ in range(10)]
        assert given_up[:3] == [0, 0, 0]
        assert sum(given_up) == client.audio_given_up > 0
        with pytest.raises(ValueError, match="whole"):
            await client.send_audio(b"odd")


async def test_input_beyond_a_limit_is_refused(server):
    async with client_of(server, sender=SenderSettings(lasting_bytes=500)) as client:
        with pytest.raises(FrameError):
            await client.send_text("x" * 40_000)
        server.answer_hello = False
        server.inbound = Network(0, 1.0)
        await client.send_text("a")
        await client.send_text("b")
        with pytest.raises(SenderFull):
            await client.send_text("c")


@pytest.mark.slow
async def test_the_client_does_not_say_more_than_it_must(server):
    """A quiet conversation is a few frames: no needless hellos, repeats or acknowledgements."""
    async with client_of(server, sender=SenderSettings()) as client:
        for text in ("one", "two", "three"):
            await client.send_text(text)
        await client.flush(timeout=20)
        await records_of(client, 6)
        hellos = len(of_kind(server.heard, Hello))  # one, unless the first answer was slow
        await asyncio.sleep(2 * quick().longest_hello_interval)
    assert len(of_kind(server.heard, Hello)) == hellos
    assert [frame.seq for frame in of_kind(server.heard, TextInput)] == [1, 2, 3]
