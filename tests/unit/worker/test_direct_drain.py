"""A worker with sockets of its own leaves: the pace of ``reconnect``, the waits, and the time for all of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from segue.wire.frames import Reconnect
from tests.support.waiting import promptly
from worker.direct.following import Following
from worker.direct.sockets import CLOSE_SECONDS, RECONNECT_SECONDS, ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.direct.transport import DirectTransport
from worker.hosting.drain import DRAIN_TIMES

HERE = "http://here"


class Socket(SimpleNamespace):
    """A client's socket: what it was told, and the code that it was closed with."""

    def __init__(self, number: int) -> None:
        super().__init__(id=str(number), principal=f"p{number}", told=[], code=None)

    async def queue_frame(self, frame: Any) -> None:
        self.told.append(frame)

    async def close(self, code: int) -> None:
        self.code = code


class Session(SimpleNamespace):
    """A session whose client has its socket at a worker."""

    def __init__(self, endpoint: str) -> None:
        direct = SimpleNamespace(endpoint=endpoint)
        super().__init__(key="p/s", clients=(SimpleNamespace(direct=direct, connection_id="direct-1"),))


def with_sockets(count: int, **times: float) -> tuple[DirectTransport, list[Socket]]:
    """Open so many sockets, with time limits."""
    sockets, opened = ClientSockets(count, 1), [Socket(number) for number in range(count)]
    nothing: Any = None
    for socket in opened:
        sockets.add(socket)  # type: ignore[arg-type]  # a stand-in
    following = Following(nothing, nothing, HERE, "w1")
    return DirectTransport(sockets, nothing, nothing, following, HERE, TransportTimes(**times)), opened


@pytest.mark.parametrize(("count", "pause_ms"), [(3, 50), (400, 25)], ids=["20 a second", "all in 10 s"])
async def test_clients_are_asked_to_go_over_one_after_the_other(count: int, pause_ms: int) -> None:
    transport, opened = with_sockets(count)
    await transport.begin_to_leave()

    assert [socket.told for socket in opened] == [[Reconnect(after_ms=number * pause_ms)] for number in range(count)]
    assert opened[-1].told[0].after_ms <= 1000 * RECONNECT_SECONDS
    assert transport._sockets.full, "a draining worker takes no more sockets"


async def test_a_session_waits_for_its_clients_turn_to_go_over_and_no_longer() -> None:
    transport, _ = with_sockets(3, gone_over_seconds=0.02)
    await transport.begin_to_leave()
    began = asyncio.get_running_loop().time()
    await promptly(transport.gone_over(Session(HERE)))  # type: ignore[arg-type]  # a stand-in

    assert asyncio.get_running_loop().time() - began >= 0.15, "the third client was to wait for 100 ms"


async def test_a_session_goes_as_soon_as_no_client_of_it_has_its_socket_here() -> None:
    transport, _ = with_sockets(1, gone_over_seconds=3600.0)
    await transport.begin_to_leave()
    session: Any = Session(HERE)
    going = asyncio.create_task(transport.gone_over(session))
    await asyncio.sleep(0)
    transport._following._heard.set()  # a hello to another session
    await asyncio.sleep(0.01)
    assert not going.done()
    session.clients = Session("http://there").clients
    transport._following.hello(session, session.clients[0])

    await promptly(going)


@pytest.mark.parametrize("bound", ["last_seconds", "left_seconds"])
async def test_sockets_left_after_the_drain_are_closed_in_bounded_time(bound: str) -> None:
    transport, (socket,) = with_sockets(1, **{"last_seconds": 3600.0, "left_seconds": 3600.0, bound: 0.0})
    await transport.begin_to_leave()
    await promptly(transport.close_sockets(asyncio.Event()))

    assert socket.code == 1012


@pytest.mark.parametrize("end", ["the last one has closed", "hurry"])
async def test_a_worker_waits_for_its_sockets_no_longer_than_it_has_to(end: str) -> None:
    transport, (socket,) = with_sockets(1, last_seconds=3600.0, left_seconds=3600.0)
    hurry = asyncio.Event()
    await transport.begin_to_leave()
    leaving = asyncio.create_task(transport.close_sockets(hurry))
    await asyncio.sleep(0.01)
    assert (leaving.done(), socket.code) == (False, None)
    if end == "hurry":
        hurry.set()
    else:
        transport._sockets.remove(socket)  # type: ignore[arg-type]  # a stand-in
    await promptly(leaving)

    assert socket.code == (1012 if end == "hurry" else None)


def test_the_bounds_of_a_drain_add_up_to_110_seconds_at_most() -> None:
    sessions = DRAIN_TIMES.drain_seconds + DRAIN_TIMES.hurried_seconds
    sockets = max(sessions, RECONNECT_SECONDS) + TRANSPORT_TIMES.last_seconds

    assert min(sockets, TRANSPORT_TIMES.left_seconds) + CLOSE_SECONDS <= 110
    assert TRANSPORT_TIMES.left_seconds + CLOSE_SECONDS <= 110, "whatever came before"
