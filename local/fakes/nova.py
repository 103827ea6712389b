"""Nova Sonic on loopback: Bedrock's bidirectional stream, HTTP/2 over TLS, as AWS's user guide describes it."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote

from local.fakes import certificate
from local.fakes.fake import LOOPBACK, Broken, Fake
from local.fakes.http2 import Http2, Stream
from local.fakes.nova_conversation import NovaConversation

PATH = re.compile(r"^/model/(?P<model>[^/]+)/invoke-with-bidirectional-stream\??$")


class FakeNova(Fake):
    """The service."""

    def __init__(self, *, pace: float = 0.0) -> None:
        super().__init__(pace=pace)
        self._server: asyncio.Server | None = None
        self._folder = tempfile.TemporaryDirectory()
        self._certificate = certificate.make(Path(self._folder.name), "h2")
        self._open: set[Stream] = set()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        context = self._certificate.context
        self._server = await loop.create_server(lambda: Http2(self._serve), LOOPBACK, 0, ssl=context)

    async def stop(self) -> None:
        """End."""
        for stream in list(self._open):
            stream.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._folder.cleanup()

    def environment(self) -> dict[str, str]:
        """The worker's variables."""
        assert self._server is not None  # noqa: S101 - started
        port = self._server.sockets[0].getsockname()[1]
        return {
            "SEGUE_PROVIDER": "nova-sonic",
            "SEGUE_PROVIDER_ENDPOINT": f"https://localhost:{port}",
            "SSL_CERT_FILE": str(self._certificate.authority),
        }

    async def _serve(self, stream: Stream) -> None:
        target = PATH.match(unquote(stream.headers[":path"]))
        if target is None or "AWS4-HMAC-SHA256" not in stream.headers.get("authorization", ""):
            self.problems.append(f"a request for {stream.headers[':path']}, or one that is not signed")
            return
        if self.reject:
            await _refuse(stream, self.reject.pop(0))
            return
        conversation = NovaConversation(self, stream, target["model"])
        self._open.add(stream)
        try:
            async with self.lasting(conversation):
                stream.answer(200, content_type="application/vnd.amazon.eventstream")
                try:
                    await conversation.serve()
                except Broken as problem:
                    await conversation.fail("validationException", str(problem))
        finally:
            self._open.discard(stream)


async def _refuse(stream: Stream, status: int) -> None:
    kinds = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException"}
    kind = kinds.get(status, "ThrottlingException" if status == 429 else "ServiceUnavailableException")
    stream.answer(status, content_type="application/json", x_amzn_errortype=kind)
    await stream.write(json.dumps({"message": "no"}).encode(), last=True)
