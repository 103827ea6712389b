"""Workers that a session is offered to, and the end of the search for a successor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from segue.wire.claims import CLAIMS_TOKEN_HEADER
from shared.registered_worker import RegisteredWorker
from tests.support.waiting import promptly
from tests.unit.worker.stand_ins import claim
from worker.aws.kept_connections import Answer, NotConnected
from worker.hosting.peer_health import ask_health, until_hung
from worker.hosting.peer_http import PeerHttp
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


class Requests(PeerHttp):
    """Requests of other workers: noted, and answered by a test or on the network.

    Attributes:
        asked: The workers, named by their tokens.
    """

    def __init__(self, answer: Callable[[str], Answer | None] | None = None) -> None:
        super().__init__(5.0)
        self.asked: list[str] = []
        self._answer = answer

    async def request(self, *args: Any, **options: Any) -> Answer:
        _method, _endpoint, _path, headers, *_ = args
        self.asked.append(headers[CLAIMS_TOKEN_HEADER])
        if self._answer is None:
            return await super().request(*args, **options)
        answer = self._answer(self.asked[-1])
        if answer is None:
            raise NotConnected
        return answer


READY = Answer(200, {}, b'{"head": 1}')


@pytest.fixture
def search() -> Callable[..., Awaitable[list[str]]]:
    """Searches among nine workers at one endpoint when the time for it is over; returns who was asked."""

    async def among(endpoint: str, **options: Any) -> list[str]:
        async def peers() -> list[RegisteredWorker]:
            return [RegisteredWorker(f"w{number}", endpoint, f"w{number}", "2", 40) for number in range(9)]

        options = {"search_seconds": 0.0, "prepare_seconds": 0.1, **options}
        async with Successors(peers, http=(requests := Requests()), **options) as successors:
            assert await successors.prepare(claim()) is None
        return requests.asked

    return among


@pytest.mark.slow
async def test_a_worker_that_is_too_slow_has_refused_and_the_next_one_is_asked(search, slow):
    assert len(await search(slow)) == CANDIDATES


@pytest.mark.slow
async def test_a_hung_worker_is_given_up_long_before_a_model_start(search, slow):
    hung = partial(until_hung, ask=partial(ask_health, answer_seconds=0.05), look_seconds=0.01)
    assert len(await promptly(search(slow, prepare_seconds=600.0, watch_until_hung=hung))) == CANDIDATES


async def test_a_worker_that_is_not_there_is_the_last_once_the_search_time_is_over(search, unused_port):
    assert len(await search(f"http://127.0.0.1:{unused_port}")) == 1


async def test_an_invalid_address_is_no_worker(search):
    assert len(await search("http://[nonsense")) == 1


async def test_the_newest_version_comes_first_then_most_room():
    async def peers() -> list[RegisteredWorker]:
        return [
            RegisteredWorker(name, f"http://127.0.0.1:9/{name}", name, version, room)
            for name, version, room in (("a", "1", 40), ("b", "2", 3), ("c", "2", 9), ("d", "2", 9), ("e", "1", 5))
        ]

    async with Successors(peers, http=(requests := Requests(lambda _: READY))) as successors:
        for _ in range(25):
            await successors.prepare(claim())
    given = {name: requests.asked.count(name) for name in "abcde"}
    assert (given["b"], given["c"], given["d"]) == (3, 9, 9), "room that was given away is room no more"
    assert given["a"] == 4, "an older version only when the newest has no room"


async def test_dead_workers_are_asked_last_and_do_not_count_as_refusals():
    """Workers of a lost zone stay in the registry with the most room of all, and outnumber the refusals allowed."""

    async def peers() -> list[RegisteredWorker]:
        dead = [
            RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", f"dead{number}", "2", 40, fresh=number > 0)
            for number in range(9)
        ]
        return [*dead, RegisteredWorker("alive", "http://127.0.0.1:9/alive", "alive", "2", 1)]

    requests = Requests(lambda worker: READY if worker == "alive" else None)
    async with Successors(peers, http=requests) as successors:
        promise = await successors.prepare(claim())
    assert promise is not None
    assert promise.peer.worker_id == requests.asked[-1] == "alive"
    assert "dead0" not in requests.asked, "worker dead0, which missed its last beats, was asked"


async def test_a_search_among_dead_workers_ends_at_its_time():
    async def peers() -> list[RegisteredWorker]:
        return [RegisteredWorker(f"dead{number}", "http://127.0.0.1:9", "t", "2", 40) for number in range(9)]

    async with Successors(peers, http=(requests := Requests(lambda _: None)), search_seconds=0.0) as successors:
        assert await successors.prepare(claim()) is None
    assert len(requests.asked) == 1
