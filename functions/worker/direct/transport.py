"""The direct transport of one process: its parts, wired once, and the order in which they begin and end.

    begin     rows kept ─▶ the server listens ─▶ sessions may follow their sockets
    drain     no new sockets (1013) ─▶ ``reconnect`` to all, paced ─▶ sessions, each after its clients have gone over
              ─▶ wait for the sockets ─▶ 1012 ─▶ end

A client opens its next connection beside the old one and says ``hello`` there; the session then has no socket here any
more, and its handoff goes to where it has one. Sockets outlive their sessions: frames and output are forwarded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from segue.wire.rate import FrameRate
from shared.background import first_of
from shared.connections import DIRECT_LIFETIME_SECONDS, ConnectionsTable
from shared.ingress.admission import CONNECTIONS_PER_SESSION, Admission
from shared.ingress.default_limits import of_principal
from shared.ingress.routes import Routes
from shared.log import logger
from shared.tokens import Verifier
from worker.conversation.session import HostedSession
from worker.direct.claiming import Claiming
from worker.direct.following import Following
from worker.direct.forwarding import Forwarding, HolderPost
from worker.direct.handshake import Handshake
from worker.direct.issuer_keys import issuer_keys
from worker.direct.router import SocketRouter
from worker.direct.rows import SocketRows
from worker.direct.socket_server import SocketServer
from worker.direct.sockets import ClientSockets
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.hosting.claims import ClaimSource, ClaimTaker
from worker.hosting.host import Host
from worker.hosting.successors import Successors
from worker.settings import Environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def sockets_of(environment: Environment) -> ClientSockets:
    """Return the process's sockets, none yet."""
    most = environment.direct_sockets if environment.has_sockets else 0
    return ClientSockets(most, environment.sessions_per_principal * CONNECTIONS_PER_SESSION)


class DirectTransport:
    """The way in for clients that connect to this worker. Use ``open`` for as long as sessions are served.

    Attributes:
        port: Where it listens.
    """

    def __init__(
        self,
        sockets: ClientSockets,
        server: SocketServer,
        rows: SocketRows,
        following: Following,
        endpoint: str,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> None:
        """Keep the parts."""
        self.port = 0
        self._sockets = sockets
        self._server = server
        self._rows = rows
        self._following = following
        self._endpoint = endpoint
        self._times = times
        self._asked_until = 0.0
        self._leaving_since = 0.0

    @classmethod
    @asynccontextmanager
    async def open(  # noqa: PLR0913 - the parts of a process, wired once
        cls,
        environment: Environment,
        *,
        sockets: ClientSockets,
        host: Host,
        claims: ClaimTaker,
        queue: ClaimSource,
        successors: Successors,
        dynamodb: DynamoDBClient,
        endpoint: str,
        hurry: asyncio.Event | None = None,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> AsyncIterator[DirectTransport]:
        """Wire the parts, and let clients in.

        Args:
            environment: The worker's settings.
            sockets: Those of the process.
            host: The sessions that are held here.
            claims: Takes sessions here.
            queue: Takes claims for all workers.
            successors: The other workers.
            dynamodb: Client.
            endpoint: Where other workers reach this one.
            hurry: When set, a session that follows its socket waits for nothing that can be left out.
            times: Time limits.
        """
        table = environment.connections_table
        admission = Admission(dynamodb, table, environment.sessions_per_principal, time.time, DIRECT_LIFETIME_SECONDS)
        rows = SocketRows(ConnectionsTable(dynamodb, table), admission, times)
        following = Following(successors, queue, endpoint, environment.worker_id, hurry, times)
        keys = await asyncio.to_thread(issuer_keys, environment.token_keys_url)  # may make a client of AWS
        verifier = Verifier(environment.token_issuer, environment.token_audience.split(","), keys)
        handshake = Handshake(verifier, sockets, [each for each in environment.direct_origins.split(",") if each])
        async with AsyncExitStack() as stack:
            stack.callback(handshake.close)
            stack.push_async_callback(rows.close)
            post = await stack.enter_async_context(HolderPost())
            forwarding = Forwarding(
                host,
                Routes(dynamodb, environment.lock_table),
                post,
                Claiming(claims, successors, queue, rows, times),
                rows,
                endpoint,
            )
            router = _router(environment, forwarding, rows, times)
            server = SocketServer(sockets, handshake, router, rows, endpoint, times)
            transport = cls(sockets, server, rows, following, endpoint, times)
            stack.push_async_callback(server.close)
            transport.port = await server.start(environment.bind_host, environment.direct_port)
            keeping = asyncio.create_task(rows.keep(sockets), name="rows")
            stack.callback(keeping.cancel)
            host.on_hello, host.on_opened = following.hello, following.opened
            yield transport

    async def begin_to_leave(self) -> None:
        """Take no more sockets, and ask those that are open to go over; call it when the worker is told to stop."""
        self._leaving_since = _now()
        self._sockets.leaving = True
        self._following.stop()
        self._asked_until = _now() + await self._sockets.say_reconnect()

    async def gone_over(self, session: HostedSession) -> None:
        """Wait until no client of a session has its socket here, or until they have had the time for it."""
        await self._following.wait_until_settled(session)
        until = self._asked_until + self._times.gone_over_seconds
        while self._following.owns_socket_of(session) and _now() < until:
            await first_of(self._following.heard_hello(), timeout=until - _now())

    async def close_sockets(self, hurry: asyncio.Event) -> None:
        """Wait for the sockets to close, in bounded time, and close what is left; call it after the last session."""
        times = self._times
        until = min(max(_now(), self._asked_until) + times.last_seconds, self._leaving_since + times.left_seconds)
        await first_of(self._sockets.none_left(), hurry.wait(), timeout=max(0.0, until - _now()))
        left = len(self._sockets)
        await self._sockets.close_all()
        logger.info("sockets closed", left=left)


def _router(environment: Environment, forwarding: Forwarding, rows: SocketRows, times: TransportTimes) -> SocketRouter:
    rate, burst, sessions = environment.frames_per_second, environment.frame_burst, environment.sessions_per_principal
    return SocketRouter(
        forwarding,
        rows,
        FrameRate(time.monotonic, rate, burst),
        FrameRate(time.monotonic, of_principal(rate, sessions), of_principal(burst, sessions)),
        times=times,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
