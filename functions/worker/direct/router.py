"""One message of a socket: read, bounded, bound to a session, and brought to its holder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from segue.storage.answers import AWS_ERRORS, reason_of
from segue.wire.binary import decode_samples
from segue.wire.frames import (
    ClientFrame,
    Error,
    FrameError,
    Hello,
    Ping,
    Pong,
    decode_client_frame,
    error_frame,
)
from segue.wire.rate import FrameRate
from shared.connections import Binding
from shared.ingress.binding import binding_of
from shared.ingress.repeated_errors import RepeatedErrors
from shared.log import logger
from worker.direct.forwarding import Forwarding
from worker.direct.rows import SocketRows
from worker.direct.sockets import ClientSocket
from worker.direct.times import TRANSPORT_TIMES, TransportTimes
from worker.telemetry.metrics import metrics


@asynccontextmanager
async def _saying_pong(socket: ClientSocket, every_seconds: float) -> AsyncIterator[None]:
    """Show a client now and then that its worker lives, for as long as something is done for it."""

    async def say() -> None:
        while True:
            await asyncio.sleep(every_seconds)
            await socket.queue_frame(Pong())

    saying = asyncio.create_task(say(), name=f"pong {socket.connection_id}")
    try:
        yield
    finally:
        saying.cancel()


class SocketRouter:
    """Reader of sockets' messages, one after the other of each."""

    def __init__(
        self,
        forwarding: Forwarding,
        rows: SocketRows,
        rate: FrameRate,
        principals: FrameRate,
        wall_clock: Callable[[], float] = time.time,
        times: TransportTimes = TRANSPORT_TIMES,
    ) -> None:
        """Put the parts together.

        Args:
            forwarding: Brings frames to holders.
            rows: Counts sessions.
            rate: Refuses what comes too fast over one socket.
            principals: Refuses what comes too fast over all sockets of one principal at this worker.
            wall_clock: Seconds since 1970, for the ends of tokens.
            times: Time limits.
        """
        self._forwarding = forwarding
        self._rows = rows
        self._rate = rate
        self._principals = principals
        self._wall_clock = wall_clock
        self._times = times
        self._errors = RepeatedErrors(lambda: asyncio.get_running_loop().time())

    async def receive(self, socket: ClientSocket, message: str | bytes) -> Error | Pong | None:
        """Take one message; return what the client is told at once, if anything. Raises nothing.

        Args:
            socket: Where it came in.
            message: JSON text, or binary audio.
        """
        trace, by_holder = None, False
        try:
            self._rate.admit(socket.id)
            frame = decode_samples(message) if isinstance(message, bytes) else decode_client_frame(message)
            trace = frame.trace
            if isinstance(frame, Ping):
                return Pong(trace=trace)
            told = await self._route_frame(socket, frame)
            by_holder = told is not None and told.code != "no_worker"
        except FrameError as error:
            told = error_frame(error.code, error.message)
        except AWS_ERRORS as error:
            logger.error("a message could not be taken", connection=socket.connection_id, reason=reason_of(error))
            told = error_frame("internal")
        except Exception:  # noqa: BLE001 - one message of one client must not end the socket
            logger.exception("message failed", connection=socket.connection_id)
            told = error_frame("internal")
        if told is None or self._errors.is_repeated(socket.id, told.code):
            return None
        if not by_holder:  # which counts its own
            metrics.error(told.code)
        return msgspec.structs.replace(told, trace=trace) if trace else told

    async def _route_frame(self, socket: ClientSocket, frame: ClientFrame) -> Error | None:
        if self._wall_clock() >= socket.token_expires_at:
            raise FrameError("expired")
        self._principals.admit(socket.principal)
        if isinstance(frame, Hello):
            async with _saying_pong(socket, self._times.pong_seconds):  # the table of connections may be slow as well
                return await self._forwarding.deliver(socket, await self._bind(socket, frame), frame)
        if socket.binding is None:
            raise FrameError("hello_first")
        return await self._forwarding.deliver(socket, socket.binding, frame)

    async def _bind(self, socket: ClientSocket, hello: Hello) -> Binding:
        binding = binding_of(socket.principal, hello, socket.binding)
        if binding == socket.binding:
            return binding
        address = msgspec.structs.replace(socket.address, binary=hello.binary)
        if refused := await self._rows.write_rows(socket, binding, address):
            logger.warning("hello refused", principal=socket.principal, code=refused)
            raise FrameError(refused)
        socket.bind(binding, address)
        logger.info("socket bound", session=binding.session_key, client=binding.client_id, counter=binding.counter)
        return binding
