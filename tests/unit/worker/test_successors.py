"""Workers that a session is offered to, and the end of the search for a successor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from shared.registered_worker import RegisteredWorker
from tests.support.waiting import promptly
from tests.unit.worker.stand_ins import claim
from worker.hosting.successors import CANDIDATES, Successors


@pytest.fixture
async def slow() -> AsyncIterator[str]:
    """The endpoint of a worker that takes connections and does not answer in time."""
    over = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/claims", answer)
    app.router.add_get("/health", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    over.set()
    await runner.cleanup()


@pytest.fixture
def search(monkeypatch):
    """Searches among nine workers at one endpoint when the time for it is over; returns who was asked."""
    monkeypatch.setattr("worker.hosting.successors.SEARCH_SECONDS", 0.0)
    monkeypatch.setattr("worker.hosting.successors.PREPARE_SECONDS", 0.1)

    async def among(endpoint: str) -> list[str]:
        asked: list[str] = []

        async def peers() -> list[RegisteredWorker]:
            return [RegisteredWorker(f"w{number}", endpoint, "t", "2", 40) for number in range(9)]

        async with Successors(peers) as successors:
            post = successors._post

            async def noted(peer: RegisteredWorker, *rest: Any) -> tuple[int | None, bytes]:
                asked.append(peer.worker_id)
                return await post(peer, *rest)

            monkeypatch.setattr(successors, "_post", noted)
            assert await successors.prepare(claim()) is None
        return asked

    return among


@pytest.mark.slow
async def test_a_worker_that_is_too_slow_has_refused_and_the_next_one_is_asked(search, slow):
    assert len(await search(slow)) == CANDIDATES


@pytest.mark.slow
async def test_a_hung_worker_is_given_up_long_before_a_model_start(search, slow, monkeypatch):
    monkeypatch.setattr("worker.hosting.successors.PREPARE_SECONDS", 600.0)
    monkeypatch.setattr("worker.hosting.peer_health.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("worker.hosting.peer_health.ANSWER_TIMEOUT_SECONDS", 0.05)
    assert len(await promptly(search(slow))) == CANDIDATES


async def test_a_worker_that_is_not_there_is_the_last_once_the_search_time_is_over(search, unused_port):
    assert len(await search(f"http://127.0.0.1:{unused_port}")) == 1


async def test_an_invalid_address_is_no_worker(search):
    assert len(await search("http://[nonsense")) == 1


async def test_the_newest_version_comes_first_then_most_room(monkeypatch):
    asked: list[str] = []

    async def peers() -> list[RegisteredWorker]:
        return [
            RegisteredWorker(name, f"http://127.0.0.1:9/{name}", "t", version, room)
            for name, version, room in (("a", "1", 40), ("b", "2", 3), ("c", "2", 9), ("d", "2", 9), ("e", "1", 5))
        ]

    async with Successors(peers) as successors:

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[int, bytes]:
            asked.append(peer.worker_id)
            return 200, b'{"head": 1}'

        monkeypatch.setattr(successors, "_post", post)
        for _ in range(25):
            await successors.prepare(claim())
    given = {name: asked.count(name) for name in "abcde"}
    assert (given["b"], given["c"], given["d"]) == (3, 9, 9), "room that was given away is room no more"
    assert given["a"] == 4, "an older version only when the newest has no room"


async def test_dead_workers_are_asked_last_and_do_not_count_as_refusals(monkeypatch):
    """Workers of a lost zone stay in the registry with the most room of all, and outnumber the refusals allowed."""
    asked: list[str] = []

    async def peers() -> list[RegisteredWorker]:
        dead = [
            RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", "t", "2", 40, fresh=number > 0)
            for number in range(9)
        ]
        return [*dead, RegisteredWorker("alive", "http://127.0.0.1:9/alive", "t", "2", 1)]

    async with Successors(peers) as successors:

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[int | None, bytes]:
            asked.append(peer.worker_id)
            return (200, b'{"head": 1}') if peer.worker_id == "alive" else (None, b"")

        monkeypatch.setattr(successors, "_post", post)
        promise = await successors.prepare(claim())
    assert promise is not None
    assert promise.peer.worker_id == asked[-1] == "alive"
    assert "dead0" not in asked, "worker dead0, which missed its last beats, was asked"


async def test_a_search_among_dead_workers_ends_at_its_time(monkeypatch):
    monkeypatch.setattr("worker.hosting.successors.SEARCH_SECONDS", 0.0)

    async def peers() -> list[RegisteredWorker]:
        return [RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", "t", "2", 40) for number in range(9)]

    async with Successors(peers) as successors:
        asked: list[str] = []

        async def post(peer: RegisteredWorker, *_: Any) -> tuple[None, bytes]:
            asked.append(peer.worker_id)
            return None, b""

        monkeypatch.setattr(successors, "_post", post)
        assert await successors.prepare(claim()) is None
    assert len(asked) == 1
