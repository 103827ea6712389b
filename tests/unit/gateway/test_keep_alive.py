"""Kept-alive connections: not used after a minute, trusted for 0.4 s, and what is done while a new one waits."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
from urllib3 import Timeout
from urllib3.exceptions import ReadTimeoutError

from shared import keep_alive
from shared.keep_alive import IDLE_SECONDS, REUSED_SECONDS, ReusedConnectionLost
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.support.steady_clock import steady
from tests.support.waiting import eventually_sync

NEW_SECONDS = 20.0


class Server:
    """Answers, until it is told to be silent."""

    def __init__(self):
        self.asked = 0
        self.speaks = True
        self.late_status = 0
        """Status of the answer after a silence; 0: none."""
        self.hang_up = threading.Event()
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked += 1
                if not outer.speaks:
                    outer.hang_up.wait(NEW_SECONDS)
                    self.close_connection = True
                    if outer.late_status:
                        self.answer(outer.late_status)
                    return
                self.answer(200)

        self.server = LoopbackServer(Handler)
        self.url = f"{self.server.url}/"


@pytest.fixture
def server():
    started = Server()
    yield started
    started.hang_up.set()
    started.server.stop()


@pytest.fixture
def clocks(monkeypatch):
    """Both clocks, as they are told to be."""
    now = [100.0, 1_000_000.0]
    monkeypatch.setattr(keep_alive, "_now", lambda: tuple(now))
    return now


@pytest.fixture
def pool():
    return keep_alive.pool(Timeout(connect=5.0, read=NEW_SECONDS), hosts=4)


def test_a_connection_is_used_again(server, pool, clocks):
    for _ in range(3):
        pool.request("GET", server.url)
        clocks[0] += IDLE_SECONDS - 1
    assert (server.asked, server.server.connected) == (3, 1)


@pytest.mark.parametrize("clock", [0, 1], ids=["monotonic", "wall"])
def test_a_connection_unused_for_a_minute_is_not_used_again(server, pool, clocks, clock):
    pool.request("GET", server.url)
    clocks[clock] += IDLE_SECONDS
    pool.request("GET", server.url)
    assert (server.asked, server.server.connected) == (2, 2)


@pytest.mark.slow
def test_a_flow_that_was_dropped_costs_less_than_half_a_second(server, pool):
    pool.request("GET", server.url)
    server.speaks = False
    begun, steadily = time.monotonic(), steady().now()
    with pytest.raises(ReusedConnectionLost):
        pool.request("GET", server.url)
    assert time.monotonic() - begun >= REUSED_SECONDS
    assert steady().now() - steadily < NEW_SECONDS
    assert server.server.connected == 1
    server.speaks = True
    assert pool.request("GET", server.url).status == 200
    assert server.server.connected == 2


def test_a_new_connection_has_all_the_time_that_was_given(server):
    server.speaks = False
    with pytest.raises(ReadTimeoutError):
        keep_alive.pool(Timeout(connect=5.0, read=0.05), hosts=1).request("GET", server.url)
    eventually_sync(lambda: server.asked == 1)


# --- what is done meanwhile


@pytest.fixture(params=[True, False], ids=["kept", "used once"])
def new_connections(request):
    return keep_alive.pool(Timeout(connect=5.0, read=NEW_SECONDS), hosts=4, used_again=request.param)


def test_something_is_done_beside_a_request_that_waits_and_its_answer_is_read(server, new_connections):
    """The server answers because of what is done: a request that waited alone would never end."""
    server.speaks = False
    done = []

    def answer_now():
        eventually_sync(lambda: server.asked)
        done.append(server.asked)
        server.hang_up.set()

    server.late_status = 204
    with keep_alive.meanwhile(answer_now, 0.05):
        assert new_connections.request("GET", server.url).status == 204
    assert done == [1], "once, while the request was under way"


def test_nothing_is_done_beside_a_request_that_is_answered_in_time(server, new_connections):
    with keep_alive.meanwhile(lambda: pytest.fail("it was answered"), NEW_SECONDS / 2):
        assert new_connections.request("GET", server.url).status == 200


@pytest.mark.slow
def test_work_done_meanwhile_is_not_added_to_a_requests_timeout(server):
    server.speaks = False
    pool, waited = keep_alive.pool(Timeout(connect=5.0, read=0.2), hosts=1), threading.Event()
    begun = time.monotonic()
    with keep_alive.meanwhile(lambda: waited.wait(0.3), 0.05), pytest.raises(ReadTimeoutError, match=f"{0.2}"):
        pool.request("GET", server.url)
    assert time.monotonic() - begun >= 0.35
    eventually_sync(lambda: server.asked == 1)


def test_a_request_made_meanwhile_starts_no_work_beside_it(server, new_connections):
    server.speaks, server.late_status = False, 200
    other, asked = Server(), []

    def ask():
        asked.append(keep_alive.pool(Timeout(connect=5.0, read=NEW_SECONDS), hosts=1).request("GET", other.url).status)
        server.hang_up.set()

    with keep_alive.meanwhile(ask, 0.05):
        new_connections.request("GET", server.url)
    other.server.stop()
    assert asked == [200]
