"""The HTTP server at which the gateway's functions and the other workers reach this worker.

    POST /frames    one frame of a client; see ``segue.wire.delivery`` for the body and the answers
    POST /claims    a session to open, or to make ready; see ``segue.wire.claims``
    GET  /health    200 {"worker_id", "version", "sessions", "room", "draining", "ready", "stood_still_ms"}, 503 until
                    ready, with direct sockets also "sockets_port" and "sockets"; while the loop stands still a thread
                    answers (``worker.telemetry.stall_answers``)
    …    /sockets   output for clients that are connected to this worker; see ``worker.direct.output_routes``

The token in the header is looked at before any of the body is read. A body has ``body_seconds`` to arrive, and is taken
as it is: no gateway compresses one. Nothing of what a frame says, and no error text from inside, is in an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import socket
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from segue.wire.claims import (
    CLAIMS_PATH,
    CLAIMS_TOKEN_HEADER,
    MAX_CLAIM_BYTES,
    Claim,
    ClaimError,
    decode_claim,
    encode_prepared,
)
from segue.wire.delivery import (
    FRAMES_PATH,
    HANDED_OVER,
    MAX_DELIVERY_BYTES,
    ROUTE_TOKEN_HEADER,
    decode_delivery,
    encode_refusal,
)
from segue.wire.frames import FrameError
from shared.background import BackgroundTasks
from shared.log import logger
from worker.conversation.session import HostedSession, SessionMoved
from worker.direct.output_routes import OutputRoutes
from worker.direct.sockets import ClientSockets
from worker.hosting.claims import ClaimTaker
from worker.hosting.host import Host, NoRoom
from worker.telemetry.blocked_loop import BlockedLoopWatch
from worker.telemetry.metrics import metrics
from worker.telemetry.stall_answers import ANSWERS_AFTER_SECONDS, LOOK_SECONDS, StallAnswers

GRACE_SECONDS: Final = 1.0
"""Seconds for requests under way when the listener closes, which is after the last session was released; after them
they are ended."""

KEEP_ALIVE_SECONDS: Final = 75.0
"""Seconds after which an unused connection is closed. Callers drop theirs after 60 s, so that none sends a frame into a
connection that is being closed."""

TOO_MUCH: Final = frozenset({"busy", "too_fast"})
"""Codes of frames that were not taken only because of how many there are."""


@dataclass(slots=True, kw_only=True)
class Status:
    """The worker's part of ``/health``, beside the numbers.

    Attributes:
        worker_id: This process.
        version: The deployment's version.
        ready: Whether it takes sessions.
        draining: Whether it is handing its sessions over.
        sockets_port: Where clients connect directly; None if they do not.
    """

    worker_id: str
    version: str
    ready: bool = False
    draining: bool = False
    sockets_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTimes:
    """Time limits of a listener, of which tests give others.

    Attributes:
        body_seconds: For a body to arrive whole; after them it is answered with 408. The gateway waits no longer, and a
            body that trickles holds a connection and a buffer.
        linger_seconds: For the rest of the body of a request that was answered before it was read; then its connection
            is closed.
        look_seconds: Between two looks at the loop.
        answers_after_seconds: Without a turn of the loop, after which a thread answers ``GET /health``.
        unwell_seconds: Without a turn of the loop, after which that answer's status is 503: container health checks see
            a worker that hangs.
    """

    body_seconds: float = 2.0
    linger_seconds: float = 1.0
    look_seconds: float = LOOK_SECONDS
    answers_after_seconds: float = ANSWERS_AFTER_SECONDS
    unwell_seconds: float = 2.0


LISTENER_TIMES: Final = ListenerTimes()
"""The time limits of a worker's listener."""


class Listener:
    """The HTTP server."""

    def __init__(
        self,
        host: Host,
        status: Status,
        claims: ClaimTaker,
        claims_token: str,
        sockets: ClientSockets | None = None,
        *,
        times: ListenerTimes = LISTENER_TIMES,
    ) -> None:
        """Keep who answers.

        Args:
            host: Takes frames.
            status: What ``/health`` says.
            claims: Takes claims.
            claims_token: The secret that a POST with a claim must carry.
            sockets: Those of clients that are connected directly; None: there are none.
            times: Time limits.
        """
        self._times = times
        self._host = host
        self._status = status
        self._claims = claims
        self._claims_token = claims_token
        self._listening: socket.socket | None = None
        self._kept = BackgroundTasks()
        app = web.Application(client_max_size=max(MAX_DELIVERY_BYTES, MAX_CLAIM_BYTES))
        app.router.add_post(FRAMES_PATH, self._frames)
        app.router.add_post(CLAIMS_PATH, self._claim)
        app.router.add_get("/health", self._health)
        self._sockets = sockets
        if sockets is not None:
            OutputRoutes(sockets).add_to(app.router)
        # No access log: a line for every 100 ms of each caller's speech says nothing.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=GRACE_SECONDS,
            lingering_time=times.linger_seconds,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            auto_decompress=False,
        )

    async def start(self, address: str, port: int) -> int:
        """Listen.

        Args:
            address: The local address.
            port: The port, 0 for any free one.

        Returns:
            The port.
        """
        await self._runner.setup()
        found = await asyncio.get_running_loop().getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, *_, sockaddr = found[0]
        self._listening = socket.create_server(sockaddr, family=family)
        await web.SockSite(self._runner, self._listening).start()
        return int(self._listening.getsockname()[1])

    def answers_from_thread(self, watch: BlockedLoopWatch | None) -> contextlib.AbstractContextManager[None]:
        """Answer ``GET /health`` from a thread whenever the watched loop stands still, while the block lasts."""
        if self._listening is None or watch is None:
            return contextlib.nullcontext()
        loop = asyncio.get_running_loop()

        def keep(accepted: socket.socket) -> None:
            loop.call_soon_threadsafe(self._keep, accepted)

        answers = StallAnswers(
            self._listening,
            stood_still=watch.stood_still,
            health=self._stalled_health,
            keep=keep,
            look_seconds=self._times.look_seconds,
            answers_after_seconds=self._times.answers_after_seconds,
        )
        return answers.running()

    def _keep(self, accepted: socket.socket) -> None:
        self._kept.start(self._take(accepted), "a connection that was kept")

    async def _take(self, accepted: socket.socket) -> None:
        """Serve a connection that a thread has accepted while the loop stood still."""
        accepted.settimeout(0.0)
        server = self._runner.server
        if server is None:
            accepted.close()
            return
        await asyncio.get_running_loop().connect_accepted_socket(server, accepted)

    async def close(self) -> None:
        """Stop listening, after the requests under way."""
        await self._runner.cleanup()

    async def _frames(self, request: web.Request) -> web.Response:
        try:
            token = _token(request, ROUTE_TOKEN_HEADER)
            shown = self._host.holding(token)
            if shown is None:  # also if it is held: who has not its token does not learn that
                return _refused(410, HANDED_OVER if self._host.handed_over_by(token) else "moved")
            delivery = decode_delivery(await _body(request, self._times.body_seconds))
            session = self._session(delivery.session_key)
            if session is not shown:
                return _refused(403, "forbidden")
            session.deliver(delivery)
        except SessionMoved:
            return _refused(410, HANDED_OVER if shown is not None and shown.successor_ready else "moved")
        except _BadRequest as bad:
            return _refused(bad.status, bad.code or "bad_frame")
        except FrameError as error:
            metrics.error(error.code)
            return _refused(429 if error.code in TOO_MUCH else 400, error.code, error.message)
        return web.Response(status=202)

    async def _claim(self, request: web.Request) -> web.Response:
        try:
            if not hmac.compare_digest(_token(request, CLAIMS_TOKEN_HEADER), self._claims_token.encode()):
                return _refused(403, "forbidden")
            claim = decode_claim(await _body(request, self._times.body_seconds))
        except ClaimError:
            return _refused(400, "bad_claim")
        except _BadRequest as bad:
            return _refused(bad.status, "bad_claim")
        try:
            if claim.prepare:
                return await self._prepare(claim)
            self._claims.offer_claim(claim)
        except NoRoom:
            return _refused(409, "no_room")
        return web.Response(status=202)

    async def _prepare(self, claim: Claim) -> web.Response:
        try:
            prepared = await self._claims.prepare(claim)
        except NoRoom:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the agent's code raises: another worker may do better
            logger.warning("session could not be prepared", session=claim.session_key, reason=type(error).__name__)
            return _refused(409, "unprepared")
        return web.Response(status=200, body=encode_prepared(prepared), content_type="application/json")

    def _session(self, key: str) -> HostedSession:
        session = self._host.find(key)
        if session is None:
            raise SessionMoved
        return session

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response(self._facts(0.0), status=200 if self._status.ready else 503)

    def _stalled_health(self, stood_still: float) -> tuple[int, bytes]:
        """Return status and body for a loop that stands still. Called on a thread, while the loop changes nothing."""
        well = self._status.ready and stood_still < self._times.unwell_seconds
        return 200 if well else 503, json.dumps(self._facts(stood_still)).encode()

    def _facts(self, stood_still: float) -> dict[str, Any]:
        status = self._status
        return {
            "worker_id": status.worker_id,
            "version": status.version,
            "sessions": len(self._host.sessions),
            "room": self._host.room if status.ready and not status.draining else 0,
            "draining": status.draining,
            "ready": status.ready,
            "stood_still_ms": round(1000 * stood_still),
            **self._direct_facts(),
        }

    def _direct_facts(self) -> dict[str, int]:
        port = self._status.sockets_port
        return {} if port is None or self._sockets is None else {"sockets_port": port, "sockets": len(self._sockets)}


class _BadRequest(Exception):  # noqa: N818 - an answer
    """Raised when a request's headers or body are not those of a gateway or worker."""

    def __init__(self, status: int, code: str = "") -> None:
        self.status = status
        self.code = code


def _token(request: web.Request, header: str) -> bytes:
    """Return the token that a request shows. Tokens are ASCII, and a header that is not need not even be text."""
    shown = request.headers.get(header, "")
    if not shown.isascii():
        raise _BadRequest(400)
    return shown.encode()


async def _body(request: web.Request, seconds: float) -> bytes:
    try:
        if request.content.is_eof():  # it came with its headers, as nearly all do: a timer would cost more than it
            return await request.read()
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise _BadRequest(408) from None
    except web.HTTPRequestEntityTooLarge:
        raise _BadRequest(400, "oversize") from None
    except web.RequestPayloadError:  # what its headers say of the body is not so
        raise _BadRequest(400, "bad_json") from None


def _refused(status: int, code: str, message: str = "") -> web.Response:
    return web.Response(status=status, body=encode_refusal(code, message), content_type="application/json")
