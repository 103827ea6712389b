"""The door of a worker's own sockets: tokens, pages, places, and requests before the upgrade."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from segue.wire.frames import (
    Ping,
    Pong,
    encode_frame,
)
from tests.support.waiting import eventually, promptly, within
from tests.unit.worker.socket_server import UPGRADE, Door, closed, frames, port_of, refused
from worker.direct import socket_server as door_module
from worker.direct.handshake import Handshake
from worker.direct.times import TransportTimes


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


async def test_a_request_without_upgrade_gets_426_and_health_gets_200(door: Door) -> None:
    async with door.http.get(door.url) as answer:
        assert answer.status == 426
    async with door.http.get(f"{door.url}health") as answer:
        assert (answer.status, await answer.read()) == (200, b""), "everyone can ask: it says no figures"
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


async def test_a_principals_sockets_on_one_worker_are_bounded(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_SESSIONS_PER_PRINCIPAL="1")
    held = [await door.connect() for _ in range(4)]
    assert await refused(door.connect()) == 429
    held.append(await door.connect(door.issuer.token(sub="bob")))
    await held[0].close()
    await eventually(lambda: len(door.sockets) == 4)
    assert not (await door.connect()).closed


async def test_a_connection_that_says_nothing_is_dropped(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(TransportTimes(handshake_seconds=0.05))
    port = int(door.url.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: w")
    with contextlib.suppress(ConnectionResetError):
        assert await promptly(reader.read(), 10) == b""
    writer.close()


async def test_a_socket_without_a_hello_is_closed(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(TransportTimes(hello_seconds=0.05))
    assert await closed(await door.connect()) == 1008


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
    ended, last = asyncio.Event(), door_module._with_close

    def noted(answer: web.Response) -> web.Response:
        ended.set()
        return last(answer)

    monkeypatch.setattr(door_module, "_with_close", noted)
    return ended


@pytest.mark.slow
async def test_a_body_that_does_not_come_holds_no_connection(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(door))
    writer.write(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nx")
    assert b"426" in await promptly(reader.readline(), 10)
    async with within(5):  # aiohttp's own is 10
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()
