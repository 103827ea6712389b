"""A worker that is a real HTTP server, API Gateway's management API, and a clock that only moves when told."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from segue.wire.claims import CLAIMS_PATH, CLAIMS_TOKEN_HEADER, decode_claim
from segue.wire.delivery import FRAMES_PATH, ROUTE_TOKEN_HEADER, decode_delivery
from segue.wire.frames import decode_server_frame
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.unit.gateway.dispatching import (
    deliver,  # noqa: F401 - a fixture
    refusing,  # noqa: F401 - a fixture
)


class Clock:
    """Monotonic and wall time; sleeping moves it and may make something happen."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self.on_sleep = lambda: None

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()


class Worker:
    """A worker's HTTP endpoint. ``answers`` are used up one by one, then it accepts frames and takes claims."""

    def __init__(self, token="right"):
        self.token = token
        self.claims_token = f"claims of {token}"
        self.answers = []
        self.deliveries = []
        self.claims = []
        self.claimed = threading.Event()
        self.connected = []
        self.requested = []
        self.swallow = 0
        """Over how many of its first connections nothing is answered any more, as if the flow had been dropped."""
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connected.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requested.append(self.path)
                if outer.connected.index(self.connection) < outer.swallow:
                    outer.stopped.wait(30)
                    self.close_connection = True
                    return
                status, answer = outer.take(self.path, self.headers, body)
                if status is None:  # hang up without a word
                    self.close_connection = True
                    return
                self.answer(status, answer)

        self.server = LoopbackServer(Handler)

    @property
    def endpoint(self):
        return self.server.url

    def take(self, path, headers, body):
        header, token = {
            FRAMES_PATH: (ROUTE_TOKEN_HEADER, self.token),
            CLAIMS_PATH: (CLAIMS_TOKEN_HEADER, self.claims_token),
        }[path]
        with self.lock:
            if headers[header] != token:
                return 403, b""
            if self.answers:
                answer = self.answers.pop(0)
                if answer is not None:
                    return answer
            if path == FRAMES_PATH:
                self.deliveries.append(decode_delivery(body))
            else:
                self.claims.append(decode_claim(body))
                self.claimed.set()
            return 202, b""

    @property
    def frames(self):
        return [delivery.frame for delivery in self.deliveries]

    def stop(self):
        """Stop as a killed process does: its port is closed, and every connection ends."""
        self.stopped.set()
        if self.server.running:
            self.server.stop()
            for connection in self.connected:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Management:
    """API Gateway's management API. ``statuses`` are used up one by one, then it takes what it is sent.

    A status of None: it takes the message and says nothing.
    """

    def __init__(self):
        self.statuses = []
        self.posted = []
        self.requests = []
        self.silent = threading.Event()
        outer = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, dict(self.headers.items())))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status is None:
                    outer.silent.wait(30)
                    self.close_connection = True
                    return
                if status == 200:
                    connection = unquote(self.path.rpartition("/@connections/")[2])
                    outer.posted.append((connection, decode_server_frame(body.decode())))
                self.answer(status)

        self.server = LoopbackServer(Handler)

    @property
    def endpoint(self):
        return f"{self.server.url}/dev"

    def told(self, connection_id="c1"):
        """Take the frames that a connection was sent."""
        found = [frame for connection, frame in self.posted if connection == connection_id]
        self.posted = [each for each in self.posted if each[0] != connection_id]
        return found

    def stop(self):
        self.silent.set()
        self.server.stop()
