"""Evidence that a holder is certainly dead. Every case is a real socket on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web

from segue.lease.item import GuardItem
from worker.hosting import holder_probe
from worker.hosting.holder_probe import holder_is_dead


def held(endpoint: str | None, holder: str = "w1") -> GuardItem:
    return GuardItem("default/talk", "b", 3, 2**40, acquire_id="a", holder=holder, endpoint=endpoint)


@pytest.fixture
async def answering():
    """Starts servers that answer /health with a status and a body."""
    runners = []

    async def start(body: str, status: int = 200) -> str:
        app = web.Application()

        async def health(_: web.Request) -> web.Response:
            return web.Response(text=body, status=status)

        app.router.add_get("/health", health)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """An address where connections are neither accepted nor refused: its queue is full, so SYNs are dropped."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


async def test_a_refused_connection_is_death(unused_port):
    assert await holder_is_dead(held(f"http://127.0.0.1:{unused_port}"))


async def test_another_identity_is_death(answering):
    assert await holder_is_dead(held(await answering('{"worker_id": "w2"}')))


@pytest.mark.parametrize("status", [200, 503])
async def test_the_holder_itself_lives_whatever_it_says_of_its_health(answering, status):
    assert not await holder_is_dead(held(await answering('{"worker_id": "w1"}', status)))


@pytest.mark.parametrize("body", ["", "hello", "[]", "{}", '{"worker_id": 7}'])
async def test_an_answer_without_identity_proves_nothing(answering, body):
    assert not await holder_is_dead(held(await answering(body)))


async def test_a_holder_that_accepts_and_never_answers_may_live(monkeypatch):
    monkeypatch.setattr(holder_probe, "_TIMEOUT", holder_probe.aiohttp.ClientTimeout(sock_connect=0.25, sock_read=0.05))
    with socket.socket() as stopped:
        stopped.bind(("127.0.0.1", 0))
        stopped.listen(5)
        assert not await holder_is_dead(held(f"http://127.0.0.1:{stopped.getsockname()[1]}"))


async def test_two_connection_attempts_that_time_out_are_death():
    with deaf() as endpoint:
        started = asyncio.get_running_loop().time()
        assert await holder_is_dead(held(endpoint))
        taken = asyncio.get_running_loop().time() - started
    assert 0.45 <= taken < 2.0, "two attempts of 250 ms"


async def test_one_attempt_that_times_out_is_not_death(monkeypatch):
    attempts = []

    async def identity(endpoint: str) -> str:
        attempts.append(endpoint)
        if len(attempts) == 1:
            raise holder_probe.aiohttp.ConnectionTimeoutError
        return "w1"

    monkeypatch.setattr(holder_probe, "_identity", identity)
    assert not await holder_is_dead(held("http://w1"))
    assert len(attempts) == 2


async def test_a_holder_without_an_address_cannot_be_judged():
    assert not await holder_is_dead(held(None))


async def test_an_unreachable_name_proves_nothing():
    assert not await holder_is_dead(held("http://no-such-host.invalid:80"))
