"""Frames of a worker's sockets for sessions that are held elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import pytest
from aiohttp import web

from segue.wire.binary import encode_binary
from segue.wire.claims import Claim
from segue.wire.delivery import HANDED_OVER, Delivery, decode_delivery, encode_refusal
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    AudioInput,
    Bye,
    ClientFrame,
    Ping,
    Pong,
    Ready,
    TextInput,
    encode_frame,
)
from shared.ingress.outcomes import Outcome
from shared.ingress.routes import Route, Routes
from tests.support.memory_manager import Latch
from tests.support.waiting import eventually
from tests.unit.worker.socket_server import KEY, Door, frames, hello
from worker.direct.forwarding import HolderPost
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
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.direct.router.PONG_SECONDS", 0.01)
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


async def test_a_session_that_was_just_released_is_left_to_its_successor(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
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


async def test_a_handoff_is_over_once_the_successor_has_taken_a_frame(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)

    async with Holder(202, 410) as predecessor, Holder(202, 410) as successor:
        predecessor.hands_over = True
        held_at(predecessor.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await eventually(lambda: len(predecessor.taken) == 1)
        await say(ws, 1)
        assert len(predecessor.taken) == 2, "the predecessor has answered that it handed over"
        held_at(successor.endpoint)
        await say(ws, 1)
        assert len(successor.taken) == 1
        held_at("")
        await ws.send_str(encode_frame(TextInput(text="two", seq=2)))
        await eventually(lambda: door.world.host.find(KEY) is not None)


@pytest.mark.slow
@pytest.mark.parametrize("ready", [True, False], ids=["ready", "none"])
async def test_a_session_that_ended_here_is_left_to_a_successor_that_has_it_ready(
    door: Door, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
    monkeypatch.setattr("worker.hosting.recent_handoffs.ACQUIRED_SECONDS", 600.0)
    ws, _ = await door.bound()
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # the hello waits no longer
        pass
    monkeypatch.setattr("shared.ingress.recent_claims.QUIET_SECONDS", 0.0)
    session = door.world.host.find(KEY)
    assert session is not None
    session.successor_ready = ready
    await session.stop()
    await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):
        pass
    if ready:
        assert not door.world.host.is_opening(KEY), "a claim would race the successor"
        assert door.world.host.find(KEY) is None
    else:
        await eventually(lambda: door.world.host.find(KEY) is not None)


@pytest.mark.slow
async def test_a_session_that_ends_here_without_a_successor_is_taken_again_once_it_has_ended(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
    monkeypatch.setattr("shared.ingress.recent_claims.QUIET_SECONDS", 0.0)
    ws, _ = await door.bound()
    first = door.world.host.find(KEY)
    assert first is not None
    first.refuse_frames()
    await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # the text has met a session that takes no more
        pass
    await first.stop()
    await eventually(lambda: door.world.host.find(KEY) not in {None, first})


async def test_a_session_that_only_ended_elsewhere_is_taken_at_once(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
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


async def test_a_second_handoff_of_a_session_that_came_to_this_worker_is_left_to_its_successor_anew(
    door: Door, held_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once this worker has taken a frame, the first handoff is over: its two seconds bound no second one."""
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
    monkeypatch.setattr("shared.ingress.recent_claims.QUIET_SECONDS", 0.0)
    principal, _, session_id = KEY.partition("/")
    claim = Claim(session_key=KEY, session_id=session_id, principal=principal, reason="handoff")
    async with Holder(202, 410) as predecessor:
        predecessor.hands_over = True
        held_at(predecessor.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await eventually(lambda: len(predecessor.taken) == 1)
        await say(ws, 1)
        assert len(predecessor.taken) == 2, "it has answered that it handed over"
        await door.world.host.open_session(claim)  # to this worker
        held_at(door.endpoint)
        await say(ws, 1)
    session = door.world.host.find(KEY)
    assert session is not None
    await session.stop()  # without a successor
    held_at("")
    await say(ws, 2)
    await eventually(lambda: door.world.host.find(KEY) not in {None, session})


async def test_a_predecessors_late_answer_is_not_the_successors(
    door: Door, held_at: Callable[[str], None], offered: list[Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ingress.handoffs.HANDOVER_SECONDS", 600.0)
    monkeypatch.setattr("shared.ingress.recent_claims.QUIET_SECONDS", 0.0)
    async with Holder(202, 202, None, 410) as predecessor:
        predecessor.hands_over = True
        held_at(predecessor.endpoint)
        first, second = await door.connect(), await door.connect()
        await first.send_str(encode_frame(hello()))
        await second.send_str(encode_frame(hello(client_id="c2")))
        await eventually(lambda: len(predecessor.taken) == 2)
        await first.send_str(encode_frame(TextInput(text="1", seq=1)))
        await eventually(lambda: len(predecessor.taken) == 3)  # not answered yet
        await say(second, 1)
        assert len(predecessor.taken) == 4, "it has answered that it handed over"
        held_at("")
        predecessor.late.set()
        await say(first, 2)
        await say(second, 2)
        assert offered == [], "a claim has overtaken the handoff"


async def say(ws: Any, seq: int) -> None:
    """Say a text, and wait until it has been dealt with."""
    await ws.send_str(encode_frame(TextInput(text=str(seq), seq=seq)))
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # frames are dealt with in their order
        pass
