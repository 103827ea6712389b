"""The way of a browser's WebSocket to the emulator: nothing is changed but the subprotocol that it leaves out."""

from __future__ import annotations

import asyncio
import http
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import websockets.asyncio.server as upstream
from websockets.asyncio import client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from local.deployment.issuer import Issuer
from local.page.server import PageServer
from tests.support.waiting import promptly, within

OFFER = [Subprotocol("segue.v1"), Subprotocol("bearer.secret")]


class Emulator:
    """Takes connections as the emulator does: it names no subprotocol.

    Attributes:
        requests: The handshakes.
        status: Of the next handshakes; None to take them.
        then: What is done with each connection.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status: int | None = None
        self.url = ""
        self.then: Callable[[upstream.ServerConnection], Awaitable[None]] = self.echo
        self.ended: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    @staticmethod
    async def echo(connection: upstream.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def handle(self, connection: upstream.ServerConnection) -> None:
        try:
            await self.then(connection)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self.ended.put_nowait((connection.close_code, connection.close_reason))

    def process(self, connection: upstream.ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return None if self.status is None else connection.respond(http.HTTPStatus(self.status), "no\n")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    emulator = Emulator()
    server = await upstream.serve(
        emulator.handle, "127.0.0.1", 0, process_request=emulator.process, ping_interval=None, compression=None,
        select_subprotocol=lambda *_: None,
    )  # fmt: skip
    async with server:
        emulator.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/_aws/execute-api/abc/local"
        yield emulator


@pytest.fixture
async def page(settings, emulator: Emulator) -> AsyncIterator[PageServer]:
    server = PageServer(Issuer(settings), lambda: emulator.url, origins=["http://localhost:5173"])
    await server.start(0)
    yield server
    await server.stop()


async def connect(page: PageServer, **more) -> client.ClientConnection:
    more = {"subprotocols": OFFER, "ping_interval": None, **more}
    return await client.connect(page.socket_url, **more)


async def test_the_subprotocol_is_sent_back_and_the_token_is_not(page, emulator):
    async with await connect(page) as connection:
        assert connection.subprotocol == "segue.v1"
    (request,) = emulator.requests
    assert request.path == "/_aws/execute-api/abc/local"
    assert request.headers["Sec-WebSocket-Protocol"].replace(" ", "") == "segue.v1,bearer.secret"


async def test_a_client_that_offers_no_subprotocol_gets_none(page, emulator):
    async with await client.connect(f"{page.socket_url}?token=secret") as connection:
        assert connection.subprotocol is None
    assert emulator.requests[0].path.endswith("/local?token=secret")


async def test_messages_go_both_ways_unchanged(page):
    async with await connect(page) as connection, within():
        for message in ("hello", "", "Zoë ☃", "x" * 32_768, b"\x00\xff"):
            await connection.send(message)
            assert await connection.recv() == message


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_refused_handshake_keeps_its_status(page, emulator, status):
    emulator.status = status
    with pytest.raises(InvalidStatus) as refused:
        await connect(page)
    assert refused.value.response.status_code == status


@pytest.mark.slow
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "Going away"), (1011, "ö"), (4321, "own")])
async def test_the_servers_close_keeps_code_and_reason(page, emulator, code, reason):
    async def then(connection: upstream.ServerConnection) -> None:
        await connection.close(code, reason)

    emulator.then = then
    connection = await connect(page)
    async with within():
        await connection.wait_closed()
    assert (connection.close_code, connection.close_reason) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "tab closed"), (4321, "own")])
async def test_the_browsers_close_keeps_code_and_reason(page, emulator, code, reason):
    connection = await connect(page)
    await connection.close(code, reason)
    assert await promptly(emulator.ended.get()) == (code, reason)
    assert connection.close_code == code


async def test_an_end_without_a_close_is_such_an_end_on_both_sides(page, emulator):
    async def then(connection: upstream.ServerConnection) -> None:
        connection.transport.abort()

    emulator.then = then
    connection = await connect(page)
    with pytest.raises(ConnectionClosedError):
        async with within():
            await connection.recv()
    assert connection.close_code == 1006
    await emulator.ended.get()

    emulator.then = emulator.echo
    connection = await connect(page)
    connection.transport.abort()
    assert (await promptly(emulator.ended.get()))[0] == 1006


async def test_pings_are_answered_by_the_far_end(page, emulator):
    pinged: asyncio.Queue[bytes] = asyncio.Queue()

    async def then(connection: upstream.ServerConnection) -> None:
        await promptly(await connection.ping(b"from the server"))
        pinged.put_nowait(b"answered")
        await emulator.echo(connection)

    emulator.then = then
    async with await connect(page) as connection:
        reading = asyncio.create_task(connection.recv())  # pings are answered while it reads
        assert await promptly(pinged.get()) == b"answered"
        await promptly(await connection.ping(b"from the browser"))
        reading.cancel()


@pytest.mark.parametrize("origin", [None, "page", "http://localhost:5173"])
async def test_the_page_and_programs_may_connect(page, origin):
    async with await connect(page, origin=page.url.rstrip("/") if origin == "page" else origin) as connection:
        await connection.send("hello")
        assert await promptly(connection.recv()) == "hello"


@pytest.mark.parametrize(
    "more",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"additional_headers": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}},
    ],
    ids=str,
)
async def test_another_website_reaches_no_emulator(page, emulator, more):
    with pytest.raises(InvalidStatus) as refused:
        await connect(page, **more)
    assert refused.value.response.status_code == 403
    assert emulator.requests == []


async def test_a_name_that_was_bent_to_loopback_reaches_no_emulator(page, emulator):
    address = f"ws://rebound.example:{page.port}/socket"
    with pytest.raises(InvalidStatus) as refused:
        await client.connect(address, host="127.0.0.1", port=page.port, origin=f"http://rebound.example:{page.port}")
    assert refused.value.response.status_code == 403
    assert emulator.requests == []


async def test_an_emulator_that_does_not_answer_is_a_bad_gateway(settings):
    page = PageServer(Issuer(settings), lambda: "ws://127.0.0.1:9/")
    await page.start(0)
    try:
        with pytest.raises(InvalidStatus) as refused:
            await connect(page)
        assert refused.value.response.status_code == 502
        async with aiohttp.ClientSession() as session, session.get(f"{page.url}socket") as answer:
            assert answer.status == 426
    finally:
        await page.stop()


async def test_the_end_of_the_stack_ends_connections(page, emulator):
    connection = await connect(page)
    await page.stop()
    await promptly(connection.wait_closed())
    assert (await promptly(emulator.ended.get()))[0] is not None
