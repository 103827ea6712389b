"""One worker's door, its sessions in memory; another worker's poster; and a client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from msgspec import structs

from segue.ids import principal_of
from segue.wire.claims import ClientAddress
from segue.wire.frames import Hello, Ready, decode_server_message, encode_frame
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, KeyServer, publishing
from tests.support.memory_manager import MemoryStorage
from tests.support.waiting import promptly
from tests.unit.worker.stand_ins import FakeQueue
from tests.unit.worker.worlds import World
from worker.direct.poster import ClientPoster
from worker.direct.sockets import ClientSocket, ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
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
def issuer_keys() -> Iterator[tuple[Issuer, KeyServer]]:
    made = Issuer()
    with publishing(made) as server:
        yield made, server


@pytest.fixture
async def open_door(
    dynamodb: Any, storage: MemoryStorage, issuer_keys: tuple[Issuer, KeyServer]
) -> AsyncIterator[Callable[..., Awaitable[Door]]]:
    """Opens a worker's door, with settings and time limits."""
    dynamodb.create_table(
        TableName="locks",
        KeySchema=[{"AttributeName": "session_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "session_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    async def others() -> list[Any]:
        return []

    async with contextlib.AsyncExitStack() as stack:

        async def make(
            times: TransportTimes = TRANSPORT_TIMES, clock: Callable[[], float] = time.monotonic, **settings: str
        ) -> Door:
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
                    "SEGUE_TOKEN_KEYS_URL": issuer_keys[1].url,
                    **settings,
                }
            )
            sockets, endpoint = sockets_of(environment), ""
            own = await stack.enter_async_context(ClientPoster(None, sockets, lambda: endpoint))
            another = await stack.enter_async_context(ClientPoster(None, ClientSockets(0, 0), lambda: "http://another"))
            world = World(storage, own)  # type: ignore[arg-type]
            queue, host = FakeQueue(), world.begin(clock=clock)
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
                    times=times,
                )
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            stack.push_async_callback(end, world)
            url = f"http://127.0.0.1:{direct.port}/"
            return Door(sockets, world, http, url, endpoint, another, *issuer_keys)

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


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: segue.v1, bearer.%s\r\n\r\n"
)


def port_of(door: Door) -> int:
    return int(door.url.rstrip("/").rpartition(":")[2])


def client_of(bound: ClientSocket, **changes: str) -> ClientAddress:
    """The address of a socket's client, changed."""
    direct = structs.replace(bound.address, **changes)
    return ClientAddress(client_id="c1", connection_id=bound.connection_id, counter=1, direct=direct)
