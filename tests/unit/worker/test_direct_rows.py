"""Rows of sockets in the connections table, and what comes into no log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segue.wire.delivery import Delivery
from segue.wire.frames import (
    encode_frame,
)
from shared.connections import ConnectionsTable
from tests.support.waiting import eventually
from tests.unit.worker.socket_server import KEY, Door, client_of, hello
from worker.direct.times import TransportTimes


@pytest.mark.slow
async def test_rows_are_written_renewed_and_taken_away(
    open_door: Callable[..., Awaitable[Door]], dynamodb: Any
) -> None:
    door = await open_door(TransportTimes(rows_look_seconds=0.01, renewal_seconds=0.0))
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

    def counted() -> list[int]:
        """Ends of the sockets that count among their principal's."""
        return [int(one["S"].partition(" ")[0]) for row in rows() if "open" in row for one in row["open"]["M"].values()]

    (before,), (counts_until,) = expiry(), counted()
    assert max(before, counts_until) - time.time() <= 15 * 60
    await eventually(lambda: expiry()[0] > before and counted()[0] > counts_until, 20)
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
