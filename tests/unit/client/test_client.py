"""The client on real sockets: it connects, loses connections, and nothing is lost or doubled."""

import asyncio

import pytest
from websockets.asyncio.client import connect

from segue.client import (
    Client,
    ClientClosed,
    ConnectionLost,
    EventsNotRead,
    HandshakeRefused,
    NotReady,
    SenderFull,
    SessionRefused,
)
from segue.client.events import EventBuffer
from segue.wire.frames import (
    AnswerInput,
    Approval,
    ApprovalRequest,
    AudioOutput,
    Bye,
    Error,
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    OutputAck,
    Ping,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    decode_server_message,
    encode_frame,
    error_frame,
)
from segue.wire.sender import SenderSettings
from tests.support.waiting import promptly, within
from tests.unit.client.conftest import ASKS, Network, events_until, quick, records_of


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


async def test_hello_is_repeated_until_a_holder_is_ready(server):
    server.answer_hello = False
    starting = asyncio.create_task(client_of(server).start())
    await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) >= 3)
    server.answer_hello = True
    await promptly(starting, 20)


async def test_no_holder_ready_in_time(server):
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
    async with within(20):
        while len(server.handshakes) < 3:
            await asyncio.sleep(0)
    server.refuse_with = None
    await promptly(starting, 20)


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


# --- who is there


async def test_a_token_is_got_for_each_connection_and_goes_as_a_subprotocol(server):
    tokens = iter(["first.a-b_c.1", "second.a-b_c.2"])

    async def token():
        return next(tokens)

    async with Client(server.url, session="s", token=token, settings=quick()) as client:
        server.cut()
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
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
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
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
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)
        server.refuse_with = 403
        server.cut()
        with pytest.raises(HandshakeRefused, match="missing, wrong or expired"):
            await events_until(client, lambda _: False)


async def test_who_issues_tokens_may_be_away_for_a_moment(server):
    answers = iter(["one", OSError("no route"), "two"])

    def token():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with Client(server.url, session="s", token=token, settings=quick()):
        server.cut()
        await server.heard_all(lambda server: len(of_kind(server.heard, Hello)) == 2)


async def test_a_wrong_address_is_not_tried_again(server):
    server.refuse_with = 404
    with pytest.raises(HandshakeRefused, match="check the address"):
        await client_of(server).start()
    assert len(server.handshakes) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_the_reason_why_no_holder_was_ready(server, status):
    server.refuse_with = status
    with pytest.raises(NotReady, match=f"status {status}"):
        await client_of(server, ready_timeout=0.2).start()
    server.refuse_with, server.answer_hello = None, False
    starting = asyncio.create_task(client_of(server, ready_timeout=0.5).start())
    await server.heard_all(lambda server: server.connections)
    await server.connections[-1].send(encode_frame(error_frame("too_many_sessions")))
    with pytest.raises(NotReady, match="too_many_sessions: "):
        await starting


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
        async with within(20):
            while len(server.handshakes) < 2:
                await asyncio.sleep(0.01)
        server.inbound = Network()
        await client.flush(timeout=20)
    assert server.texts == ["hi"]


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


async def test_images_and_traces(server):
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
            await promptly(flushing, 20)


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


async def test_what_waits_to_be_read_is_bounded_in_bytes():
    buffer = EventBuffer(capacity=1000, lasting_capacity=1000, capacity_bytes=100_000)
    buffer.put([AudioOutput(audio="A" * 40_000, rate=8000, epoch=1, seq=seq) for seq in range(1, 4)])
    buffer.put([TextOutput(text="x" * 40_000, record=0)])
    assert buffer.dropped == 2
    with pytest.raises(EventsNotRead):
        buffer.put([TextOutput(text="x" * 61_000, record=1)])
    await buffer.next()
    buffer.put([])


async def test_the_client_does_not_say_more_than_it_must(server):
    """A quiet conversation is a few frames: no needless hellos, repeats or acknowledgements."""
    async with client_of(server, sender=SenderSettings()) as client:
        for text in ("one", "two", "three"):
            await client.send_text(text)
        await client.flush(timeout=20)
        await records_of(client, 6)
    assert len(of_kind(server.heard, Hello)) == 1
    assert [frame.seq for frame in of_kind(server.heard, TextInput)] == [1, 2, 3]


# --- approvals


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
async def test_what_is_asked_is_shown_once_and_the_answer_is_taken_once(server, seed):
    if seed is not None:
        server.inbound, server.outbound = Network(seed, 0.2), Network(seed + 100, 0.2)
        server.cut_every = 2
    shown = []
    async with Client(server.url, session="s", approvals=True, settings=quick()) as client:
        await client.send_text(ASKS)
        shown += await events_until(client, lambda event: isinstance(event, Approval))
        assert client.approval == shown[-1]
        await client.answer(client.approval, {"i": {"approved": True}})
        shown += await events_until(client, lambda event: isinstance(event, TextOutput))
        await client.flush(timeout=20)
        assert client.approval is None
    assert all(hello.approvals for hello in of_kind(server.heard, Hello))
    assert [approval.status for approval in of_kind(shown, Approval)] == ["asked", "answered"]
    assert [role for role, _, _ in server.journal] == ["user", "ask", "answer", "agent"]
    (answered,) = {frame.seq: frame for frame in of_kind(server.heard, AnswerInput)}.values()
    assert (answered.approval, answered.responses[0].response) == (1, {"approved": True})


async def test_an_answer_that_does_not_fit_is_refused_before_it_has_a_number(server):
    async with Client(server.url, session="s", approvals=True, settings=quick()) as client:
        asked = Approval(status="asked", record=1, requests=(ApprovalRequest(id="i", name="a"),))
        for responses in ({}, {"j": True}, {"i": True, "j": True}):
            with pytest.raises(ValueError, match="answer each request"):
                await client.answer(asked, responses)
        for response in (None, float("nan"), object(), "x" * 40_000):
            with pytest.raises(FrameError):
                await client.answer(asked, {"i": response})
        assert client.unacknowledged == 0
        await client.send_text("hi")
        await client.flush(timeout=20)
    assert of_kind(server.heard, AnswerInput) == []


async def test_a_client_that_says_nothing_of_approvals_cannot_answer_them(server):
    async with client_of(server):
        pass
    assert not of_kind(server.heard, Hello)[0].approvals
