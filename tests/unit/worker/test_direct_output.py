"""Output of sessions that other workers hold, for sockets of this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from strands.bidi.types.events import BidiResponseStartEvent, BidiResponseStopEvent

from segue.ids import principal_of
from segue.lease.item import Known
from segue.testing import ManualClock
from segue.wire.binary import encode_binary
from segue.wire.claims import ClientAddress, DirectAddress
from segue.wire.frames import (
    AudioOutput,
    Moved,
    Ping,
    Pong,
    Ready,
    Transcript,
    encode_frame,
)
from segue.wire.output import OutputNumbering, OutputOrder
from tests.support.issuer import ISSUER
from tests.support.memory_manager import MemorySessionManager
from tests.support.scripted_model import spoken
from tests.support.waiting import eventually, promptly
from tests.unit.worker.socket_server import KEY, UPGRADE, Door, client_of, frames, port_of
from tests.unit.worker.stand_ins import speech
from worker.aws.poster import PostOutcome
from worker.conversation.outbox import Outbox
from worker.direct.output_routes import PLACE_HEADER, SECRET_HEADER, SESSION_HEADER, OutputRoutes
from worker.direct.poster import FORGOTTEN_SECONDS, VANISHED_SECONDS, ClientPoster
from worker.direct.sockets import BUFFER_BYTES, ClientSocket, ClientSockets
from worker.direct.times import TransportTimes


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
    assert {type(one) for one in came} <= {Ready, Pong}, "none of the forged output has come"


async def test_a_socket_before_its_hello_takes_no_output(door: Door) -> None:
    ws = await door.connect()
    (socket,) = door.sockets.all()
    assert not ws.closed
    headers = {SECRET_HEADER: socket.address.secret, SESSION_HEADER: KEY}
    async with door.http.post(f"{door.endpoint}/sockets/{socket.id}", data=b"{}", headers=headers) as answer:
        assert answer.status == 403


async def test_posts_of_this_workers_own_sessions_need_key_and_secret(door: Door) -> None:
    ws, socket = await door.bound()
    own = door.world.clients.of_session(KEY)
    another = door.world.clients.of_session(KEY + "2")
    here = client_of(socket)
    assert await own.is_connected(here) is PostOutcome.DELIVERED
    assert await another.post(here, b"{}") is PostOutcome.GONE
    assert await own.post(client_of(socket, secret="wrong"), b"{}") is PostOutcome.GONE
    assert not ws.closed


def posting(**times: Any) -> ClientPoster:
    """Another worker's poster, with times of its own."""
    return ClientPoster(None, ClientSockets(0, 0), lambda: "http://another", **times)


class Stopped:
    """The other end of posts, which takes them and goes on only later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = self.answered = 0
        self.goes_on = asyncio.Event()
        post, stopped = OutputRoutes._post, self

        async def late(routes: OutputRoutes, request: web.Request) -> web.Response:
            stopped.taken += 1
            await request.read()
            await stopped.goes_on.wait()
            try:
                return await post(routes, request)
            finally:
                stopped.answered += 1

        monkeypatch.setattr(OutputRoutes, "_post", late)


async def until_pong(ws: Any, socket: ClientSocket) -> list[Any]:
    """All that came before a mark."""
    await socket.queue_frame(Pong())
    came: list[Any] = []
    while Pong() not in came:
        came += await frames(ws)
    return came


@pytest.mark.slow
async def test_a_message_whose_answer_comes_too_late_is_written_once(
    open_door: Callable[..., Awaitable[Door]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Stopped(monkeypatch)
    door = await open_door()
    ws, socket = await door.bound()
    numbering = OutputNumbering(2)
    async with posting(post_seconds=0.1) as poster:
        outbox = Outbox(
            client_of(socket), poster.of_session(KEY, 2), lambda frame: numbering.stamp("c1", frame), always
        )
        sending = asyncio.create_task(outbox.run())
        outbox.put(Moved())
        await eventually(lambda: stopped.taken > 1)
        stopped.goes_on.set()
        await promptly(outbox.drained(), 10)
        await eventually(lambda: stopped.answered == stopped.taken)
        sending.cancel()

    assert [one for one in await until_pong(ws, socket) if isinstance(one, Moved)] == [Moved(epoch=2, seq=1)]


async def always() -> bool:
    return True


async def test_a_late_attempt_is_not_written_after_the_next_message_nor_after_the_next_holders(door: Door) -> None:
    ws, socket = await door.bound()
    secret = {SECRET_HEADER: socket.address.secret, SESSION_HEADER: KEY}

    async def post(place: str | None, number: int) -> int:
        headers = secret if place is None else {**secret, PLACE_HEADER: place}
        message = encode_frame(Moved(epoch=9, seq=number)).encode()
        async with door.http.post(f"{door.endpoint}/sockets/{socket.id}", data=message, headers=headers) as answer:
            return answer.status

    assert [await post(*each) for each in (("2 1", 1), ("2 2", 2), ("2 1", 3))] == [200, 200, 200]
    assert [await post(*each) for each in (("3 1", 4), ("2 3", 5), ("3 1", 6))] == [200, 410, 200]
    assert await post(None, 7) == 200, "from a worker of the release before"
    assert [await post(place, 8) for place in ("", "3", "3 x", "3 2 1", "-3 2", "\xb2 1")] == [400] * 6
    came = [one.seq for one in await until_pong(ws, socket) if isinstance(one, Moved)]
    assert came == [1, 2, 4, 7]


async def test_output_that_a_slow_client_could_not_take_is_written_once_later(door: Door) -> None:
    ws, socket = await door.bound()
    poster, message = door.poster.of_session(KEY, 2), encode_frame(Moved()).encode()
    socket.buffer_bytes = -1
    assert await poster.post(client_of(socket), message, 1) is PostOutcome.LIMITED
    socket.buffer_bytes = BUFFER_BYTES
    for number in (1, 1, 2):
        assert await poster.post(client_of(socket), message, number) is PostOutcome.DELIVERED, number
    assert (await until_pong(ws, socket)).count(Moved()) == 2, "once in two attempts, and an equal one after it"


@pytest.mark.slow
async def test_a_client_that_does_not_read_holds_up_nothing(door: Door) -> None:
    ws, socket = await door.bound()
    socket.buffer_bytes = 64 * 1024
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


@pytest.mark.slow
async def test_output_that_waits_for_a_vanished_client_is_dropped(open_door: Callable[..., Awaitable[Door]]) -> None:
    door = await open_door(TransportTimes(ping_seconds=0.2))
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


@pytest.fixture
async def at_silent_worker() -> AsyncIterator[ClientAddress]:
    """A client's address at a worker that takes connections and answers nothing."""
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(0), "127.0.0.1", 0)
    direct = DirectAddress(endpoint=f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}", socket="s", secret="s")
    yield ClientAddress(client_id="c1", connection_id="direct-s", counter=1, direct=direct)
    silent.close()


async def test_failed_posts_to_a_worker_that_are_far_apart_do_not_add_up(at_silent_worker: ClientAddress) -> None:
    clock = ManualClock()
    async with posting(post_seconds=0.01, clock=clock.now) as poster:
        for _ in range(3):
            assert await poster.post(KEY, at_silent_worker, b"{}") is PostOutcome.UNKNOWN
            await clock.advance(FORGOTTEN_SECONDS + 1)


async def test_a_vanished_workers_sockets_are_gone_after_a_while(at_silent_worker: ClientAddress) -> None:
    clock = ManualClock()
    async with posting(post_seconds=0.01, clock=clock.now) as poster:
        for seconds, outcome in (
            (0.0, PostOutcome.UNKNOWN),
            (VANISHED_SECONDS - 1, PostOutcome.UNKNOWN),
            (1.0, PostOutcome.GONE),
        ):
            await clock.advance(seconds)
            assert await poster.post(KEY, at_silent_worker, b"{}") is outcome


@pytest.mark.slow
async def test_no_journal_content_of_a_fenced_holder_reaches_the_socket(door: Door) -> None:
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
    assert not [one for one in came if isinstance(one, Transcript) and one.final], (
        "a final transcript that was never durable has come"
    )
    late = AudioOutput(audio="AAAA", rate=24000, epoch=session.epoch, seq=99)
    await door.poster.post(KEY, client_of(socket), encode_frame(late).encode())
    came += await frames(ws)
    assert late in came
    assert late not in [shown for frame in came for shown in order.offer(frame, 0.0)], "a client drops it"
    await other.close()
