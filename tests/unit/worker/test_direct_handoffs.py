"""Frames of a worker's sockets for sessions that are being handed over, or have ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segue.testing import ManualClock
from segue.wire.claims import Claim
from segue.wire.frames import (
    Ping,
    Pong,
    TextInput,
    encode_frame,
)
from tests.support.waiting import eventually
from tests.unit.worker.other_holders import Holder, say
from tests.unit.worker.socket_server import KEY, Door, frames, hello
from worker.direct.times import TransportTimes


async def handed_over(door: Door, held_at: Callable[[str], None], predecessor: Holder) -> Any:
    """Open a socket of a session whose holder has answered its text with a handoff."""
    predecessor.hands_over = True
    held_at(predecessor.endpoint)
    ws = await door.connect()
    await ws.send_str(encode_frame(hello()))
    await eventually(lambda: len(predecessor.taken) == 1)
    await say(ws, 1)
    assert len(predecessor.taken) == 2, "it has answered that it handed over"
    return ws


async def test_a_session_that_was_just_released_is_left_to_its_successor(
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None]
) -> None:
    door = await open_door(TransportTimes(handover_seconds=600.0))
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
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None]
) -> None:
    door = await open_door(TransportTimes(handover_seconds=600.0))

    async with Holder(202, 410) as predecessor, Holder(202, 410) as successor:
        ws = await handed_over(door, held_at, predecessor)
        held_at(successor.endpoint)
        await say(ws, 1)
        assert len(successor.taken) == 1
        held_at("")
        await ws.send_str(encode_frame(TextInput(text="two", seq=2)))
        await eventually(lambda: door.world.host.find(KEY) is not None)


@pytest.mark.slow
@pytest.mark.parametrize("ready", [True, False], ids=["ready", "none"])
async def test_a_session_that_ended_here_is_left_to_a_successor_that_has_it_ready(
    open_door: Callable[..., Awaitable[Door]], ready: bool
) -> None:
    stands_still = ManualClock().now
    door = await open_door(TransportTimes(handover_seconds=600.0, quiet_seconds=0.0), stands_still)
    ws, _ = await door.bound()
    await ws.send_str(encode_frame(Ping()))
    while Pong() not in await frames(ws):  # the hello waits no longer
        pass
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
    open_door: Callable[..., Awaitable[Door]],
) -> None:
    door = await open_door(TransportTimes(handover_seconds=600.0, quiet_seconds=0.0))
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
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None]
) -> None:
    door = await open_door(TransportTimes(handover_seconds=600.0))
    async with Holder(202, 410) as holder:
        held_at(holder.endpoint)
        ws = await door.connect()
        await ws.send_str(encode_frame(hello()))
        await eventually(lambda: len(holder.taken) == 1)
        held_at("")
        await ws.send_str(encode_frame(TextInput(text="one", seq=1)))
        await eventually(lambda: door.world.host.find(KEY) is not None)


async def test_a_second_handoff_of_a_session_that_came_to_this_worker_is_left_to_its_successor_anew(
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None]
) -> None:
    """Once this worker has taken a frame, the first handoff is over: its two seconds bound no second one."""
    door = await open_door(TransportTimes(handover_seconds=600.0, quiet_seconds=0.0))
    principal, _, session_id = KEY.partition("/")
    claim = Claim(session_key=KEY, session_id=session_id, principal=principal, reason="handoff")
    async with Holder(202, 410) as predecessor:
        ws = await handed_over(door, held_at, predecessor)
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
    open_door: Callable[..., Awaitable[Door]], held_at: Callable[[str], None], offered: list[Claim]
) -> None:
    door = await open_door(TransportTimes(handover_seconds=600.0, quiet_seconds=0.0))
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
