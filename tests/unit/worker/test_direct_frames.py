"""Frames over a worker's own socket: those that are refused, and its bounds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import WSMsgType

from segue.wire.binary import decode_binary_server, encode_binary
from segue.wire.claims import DirectAddress
from segue.wire.frames import (
    MAX_FRAME_BYTES,
    AudioOutput,
    Error,
    Ping,
    Pong,
    TextInput,
    encode_frame,
)
from segue.wire.rate import FrameRate
from tests.support.waiting import eventually, promptly
from tests.unit.worker.socket_server import Door, closed, frames, hello
from tests.unit.worker.stand_ins import audio, speech
from worker.direct.router import SocketRouter
from worker.direct.times import TransportTimes


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


async def test_a_malformed_frame_gets_an_error_and_the_socket_stays_open(door: Door) -> None:
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


async def test_frames_that_come_too_fast_are_refused_and_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ingress.repeated_errors.REPEAT_SECONDS", 3600.0)
    rate, nothing, socket = FrameRate(lambda: 0.0, 1, 3), cast("Any", None), cast("Any", SimpleNamespace(id="s"))
    router = SocketRouter(nothing, nothing, rate, FrameRate(lambda: 0.0))
    answers = [await router.receive(socket, encode_frame(Ping())) for _ in range(50)]
    assert answers[:3] == [Pong()] * 3
    assert isinstance(answers[3], Error)
    assert answers[3].code == "too_fast"
    assert answers[4:] == [None] * 46
    another = cast("Any", SimpleNamespace(id="t"))
    assert await router.receive(another, encode_frame(Ping())) == Pong()


async def test_frames_of_one_principal_are_counted_over_all_its_sockets() -> None:
    nothing = cast("Any", None)
    router = SocketRouter(nothing, nothing, FrameRate(lambda: 0.0), FrameRate(lambda: 0.0, 1, 2))

    async def code(principal: str, number: int) -> str:
        socket = SimpleNamespace(id=str(number), principal=principal, token_expires_at=math.inf, binding=None)
        told = await router.receive(cast("Any", socket), encode_frame(TextInput(text="hi", seq=1)))
        assert isinstance(told, Error)
        return told.code

    told = [await code(*each) for each in (("alice", 1), ("alice", 2), ("alice", 3), ("bob", 4))]
    assert told == ["hello_first", "hello_first", "too_fast", "hello_first"]


async def test_a_second_session_over_one_socket_is_refused(door: Door) -> None:
    ws, _ = await door.bound()
    await ws.send_str(encode_frame(hello(session="another")))
    told: list[str] = []
    while not told:
        told = [one.code for one in await frames(ws) if isinstance(one, Error)]
    assert told == ["already_bound"]


async def test_a_principals_sessions_over_sockets_are_bounded(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(SEGUE_SESSIONS_PER_PRINCIPAL="1")
    first, _ = await door.bound()
    ws = await door.connect()
    await ws.send_str(encode_frame(hello(client_id="c2", session="another")))
    assert [one.code for one in await frames(ws)] == ["too_many_sessions"]
    assert not first.closed


@pytest.mark.parametrize("refused", [None, "too_many_sessions"])
async def test_a_client_hears_that_its_worker_lives_while_the_table_of_connections_is_slow(
    refused: str | None,
) -> None:
    said: list[Any] = []
    answered = asyncio.Event()

    async def say(frame: Any) -> None:
        said.append(frame)

    async def enter(*_: Any) -> str | None:
        await answered.wait()
        return refused

    async def deliver(*_: Any) -> None:
        assert bound

    bound: list[Any] = []
    socket = SimpleNamespace(
        id="s",
        principal="alice",
        token_expires_at=math.inf,
        binding=None,
        connection_id="direct-s",
        address=DirectAddress(endpoint="http://worker", socket="s", secret="x"),
        queue_frame=say,
        bind=lambda *_: bound.append(1),
    )
    rows, forwarding = SimpleNamespace(write_rows=enter), SimpleNamespace(deliver=deliver)
    rate = FrameRate(lambda: 0.0)
    times = TransportTimes(pong_seconds=0.01)
    router = SocketRouter(cast("Any", forwarding), cast("Any", rows), rate, FrameRate(lambda: 0.0), times=times)
    receiving = asyncio.create_task(router.receive(cast("Any", socket), encode_frame(hello())))
    try:
        await eventually(lambda: len(said) > 1 or receiving.done(), 10)
        assert said[:2] == [Pong()] * 2
    finally:
        answered.set()
        told = await promptly(receiving)
    assert getattr(told, "code", None) == refused
    assert bool(bound) is (refused is None)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "pong direct-s" and not task.cancelling()]


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


async def test_a_client_that_did_not_say_that_it_reads_binary_messages_is_sent_none(door: Door) -> None:
    ws, _ = await door.bound()
    door.world.models[0].emit([speech()])
    while not (spoken := [one for one in await frames(ws) if isinstance(one, AudioOutput)]):
        pass
    assert spoken[0].pcm == b"\1\0" * 80
