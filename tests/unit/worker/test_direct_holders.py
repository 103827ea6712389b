"""Frames of a worker's sockets for sessions that are held elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segue.wire.binary import encode_binary
from segue.wire.claims import Claim
from segue.wire.delivery import decode_delivery
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    AudioInput,
    Bye,
    ClientFrame,
    Ping,
    Pong,
    TextInput,
    encode_frame,
)
from shared.ingress.outcomes import Outcome
from shared.ingress.routes import Route, Routes
from tests.support.memory_manager import Latch
from tests.support.waiting import eventually
from tests.unit.worker.other_holders import Holder, until_ready
from tests.unit.worker.socket_server import KEY, Door, frames, hello
from worker.direct.forwarding import HolderPost
from worker.direct.times import TransportTimes


@pytest.mark.slow
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


async def test_only_a_frame_with_a_number_may_be_posted_twice(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [hello(), TextInput(text="a", seq=1), TextInput(text="b"), Bye()]
    twice: list[tuple[ClientFrame, bool]] = []
    post = HolderPost.__call__

    async def noted(self: HolderPost, route: Route, body: bytes, *, repeatable: bool) -> Outcome:
        twice.append((decode_delivery(body).frame, repeatable))
        return await post(self, route, body, repeatable=repeatable)

    monkeypatch.setattr(HolderPost, "__call__", noted)
    async with Holder(202) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        for frame in said:
            await ws.send_str(encode_frame(frame))
        await eventually(lambda: len(holder.taken) == len(said))
    assert twice == list(zip(said, (False, True, False, False), strict=True))


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


async def test_a_client_whose_hello_waits_hears_that_its_worker_lives(
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None]
) -> None:
    door = await open_door(TransportTimes(pong_seconds=0.01))
    async with Holder(None) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        assert await frames(ws) == [Pong()]
    await eventually(lambda: not any(task.get_name().startswith("pong ") for task in asyncio.all_tasks()))


async def test_a_holder_that_is_dead_is_replaced_by_this_worker(
    door: Door, held_at: Callable[[str], None], unused_port: int
) -> None:
    held_at(f"http://127.0.0.1:{unused_port}")
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await until_ready(ws)
    await ws.send_str(encode_frame(TextInput(text="hi", seq=1)))
    await eventually(lambda: door.world.models[0].texts == ["hi"])


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
    look, loop, claims = Routes.read_route, asyncio.get_running_loop(), []
    principal, _, session_id = KEY.partition("/")
    claim = Claim(session_key=KEY, session_id=session_id, principal=principal, reason="no-holder")

    def opened_meanwhile(routes: Routes, key: str) -> Any:
        asyncio.run_coroutine_threadsafe(door.world.host.open_session(claim), loop).result(10)
        return look(routes, key)

    async def noted(*args: Any) -> None:
        claims.append(args)

    monkeypatch.setattr(Routes, "read_route", opened_meanwhile)
    monkeypatch.setattr("worker.direct.claiming.Claiming.claim", noted)
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await until_ready(ws)
    assert not claims, "a claim as of a dead holder would greet all clients once more, and drop this frame"


async def test_a_session_that_is_being_opened_here_is_not_claimed_anew(
    door: Door, held_at: Callable[[str], None], offered: list[Claim]
) -> None:
    """Its lease names this worker before it takes frames."""
    principal, _, session_id = KEY.partition("/")
    claim = Claim(session_key=KEY, session_id=session_id, principal=principal, reason="no-holder")
    held_at(door.endpoint)
    door.world.storage.before = latch = Latch("acquire")
    opening = asyncio.create_task(door.world.host.open_session(claim))
    await latch.reached.wait()
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):
        pass
    latch.go.set()
    await opening
    await until_ready(ws)
    assert offered == [], "a claim would greet all clients once more"
