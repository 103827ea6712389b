"""Holders of a session at other addresses, for the tests of a worker's sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import pytest
from aiohttp import web

from segue.wire.claims import Claim
from segue.wire.delivery import HANDED_OVER, Delivery, decode_delivery, encode_refusal
from segue.wire.frames import (
    Ping,
    Pong,
    Ready,
    TextInput,
    encode_frame,
)
from tests.unit.worker.socket_server import KEY, frames
from worker.hosting.claims import ClaimTaker


class Holder:
    """Another worker's address: it answers as told, or not at all.

    Attributes:
        answers: Statuses, used up one by one; then the last one. None: no answer until ``late``.
        taken: The deliveries that came.
        hands_over: Whether 410 says that a successor is ready.
        late: Set when what was not answered is, with 202.
    """

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.taken: list[Delivery] = []
        self.endpoint = ""
        self.hands_over = False
        self.late = asyncio.Event()
        app = web.Application()
        app.router.add_post("/frames", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.late.set()
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.taken.append(decode_delivery(await request.read()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            await self.late.wait()
        body = encode_refusal(HANDED_OVER if self.hands_over else "moved")
        return web.Response(status=status or 202, body=body if status == 410 else b"")


@pytest.fixture
def held_at(dynamodb: Any) -> Callable[[str], None]:
    """Has the lease of the session name a holder; nothing of it is in the storage of the door's worker."""

    def hold(endpoint: str) -> None:
        holder = {"acquire_id": "a", "endpoint": endpoint, "route_token": "t"} if endpoint else {}
        item = {"session_key": KEY, **holder}
        dynamodb.put_item(TableName="locks", Item={name: {"S": value} for name, value in item.items()})

    return hold


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """The claims that are offered to the door's worker."""
    offered: list[Claim] = []
    offer = ClaimTaker.offer_claim

    def noted(taker: ClaimTaker, claim: Claim) -> None:
        offered.append(claim)
        offer(taker, claim)

    monkeypatch.setattr(ClaimTaker, "offer_claim", noted)
    return offered


async def until_ready(ws: Any) -> Ready:
    while True:
        for frame in await frames(ws):
            if isinstance(frame, Ready):
                return frame


async def say(ws: Any, seq: int) -> None:
    """Say a text, and wait until it has been dealt with."""
    await ws.send_str(encode_frame(TextInput(text=str(seq), seq=seq)))
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # frames are dealt with in their order
        pass
