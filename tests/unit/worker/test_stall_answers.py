"""A worker whose event loop stands still answers ``/health`` from a thread, and takes the rest up when it turns again.

These tests block the loop that the worker's listener runs on: what they do meanwhile, they do on that loop's thread.
"""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.error import HTTPError

import aiohttp
import pytest

from segue.lease.item import GuardItem
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER
from shared.log import logger
from tests.support.waiting import eventually
from tests.unit.worker.stand_ins import FakeQueue
from worker.hosting.claims import ClaimTaker
from worker.hosting.holder_probe import HolderState, holder_state
from worker.server import Listener, ListenerTimes, Status
from worker.telemetry.blocked_loop import BlockedLoopWatch

pytestmark = pytest.mark.slow


@pytest.fixture
def seconds():
    """Time limits of the listener, by name; a test parametrizes it with others."""
    return {}


@pytest.fixture
async def worker(world, seconds):
    """The port of a worker that watches its loop; the test is what blocks that."""
    times = ListenerTimes(**{"look_seconds": 0.01, "answers_after_seconds": 0.05, **seconds})
    status, claims = Status(worker_id="w1", version="7", ready=True), ClaimTaker(FakeQueue(), world.host)
    listener = Listener(world.host, status, claims, "s", times=times)
    port = await listener.start("127.0.0.1", 0)
    watch = BlockedLoopWatch(logger, look_seconds=0.01)
    watch.start()
    with listener.answers_from_thread(watch):
        yield port, watch
    watch.stop()
    await listener.close()


def health(port: int) -> tuple[int, dict]:
    """Ask without a turn of the loop."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.status, json.load(error)


async def test_a_thread_answers_for_a_loop_that_stands_still_and_says_for_how_long(worker):
    port, _ = worker
    status, facts = health(port)
    assert (status, facts["worker_id"], facts["ready"]) == (200, "w1", True)
    first = facts["stood_still_ms"]
    assert first >= 50
    assert health(port)[1]["stood_still_ms"] >= first


@pytest.mark.parametrize("seconds", [{"unwell_seconds": 0.0}], ids=repr)
async def test_health_is_503_if_the_loop_stands_still_for_long(worker):
    port, _ = worker
    assert health(port)[0] == 503


async def test_other_requests_wait_for_the_loop_and_are_answered_once_it_turns(worker):
    port, _ = worker
    posting = HTTPConnection("127.0.0.1", port, timeout=30)
    posting.request("POST", FRAMES_PATH, b"{}", {ROUTE_TOKEN_HEADER: "another's"})
    silent = socket.create_connection(("127.0.0.1", port))
    health(port)  # by then both that came before it were accepted
    with silent, posting.sock as waiting:
        waiting.setblocking(False)
        found = bytearray()

        def answered() -> bool:
            try:
                found.extend(waiting.recv(1024))
            except BlockingIOError:
                return False
            return found.startswith(b"HTTP/1.1 410")

        await eventually(answered)
    posting.close()


async def test_a_successor_tells_a_blocked_loop_from_one_that_hangs(worker, monkeypatch):
    port, _ = worker
    item = GuardItem("default/talk", "b", 3, 2**40, acquire_id="a", holder="w1", endpoint=f"http://127.0.0.1:{port}")

    def probed() -> HolderState:
        """Probe on another thread's loop, while this one is blocked."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(holder_state(item, clock=lambda: 0.0))).result()

    assert probed() is HolderState.UNCERTAIN
    monkeypatch.setattr("worker.hosting.peer_health.STOOD_STILL_SECONDS", 0.0)
    assert probed() is HolderState.HUNG


@pytest.mark.parametrize("seconds", [{"answers_after_seconds": 60.0}], ids=["also on a busy machine"])
async def test_a_loop_that_turns_answers_by_itself(worker):
    port, watch = worker
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/health") as answer:
        assert (await answer.json())["stood_still_ms"] == 0
    await eventually(lambda: watch.stood_still() == 0.0)
