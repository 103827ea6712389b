"""The door of a worker's own sockets: tokens, pages, places, bounds; and output of other workers for its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self, cast

import aiohttp
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError, web
from msgspec import structs
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.lease.item import Known
from segue.wire.binary import decode_binary_server, encode_binary
from segue.wire.claims import Claim, ClientAddress, DirectAddress
from segue.wire.delivery import HANDED_OVER, Delivery, decode_delivery, encode_refusal
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    AudioInput,
    AudioOutput,
    ClientFrame,
    Error,
    Hello,
    Moved,
    Ping,
    Pong,
    Ready,
    TextInput,
    Transcript,
    decode_server_message,
    encode_frame,
)
from segue.wire.output import OutputOrder
from segue.wire.rate import FrameRate
from shared.connections import ConnectionsTable
from shared.ingress.routes import Routes
from shared.principal import principal_of
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, KeyServer, publishing
from tests.support.memory_manager import MemorySessionManager, MemoryStorage
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly
from tests.unit.worker.conftest import World
from tests.unit.worker.stand_ins import audio, speech
from tests.unit.worker.test_claims import FakeQueue
from worker.aws.poster import PostOutcome
from worker.direct import door as door_module
from worker.direct.handshake import Handshake
from worker.direct.output_routes import SECRET_HEADER, SESSION_HEADER
from worker.direct.poster import ClientPoster
from worker.direct.router import SocketRouter
from worker.direct.sockets import ClientSocket, ClientSockets
from worker.direct.transport import DirectTransport, sockets_of
from worker.hosting.claims import ClaimTaker
from worker.hosting.successors import Successors
from worker.server import Listener, Status
from worker.settings import Environment

KEY = f"{principal_of(ISSUER, 'alice')}/talk"


@dataclass
class Door:
    """One worker's door, its sessions in memory.

    Attributes:
        sockets: Those that are open.
        world: Behind it.
        http: A client.
        url: Where clients connect.
        endpoint: Where other workers post.
        poster: Another worker's.
        issuer: Of tokens.
        keys: Publishes its keys.
    """

    sockets: ClientSockets
    world: World
    http: aiohttp.ClientSession
    url: str
    endpoint: str
    poster: ClientPoster
    issuer: Issuer
    keys: KeyServer

    async def connect(self, token: str | None = None, *, query: str = "", **options: Any) -> Any:
        token = self.issuer.token() if token is None else token
        return await self.http.ws_connect(
            self.url + query, protocols=("segue.v1", f"bearer.{token}") if token else (), **options
        )

    async def bound(self, **more: Any) -> tuple[Any, ClientSocket]:
        """A socket with a session; what came until its ``ready`` is read."""
        before = set(self.sockets.all())
        ws = await self.connect()
        await ws.send_str(encode_frame(hello(**more)))
        while not any(isinstance(frame, Ready) for frame in await frames(ws)):
            pass
        (socket,) = set(self.sockets.all()) - before
        return ws, socket


def hello(*, session: str = "talk", client_id: str = "c1", connection: int = 1, **more: Any) -> Hello:
    return Hello(session=session, client_id=client_id, connection=connection, **more)


async def frames(ws: Any) -> list[Any]:
    message = await promptly(ws.receive(), 10)
    assert message.type is WSMsgType.TEXT, message
    return list(decode_server_message(message.data))


async def closed(ws: Any) -> int:
    """The code with which a socket is closed."""
    while (message := await promptly(ws.receive(), 10)).type in {WSMsgType.TEXT, WSMsgType.BINARY}:
        pass
    assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED}
    return int(ws.close_code)


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[Issuer, KeyServer]]:
    made = Issuer()
    with publishing(made) as server:
        yield made, server


@pytest.fixture
async def open_door(
    dynamodb: Any, storage: MemoryStorage, keys: tuple[Issuer, KeyServer]
) -> AsyncIterator[Callable[..., Awaitable[Door]]]:
    """Opens a worker's door, with settings."""
    dynamodb.create_table(
        TableName="locks",
        KeySchema=[{"AttributeName": "session_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "session_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    async def others() -> list[Any]:
        return []

    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings: str) -> Door:
            environment = Environment.read(
                {
                    "SEGUE_STAGE": "test",
                    "SEGUE_LOCK_TABLE": "locks",
                    "SEGUE_CONNECTIONS_TABLE": "connections",
                    "SEGUE_CLAIMS_QUEUE_URL": "none",
                    "SEGUE_BUCKET": "none",
                    "SEGUE_TRANSPORT": "direct",
                    "SEGUE_TOKEN_ISSUER": ISSUER,
                    "SEGUE_TOKEN_AUDIENCE": AUDIENCE,
                    "SEGUE_TOKEN_KEYS_URL": keys[1].url,
                    **settings,
                }
            )
            sockets, endpoint = sockets_of(environment), ""
            own = await stack.enter_async_context(ClientPoster(None, sockets, lambda: endpoint))
            another = await stack.enter_async_context(ClientPoster(None, ClientSockets(0, 0), lambda: "http://another"))
            world = World(storage, own)  # type: ignore[arg-type]
            queue, host = FakeQueue(), world.begin()
            claims = ClaimTaker(queue, host)
            listener = Listener(host, Status(worker_id="w1", version="1", ready=True), claims, "token", sockets)
            endpoint = f"http://127.0.0.1:{await listener.start('127.0.0.1', 0)}"
            stack.push_async_callback(listener.close)
            successors = await stack.enter_async_context(Successors(others))
            direct = await stack.enter_async_context(
                DirectTransport.open(
                    environment,
                    sockets=sockets,
                    host=host,
                    claims=claims,
                    queue=queue,
                    successors=successors,
                    dynamodb=dynamodb,
                    endpoint=endpoint,
                )
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            stack.push_async_callback(end, world)
            url = f"http://127.0.0.1:{direct.port}/"
            return Door(sockets, world, http, url, endpoint, another, *keys)

        async def end(world: World) -> None:
            for session in world.host.sessions:
                await session.stop()

        yield make


@pytest.fixture
async def door(open_door: Callable[..., Awaitable[Door]]) -> Door:
    return await open_door()


async def refused(opening: Awaitable[Any]) -> int:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await opening
    return refusal.value.status


# Who may come in


async def test_a_token_of_the_query_is_as_good_as_one_of_the_subprotocol(door: Door) -> None:
    ws = await door.connect("", query=f"?token={door.issuer.token()}")
    await ws.send_str(encode_frame(Ping()))
    assert await frames(ws) == [Pong()]
    assert (await door.connect()).protocol == "segue.v1"


async def test_a_caller_without_a_good_token_is_refused_before_the_upgrade(door: Door) -> None:
    assert await refused(door.connect("")) == 403
    assert await refused(door.connect("nonsense")) == 403
    assert await refused(door.connect(door.issuer.token(exp=int(time.time()) - 60))) == 403
    assert await refused(door.connect(door.issuer.token(aud="another"))) == 403
    assert await refused(door.connect(query=f"?token={door.issuer.token(sub='bob')}")) == 403, "two tokens"
    assert len(door.sockets) == 0


async def test_an_issuer_that_does_not_answer_is_not_the_callers_fault(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door.keys, "answer", lambda: (500, b""))
    assert await refused(door.connect()) == 503


async def test_pages_of_other_addresses_may_not_connect(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_DIRECT_ORIGINS="https://talk.example,https://Other.example/")
    assert await refused(door.connect(origin="https://evil.example")) == 403
    for origin in ("https://talk.example", "https://other.example", None):
        assert not (await door.connect(origin=origin)).closed


async def test_what_is_no_upgrade_is_told_so_and_health_is_well(door: Door) -> None:
    async with door.http.get(door.url) as answer:
        assert answer.status == 426
    async with door.http.get(f"{door.url}health") as answer:
        assert (answer.status, await answer.json()) == (200, {"sockets": 0, "leaving": False})
    door.sockets.leaving = True
    async with door.http.get(f"{door.url}health") as answer:
        assert answer.status == 200, "a worker that leaves refuses sockets in words"


async def test_a_full_or_leaving_worker_sends_clients_to_another(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_DIRECT_SOCKETS="1")
    first = await door.connect()
    assert await closed(await door.connect("whatever it is")) == 1013
    await first.close()
    await eventually(lambda: len(door.sockets) == 0)
    second = await door.connect()
    await second.close()
    door.sockets.leaving = True
    assert await closed(await door.connect()) == 1013


async def test_a_principal_has_so_many_sockets_here_and_no_more(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_SESSIONS_PER_PRINCIPAL="1")
    held = [await door.connect() for _ in range(4)]
    assert await refused(door.connect()) == 429
    held.append(await door.connect(door.issuer.token(sub="bob")))
    await held[0].close()
    await eventually(lambda: len(door.sockets) == 4)
    assert not (await door.connect()).closed


async def test_a_connection_that_says_nothing_is_dropped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.door.HANDSHAKE_SECONDS", 0.05)
    port = int(door.url.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: w")
    with contextlib.suppress(ConnectionResetError):
        assert await promptly(reader.read(), 10) == b""
    writer.close()


async def test_a_socket_without_a_hello_is_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.door.HELLO_SECONDS", 0.05)
    assert await closed(await door.connect()) == 1008


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: segue.v1, bearer.%s\r\n\r\n"
)


def port_of(door: Door) -> int:
    return int(door.url.rstrip("/").rpartition(":")[2])


async def test_a_caller_that_leaves_while_its_token_is_checked_is_no_fault_of_this_worker(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    came, may_answer, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    bearer_of = Handshake.bearer_of

    async def slow(handshake: Handshake, request: web.BaseRequest) -> Any:
        came.set()
        await may_answer.wait()
        answered.set()
        return await bearer_of(handshake, request)

    monkeypatch.setattr(Handshake, "bearer_of", slow)
    ended = door_answers(monkeypatch)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(door))
    writer.write(UPGRADE % door.issuer.token().encode())
    await promptly(came.wait(), 10)
    writer.transport.abort()
    may_answer.set()
    await promptly(answered.wait(), 10)
    await promptly(ended.wait(), 10)
    assert len(door.sockets) == 0
    assert "could not be served" not in caplog.text


def door_answers(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the door has answered a request."""
    ended, last = asyncio.Event(), door_module._last

    def noted(answer: web.Response) -> web.Response:
        ended.set()
        return last(answer)

    monkeypatch.setattr(door_module, "_last", noted)
    return ended


async def test_a_body_that_does_not_come_holds_no_connection(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(door))
    writer.write(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nx")
    assert b"426" in await promptly(reader.readline(), 10)
    async with asyncio.timeout(5):  # aiohttp's own is 10
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


# What may be said


async def test_a_frame_before_the_hello_and_after_the_tokens_end_is_refused(door: Door) -> None:
    ws = await door.connect()
    await ws.send_str(encode_frame(TextInput(text="hi", seq=1)))
    assert [one.code for one in await frames(ws)] == ["hello_first"]
    (socket,) = door.sockets.all()
    socket.token_expires_at = 0
    await ws.send_str(encode_frame(hello()))
    assert [one.code for one in await frames(ws)] == ["expired"]
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # the socket stays
        pass


async def test_what_breaks_the_protocol_is_told_and_the_socket_stays(door: Door) -> None:
    ws = await door.connect()
    for message, code in (
        ("{", "bad_json"),
        ('{"type": "nonsense"}', "unknown_type"),
        ("x" * (MAX_FRAME_BYTES + 1), "oversize"),
        (encode_frame(hello(session="a/b")), "bad_session"),
    ):
        await ws.send_str(message)
        assert [one.code for one in await frames(ws)] == [code]
    await ws.send_bytes(b"\xff\xff")
    assert [one.code for one in await frames(ws)] == ["bad_frame"]


async def test_a_message_that_is_far_too_long_ends_the_socket(door: Door) -> None:
    ws = await door.connect()
    await ws.send_str("x" * (4 * MAX_FRAME_BYTES + 1))
    assert await closed(ws) == 1009


async def test_frames_that_come_too_fast_are_refused_and_told_of_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.router.SELDOM_SECONDS", 3600.0)
    rate, nothing, socket = FrameRate(lambda: 0.0, 1, 3), cast("Any", None), cast("Any", SimpleNamespace(id="s"))
    router = SocketRouter(nothing, nothing, rate, FrameRate(lambda: 0.0))
    answers = [await router.receive(socket, encode_frame(Ping())) for _ in range(50)]
    assert answers[:3] == [Pong()] * 3
    assert isinstance(answers[3], Error)
    assert answers[3].code == "too_fast"
    assert answers[4:] == [None] * 46
    another = cast("Any", SimpleNamespace(id="t"))
    assert await router.receive(another, encode_frame(Ping())) == Pong()


async def test_a_second_session_over_one_socket_is_refused(door: Door) -> None:
    ws, _ = await door.bound()
    await ws.send_str(encode_frame(hello(session="another")))
    told: list[str] = []
    while not told:
        told = [one.code for one in await frames(ws) if isinstance(one, Error)]
    assert told == ["already_bound"]


async def test_a_principal_has_so_many_sessions(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_SESSIONS_PER_PRINCIPAL="1")
    first, _ = await door.bound()
    ws = await door.connect()
    await ws.send_str(encode_frame(hello(client_id="c2", session="another")))
    assert [one.code for one in await frames(ws)] == ["too_many_sessions"]
    assert not first.closed


async def test_an_older_connection_of_a_client_is_superseded(door: Door) -> None:
    newer, _ = await door.bound(connection=2)
    ws = await door.connect()
    await ws.send_str(encode_frame(hello(connection=1)))
    assert [one.code for one in await frames(ws)] == ["superseded"]
    assert not newer.closed


async def test_audio_goes_both_ways_without_base64(door: Door) -> None:
    ws, _ = await door.bound(binary=True)
    await ws.send_bytes(encode_binary(audio(1)))
    model = door.world.models[0]
    await eventually(lambda: model.audio)
    assert model.audio[0] == audio(1).pcm
    model.emit([speech()])
    while (message := await promptly(ws.receive(), 10)).type is not WSMsgType.BINARY:
        pass
    spoken = decode_binary_server(message.data)
    assert spoken is not None
    assert spoken.pcm == b"\1\0" * 80
    assert spoken.epoch == 1


# Output of other workers


def client_of(bound: ClientSocket, **changes: str) -> ClientAddress:
    """The address of a socket's client, changed."""
    direct = structs.replace(bound.address, **changes)
    return ClientAddress(client_id="c1", connection_id=bound.connection_id, counter=1, direct=direct)


@pytest.mark.slow
async def test_output_of_another_worker_needs_the_secret_and_the_session_of_the_socket(door: Door) -> None:
    ws, socket = await door.bound()
    message = encode_frame(Moved()).encode()
    post = door.poster.post
    assert await post(KEY, client_of(socket), message) is PostOutcome.DELIVERED
    while Moved() not in await frames(ws):
        pass
    url, headers = f"{door.endpoint}/sockets/{socket.id}", {SESSION_HEADER: KEY}
    for changed in ({}, {SECRET_HEADER: "wrong"}, {SECRET_HEADER: "\xfc"}):
        async with door.http.post(url, data=message, headers={**headers, **changed}) as answer:
            assert answer.status == 403
    secret = socket.address.secret
    for key in ("", KEY + "2", KEY.replace("talk", "another"), f"{principal_of(ISSUER, 'bob')}/talk"):
        for method in ("POST", "GET", "DELETE"):
            async with door.http.request(
                method, url, data=message, headers={SECRET_HEADER: secret, SESSION_HEADER: key}
            ) as answer:
                assert answer.status == 403, (method, key)
    assert await post(KEY, client_of(socket, secret="wrong"), message) is PostOutcome.GONE
    assert await post(KEY, client_of(socket, socket="another"), message) is PostOutcome.GONE
    await ws.send_str(encode_frame(Ping()))
    came = []
    while Pong() not in came:
        came += await frames(ws)
    assert {type(one) for one in came} <= {Ready, Pong}, "nothing of all that has come"


async def test_a_socket_before_its_hello_takes_no_output(door: Door) -> None:
    ws = await door.connect()
    (socket,) = door.sockets.all()
    assert not ws.closed
    headers = {SECRET_HEADER: socket.address.secret, SESSION_HEADER: KEY}
    async with door.http.post(f"{door.endpoint}/sockets/{socket.id}", data=b"{}", headers=headers) as answer:
        assert answer.status == 403


async def test_this_workers_own_sessions_need_the_same(door: Door) -> None:
    ws, socket = await door.bound()
    own = door.world.clients.of_session(KEY)
    another = door.world.clients.of_session(KEY + "2")
    here = client_of(socket)
    assert await own.look(here) is PostOutcome.DELIVERED
    assert await another.post(here, b"{}") is PostOutcome.GONE
    assert await own.post(client_of(socket, secret="wrong"), b"{}") is PostOutcome.GONE
    assert not ws.closed


@pytest.mark.slow
async def test_a_client_that_does_not_read_holds_up_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.sockets.BUFFER_BYTES", 64 * 1024)
    ws, socket = await door.bound()
    message = encode_binary(AudioOutput(audio="AAAA" * 4000, rate=24000))
    here, outcomes = client_of(socket), []
    for _ in range(2000):  # more than all sockets' buffers on the way take
        outcomes.append(await promptly(door.poster.post(KEY, here, message), 10))
        if outcomes[-1] is not PostOutcome.DELIVERED:
            break
    assert outcomes[-1] is PostOutcome.LIMITED
    assert not ws.closed
    assert await door.poster.disconnect(KEY, here) is PostOutcome.DELIVERED
    await eventually(lambda: len(door.sockets) == 0)
    assert await door.poster.post(KEY, here, message) is PostOutcome.GONE


async def test_what_waits_for_a_client_that_has_vanished_is_given_up(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.direct.door.PING_SECONDS", 0.2)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(door), limit=1024)
    writer.write(UPGRADE % door.issuer.token().encode())
    await eventually(lambda: len(door.sockets) == 1)
    (socket,) = door.sockets.all()
    while await socket.send(b"{" + b" " * 32_000) is PostOutcome.DELIVERED:
        await asyncio.sleep(0)  # it does not read, and answers no ping
    await eventually(lambda: len(door.sockets) == 0)
    await eventually(lambda: socket._transport.get_write_buffer_size() == 0)
    writer.transport.abort()


async def test_the_socket_of_a_process_that_has_ended_is_gone(door: Door, unused_port: int) -> None:
    ws, socket = await door.bound()
    at = client_of(socket, endpoint=f"http://127.0.0.1:{unused_port}")
    assert await door.poster.post(KEY, at, b"{}") is PostOutcome.GONE
    assert not ws.closed


# Holders elsewhere


class Holder:
    """Another worker's address: it answers as told, or not at all.

    Attributes:
        answers: Statuses, used up one by one; then the last one. None: no answer.
        taken: The deliveries that came.
        hands_over: Whether 410 says that a successor is ready.
    """

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.taken: list[Delivery] = []
        self.endpoint = ""
        self.hands_over = False
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_post("/frames", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.taken.append(decode_delivery(await request.read()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            await self._over.wait()
        body = encode_refusal(HANDED_OVER if self.hands_over else "moved")
        return web.Response(status=status or 500, body=body if status == 410 else b"")


@pytest.fixture
def held_at(dynamodb: Any) -> Callable[[str], None]:
    """Has the lease of the session name a holder; nothing of it is in the storage of the door's worker."""

    def hold(endpoint: str) -> None:
        holder = {"acquire_id": "a", "endpoint": endpoint, "route_token": "t"} if endpoint else {}
        item = {"session_key": KEY, **holder}
        dynamodb.put_item(TableName="locks", Item={name: {"S": value} for name, value in item.items()})

    return hold


async def until_ready(ws: Any) -> Ready:
    while True:
        for frame in await frames(ws):
            if isinstance(frame, Ready):
                return frame


async def test_a_holder_elsewhere_is_given_frames_in_order_with_the_sockets_address(
    door: Door, held_at: Callable[[str], None]
) -> None:
    async with Holder(202) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        said: list[ClientFrame] = [
            hello(approvals=True),
            *(TextInput(text=str(number), seq=number) for number in range(1, 9)),
        ]
        for frame in said:
            await ws.send_str(encode_frame(frame))
        await eventually(lambda: len(holder.taken) == len(said))
        (socket,) = door.sockets.all()
        assert [one.frame for one in holder.taken] == said
        assert {one.session_key for one in holder.taken} == {KEY}
        assert {(one.direct.endpoint, one.direct.socket) for one in holder.taken if one.direct} == {
            (door.endpoint, socket.id)
        }
        assert all(one.approvals for one in holder.taken)


@pytest.mark.slow
async def test_a_holder_that_hangs_is_looked_past_while_the_post_goes_on(
    door: Door, held_at: Callable[[str], None]
) -> None:
    async with Holder(None) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await until_ready(ws)
        assert door.world.host.find(KEY) is not None
        assert len(holder.taken) == 1, "a hello is not given to two holders at once, nor twice to one"


async def test_a_holder_that_is_dead_is_replaced_by_this_worker(
    door: Door, held_at: Callable[[str], None], unused_port: int
) -> None:
    held_at(f"http://127.0.0.1:{unused_port}")
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await until_ready(ws)
    await ws.send_str(encode_frame(TextInput(text="hi", seq=1)))
    await eventually(lambda: door.world.models[0].texts == ["hi"])


async def test_a_session_that_was_just_released_is_left_to_its_successor(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.direct.claiming.HANDOFF_SECONDS", 600.0)
    async with Holder(202, 410) as predecessor, Holder(202) as successor:
        predecessor.hands_over = True
        held_at(predecessor.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await eventually(lambda: len(predecessor.taken) == 1)
        await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
        await eventually(lambda: len(predecessor.taken) >= 2)
        held_at("")  # released, and not acquired yet
        for _ in range(3):
            await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
        await ws.send_str(encode_frame(Ping()))
        while Pong() not in await frames(ws):
            pass
        held_at(successor.endpoint)
        await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
        await eventually(lambda: successor.taken)
        assert door.world.host.find(KEY) is None, "no claim has overtaken the handoff"


async def test_a_session_that_only_ended_elsewhere_is_taken_at_once(door: Door, held_at: Callable[[str], None]) -> None:
    async with Holder(202, 410) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await eventually(lambda: len(holder.taken) == 1)
        held_at("")
        await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
        await eventually(lambda: door.world.host.find(KEY) is not None)


async def test_the_loudest_binary_message_reaches_a_holder_elsewhere_too(
    door: Door, held_at: Callable[[str], None]
) -> None:
    async with Holder(202) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello(binary=True)))
        loud = AudioInput.from_pcm(bytes(MAX_FRAME_BYTES - 100), seq=1)
        await ws.send_bytes(encode_binary(loud))
        await eventually(lambda: len(holder.taken) == 2)
        assert holder.taken[-1].frame == loud


async def test_a_session_that_opens_here_while_its_lease_is_read_is_not_claimed_anew(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    held_at(door.endpoint)
    look, loop, claims = Routes.look, asyncio.get_running_loop(), []
    principal, _, session_id = KEY.partition("/")
    claim = Claim(session_key=KEY, session_id=session_id, principal=principal, reason="no-holder")

    def opened_meanwhile(routes: Routes, key: str) -> Any:
        asyncio.run_coroutine_threadsafe(door.world.host.take(claim), loop).result(10)
        return look(routes, key)

    async def noted(*args: Any) -> None:
        claims.append(args)

    monkeypatch.setattr(Routes, "look", opened_meanwhile)
    monkeypatch.setattr("worker.direct.claiming.Claiming.claim", noted)
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await until_ready(ws)
    assert not claims, "a claim as of a dead holder would greet all clients once more, and drop this frame"


async def test_silences_of_a_worker_that_are_far_apart_are_not_one(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.poster.VANISHED_SECONDS", 1e-9)
    monkeypatch.setattr("worker.direct.poster.FORGOTTEN_SECONDS", 1e-9, raising=False)
    at = DirectAddress(endpoint="http://127.0.0.1:1", socket="s", secret="s")
    for _ in range(3):
        assert door.poster._no_answer(at, TimeoutError()) is PostOutcome.UNKNOWN


@pytest.mark.slow
async def test_a_vanished_workers_sockets_are_gone_after_a_while(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.direct.poster.VANISHED_SECONDS", 0.2)
    ws, socket = await door.bound()
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(0), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    door.poster._http._timeout = aiohttp.ClientTimeout(total=0.1)  # type: ignore[union-attr]
    at = client_of(socket, endpoint=f"http://127.0.0.1:{port}")
    outcomes = [await door.poster.post(KEY, at, b"{}")]
    while outcomes[-1] is PostOutcome.UNKNOWN:
        outcomes.append(await door.poster.post(KEY, at, b"{}"))
    assert len(outcomes) > 1
    assert outcomes[-1] is PostOutcome.GONE
    silent.close()
    assert not ws.closed


@pytest.mark.slow
async def test_of_a_holder_that_was_fenced_no_journal_content_reaches_the_socket(door: Door) -> None:
    async def dead(_: Any) -> bool:
        return True

    ws, socket = await door.bound()
    model = door.world.models[0]
    session = door.world.host.find(KEY)
    assert session is not None
    other = MemorySessionManager(
        "talk",
        principal=principal_of(ISSUER, "alice"),
        storage=door.world.storage,
        holder="other",
        probe=dead,
        acquire_timeout=5.0,
    )
    await other.open()
    model.emit([BidiResponseStartEvent("r"), *spoken("stale"), speech(), BidiResponseStopEvent("r")])
    await promptly(session.ended.wait(), 30)
    order = OutputOrder()
    successor = Ready(session="talk", known=Known(), history=0, head=0, epoch=other.epoch, seq=1)
    assert await door.poster.post(KEY, client_of(socket), encode_frame(successor).encode()) is PostOutcome.DELIVERED
    came: list[Any] = []
    while successor not in came:
        came += await frames(ws)
    assert not [one for one in came if isinstance(one, Transcript) and one.final], "it was never durable"
    late = AudioOutput(audio="AAAA", rate=24000, epoch=session.epoch, seq=99)
    await door.poster.post(KEY, client_of(socket), encode_frame(late).encode())
    came += await frames(ws)
    assert late in came
    assert late not in [shown for frame in came for shown in order.offer(frame, 0.0)], "a client drops it"
    await other.close()


# Rows and logs


@pytest.mark.slow
async def test_rows_are_written_renewed_and_taken_away(
    door: Door, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.direct.rows.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("worker.direct.rows.RENEW_SECONDS", 0.0)
    table = ConnectionsTable(dynamodb, "connections")
    ws, socket = await door.bound(binary=True)
    (client,) = await asyncio.to_thread(table.clients, KEY)
    assert client == socket.client
    assert client.direct is not None
    assert client.direct.binary

    def rows() -> list[Any]:
        return list(dynamodb.scan(TableName="connections")["Items"])

    def expiry() -> list[int]:
        return [int(row["expires_at"]["N"]) for row in rows() if row["sk"]["S"].startswith("client/")]

    (before,) = expiry()
    assert before - time.time() <= 15 * 60
    await eventually(lambda: expiry()[0] > before, 20)
    await ws.close()
    await eventually(lambda: not expiry())
    await eventually(lambda: not any(row["open"]["M"] for row in rows() if "open" in row))


async def test_neither_token_nor_secret_comes_into_the_log(
    door: Door, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", logger="service_undefined")
    caplog.set_level("DEBUG", logger="aiohttp")
    token = door.issuer.token()
    ws = await door.http.ws_connect(door.url, protocols=(f"bearer.{token}",))  # without the protocol's own name
    await ws.send_str(encode_frame(hello()))
    await eventually(lambda: any(socket.binding for socket in door.sockets.all()))
    (socket,) = door.sockets.all()
    await door.poster.post(KEY, client_of(socket, endpoint="http://127.0.0.1:1"), b"{}")
    repr((socket, socket.address, socket.client, Delivery))
    port = int(door.url.rstrip("/").rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /?token=" + token.encode() + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n")  # too long to be read
    await writer.drain()
    await ws.close()
    await eventually(lambda: len(door.sockets) == 0)
    writer.close()
    seen = caplog.text + "".join(capfd.readouterr()) + repr(socket.client)
    assert token not in seen
    assert "aiohttp" not in seen, "what cannot be read fills no log"
    assert socket.address.secret not in seen
