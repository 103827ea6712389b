"""HTTP servers of tests, on a loopback port."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Answers without a log.

    Handlers have ``BaseHTTPRequestHandler`` as a base beside it: the linter allows the names of its methods only there.
    """

    # Head and body go out apart. The body would wait for the client to confirm the head, which it does 40 ms later.
    disable_nagle_algorithm = True

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _CountingServer(ThreadingHTTPServer):
    daemon_threads = True
    connected = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connected += 1
        super().process_request(request, client_address)


class LoopbackServer:
    """A server that runs from here until it is stopped.

    Attributes:
        url: Its address.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = _CountingServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def connected(self) -> int:
        """Number of connections that have come."""
        return self._server.connected

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
