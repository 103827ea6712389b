"""The open sockets of this process: one for each client that is connected directly.

    open ─▶ bound (its ``hello`` was taken) ─▶ closed    by the client, by a fault, or with 1012 when the worker ends

A socket's secret is random and its own. Other workers learn it with the deliveries and claims of the session that the
socket is bound to, and show both: no worker can write into the socket of another session.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import Counter
from typing import Final, NamedTuple

from aiohttp import WSMsgType, web

from segue.wire.claims import ClientAddress, DirectAddress
from segue.wire.codes import SERVICE_RESTART
from segue.wire.frames import Reconnect, ServerFrame, encode_frame
from shared.connections import Binding
from shared.encoding import is_binary
from shared.tokens import Bearer
from worker.aws.poster import PostOutcome
from worker.telemetry.metrics import Level, metrics

BUFFER_BYTES: Final = 256 * 1024
"""Bytes that wait in the process for a client that reads slowly: four seconds of 24 kHz speech in base64. Beyond them
a post is answered as API Gateway does (429), and its holder waits and drops old audio."""

NEVER_PAUSED_BYTES: Final = 4 * BUFFER_BYTES
"""The transport's own limit, above all that is ever written: a send never waits."""

CLOSE_SECONDS: Final = 2.0
"""Seconds for a client to answer a close; then the connection is dropped."""

RECONNECTS_A_SECOND: Final = 20.0
"""Sockets a second that are asked to open the next connection, unless that would take longer than
``RECONNECT_SECONDS``. Each costs a handshake at the balancer and a ``hello``."""

RECONNECT_SECONDS: Final = 10.0
"""Seconds in which all are asked, however many there are: of very many, more are asked a second."""


class MessagePlace(NamedTuple):
    """The place of a holder's message among all that are sent to a session's clients: that of a later one is greater.

    Attributes:
        epoch: The holder's.
        number: Counts what it sends. One that is sent again keeps its number.
    """

    epoch: int
    number: int


class ClientSocket:
    """One client's WebSocket.

    Attributes:
        id: Its name at this worker.
        connection_id: Its name among all connections, also those of API Gateway.
        principal: Whose it is.
        token_expires_at: When the right to send ends; seconds since 1970.
        binding: The session and client, since its ``hello``.
        renewed_at: When its rows were last written, on the loop's clock.
        buffer_bytes: Bytes that may wait for its client.
        address: Where holders of its session post output to.
    """

    def __init__(
        self, ws: web.WebSocketResponse, transport: asyncio.WriteTransport, bearer: Bearer, endpoint: str
    ) -> None:
        """Give it a name and a secret.

        Args:
            ws: Prepared.
            transport: Of its connection.
            bearer: Of its token.
            endpoint: Where other workers reach this one.
        """
        self.id = secrets.token_hex(16)
        self.connection_id = f"direct-{self.id}"
        self.principal = bearer.principal
        self.token_expires_at = bearer.expires_at
        self.binding: Binding | None = None
        self.renewed_at = 0.0
        self.buffer_bytes = BUFFER_BYTES
        self._last = MessagePlace(0, 0)
        self._secret = secrets.token_urlsafe(24)
        self._ws = ws
        self._transport = transport
        self.address = DirectAddress(endpoint=endpoint, socket=self.id, secret=self._secret)
        transport.set_write_buffer_limits(high=NEVER_PAUSED_BYTES)

    @property
    def client(self) -> ClientAddress | None:
        """The same with the client's name; None before its ``hello``."""
        bound = self.binding
        if bound is None:
            return None
        return ClientAddress(
            client_id=bound.client_id,
            connection_id=self.connection_id,
            counter=bound.counter,
            history=bound.history,
            direct=self.address,
        )

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more."""
        return self._ws.closed or self._transport.is_closing()

    def bind(self, binding: Binding, address: DirectAddress) -> None:
        """Note the session and client that it belongs to, and the address that was given out for it."""
        self.binding, self.address = binding, address

    def admits(self, secret: str, session_key: str) -> bool:
        """Return true if output with this secret may be written, for this session."""
        known = hmac.compare_digest(secret.encode(), self._secret.encode())
        return known and self.binding is not None and self.binding.session_key == session_key

    async def send(self, message: bytes) -> PostOutcome:
        """Write one message, or refuse it; never waits for the client.

        Args:
            message: JSON text, or a binary message of ``segue.wire.binary``.
        """
        if self.closed:
            return PostOutcome.GONE
        if self._transport.get_write_buffer_size() > self.buffer_bytes:
            return PostOutcome.LIMITED
        try:
            await self._ws.send_frame(message, WSMsgType.BINARY if is_binary(message) else WSMsgType.TEXT)
        except ConnectionError:
            return PostOutcome.GONE
        return PostOutcome.DELIVERED

    async def write(self, message: bytes, place: MessagePlace | None) -> PostOutcome:
        """Write a holder's message once, in its place, whenever its attempts arrive.

        An attempt may arrive when its sender has given it up, and after messages that were sent later.

        Args:
            message: As for ``send``.
            place: None: of a worker that does not say it, and written as it comes.

        Returns:
            As of ``send``; DELIVERED for one that was written before, GONE if a later holder has spoken here.
        """
        if place is None:
            return await self.send(message)
        last = self._last
        if place <= last:
            return PostOutcome.DELIVERED if place.epoch == last.epoch else PostOutcome.GONE
        self._last = place  # at once: nothing comes between the look and the write
        outcome = await self.send(message)
        if outcome is not PostOutcome.DELIVERED:
            self._last = last
        return outcome

    async def queue_frame(self, frame: ServerFrame) -> None:
        """Tell the client something that this worker itself has to say."""
        await self.send(encode_frame(frame).encode())

    async def close(self, code: int) -> None:
        """Close it, in bounded time.

        Args:
            code: The WebSocket's close code.
        """
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._ws.close(code=code, drain=False)
        except TimeoutError:
            self._transport.abort()


class ClientSockets:
    """All sockets of the process."""

    def __init__(self, most: int, most_of_principal: int) -> None:
        """Begin with none.

        Args:
            most: Sockets at once; beyond them a client is sent to another worker.
            most_of_principal: The same for one principal at this worker, bound or not.
        """
        self._most = most
        self._most_of_principal = most_of_principal
        self._open: dict[str, ClientSocket] = {}
        self._of_principal: Counter[str] = Counter()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self.leaving = False

    def __len__(self) -> int:
        """Sockets that are open."""
        return len(self._open)

    @property
    def full(self) -> bool:
        """True if no socket is taken now: all places are taken, or this worker leaves."""
        return self.leaving or len(self._open) >= self._most

    def has_place_for(self, principal: str) -> bool:
        """Return true if a principal may open one more."""
        return self._of_principal[principal] < self._most_of_principal

    def find(self, socket_id: str) -> ClientSocket | None:
        """Return a socket by its name; None if it is not open here."""
        return self._open.get(socket_id)

    def all(self) -> tuple[ClientSocket, ...]:
        """Return all that are open."""
        return tuple(self._open.values())

    def add(self, socket: ClientSocket) -> None:
        """Count one more."""
        self._open[socket.id] = socket
        self._of_principal[socket.principal] += 1
        self._none_left.clear()
        metrics.level(Level.SOCKETS, len(self._open))

    def remove(self, socket: ClientSocket) -> None:
        """Count one less."""
        if self._open.pop(socket.id, None) is None:
            return
        self._of_principal[socket.principal] -= 1
        self._of_principal += Counter()  # drops those without any
        metrics.level(Level.SOCKETS, len(self._open))
        if not self._open:
            self._none_left.set()

    async def none_left(self) -> None:
        """Wait until the last one has closed."""
        await self._none_left.wait()

    async def say_reconnect(self) -> float:
        """Ask each client to open its next connection elsewhere; returns in how many seconds the last one does."""
        sockets = self.all()
        pause = min(1 / RECONNECTS_A_SECOND, RECONNECT_SECONDS / max(1, len(sockets)))
        for number, socket in enumerate(sockets):
            await socket.queue_frame(Reconnect(after_ms=round(1000 * number * pause)))
        return pause * len(sockets)

    async def close_all(self) -> None:
        """Close those that are left: this worker ends, another one takes their clients."""
        await asyncio.gather(*(socket.close(SERVICE_RESTART) for socket in self.all()))
