"""moto's backends behind loopback addresses, for clients that are not botocore's: moto itself catches only those."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber

from tests.support.http_server import LoopbackServer, QuietHandler


class MotoService:
    """One service of moto over HTTP. Use within ``mock_aws``.

    Attributes:
        url: Its address.
    """

    def __init__(self, service: str, region: str) -> None:
        outer = self
        self._address = f"https://{service}.{region}.amazonaws.com"
        self._moto = BotocoreStubber()

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = HTTPHeaders.from_dict(dict(self.headers.items()))
                self.answer(*outer.ask(self.path, headers, body))

        self._server = LoopbackServer(Handler)
        self.url = self._server.url

    def ask(self, path: str, headers: HTTPHeaders, body: bytes) -> tuple[int, bytes]:
        found = self._moto.process_request(AWSPreparedRequest("POST", self._address + path, headers, body, False))
        assert found is not None, "moto does not know this service"
        status, _, said = found
        return int(status), said if isinstance(said, bytes) else str(said).encode()

    def stop(self) -> None:
        self._server.stop()
