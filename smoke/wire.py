"""A bare WebSocket that keeps every message with its time of arrival, also those that are no frames."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from segue.wire.frames import ClientFrame, FrameError, ServerFrame, decode_server_message, encode_frame
from smoke.background import running

PROTOCOL: Final = "segue.v1"
OPEN_SECONDS: Final = 15.0
LARGEST_MESSAGE_BYTES: Final = 128 * 1024


class Wire:
    """An open connection.

    Attributes:
        subprotocol: The one that the server chose; None if it named none.
        frames: Frames that came, each with its time on the monotonic clock.
        strays: Messages that are no frame, as text.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.subprotocol = socket.subprotocol
        self.frames: list[tuple[float, ServerFrame]] = []
        self.strays: list[str] = []
        self._socket = socket
        self._changed = asyncio.Condition()

    async def send(self, *frames: ClientFrame) -> None:
        """Send frames, each as a message."""
        for frame in frames:
            await self._socket.send(encode_frame(frame))

    async def read(self) -> None:
        """Read until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                self._note_message(message)
                async with self._changed:
                    self._changed.notify_all()

    async def first[Frame: ServerFrame](
        self, kind: type[Frame], within: float, matches: Callable[[Frame], bool] = lambda _: True, after: int = 0
    ) -> tuple[float, Frame]:
        """Wait for a frame.

        Args:
            kind: Its class.
            within: Seconds.
            matches: The frame that is meant.
            after: Frames that are left out, from the beginning.

        Returns:
            The time of its arrival, and the frame.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(within), self._changed:
            while True:
                for at, frame in self.frames[after:]:
                    if isinstance(frame, kind) and matches(frame):
                        return at, frame
                await self._changed.wait()

    def cut(self) -> None:
        """Break the connection, as a network that is gone does."""
        self._socket.transport.abort()

    def _note_message(self, message: str | bytes) -> None:
        arrived_at = time.monotonic()
        try:
            frames = decode_server_message(message)
        except FrameError:
            frames = []
        self.frames += [(arrived_at, frame) for frame in frames]
        if not frames:
            self.strays.append(message if isinstance(message, str) else message.decode(errors="replace"))


@contextlib.asynccontextmanager
async def open_wire(url: str, token: str) -> AsyncIterator[Wire]:
    """Open a connection, and read from it until the end of the block."""
    subprotocols = [Subprotocol(PROTOCOL), Subprotocol(f"bearer.{token}")]
    async with connect(
        url, subprotocols=subprotocols, open_timeout=OPEN_SECONDS, max_size=LARGEST_MESSAGE_BYTES, compression=None
    ) as socket:
        wire = Wire(socket)
        async with running(wire.read()):
            yield wire


async def refusal(url: str, token: str | None) -> int | None:
    """The HTTP status with which a handshake is refused; None if it is accepted."""
    subprotocols = [Subprotocol(PROTOCOL), Subprotocol(f"bearer.{token}")] if token else None
    try:
        async with connect(url, subprotocols=subprotocols, open_timeout=OPEN_SECONDS, compression=None):
            return None
    except InvalidStatus as error:
        return error.response.status_code
