"""HTTP/2 for one kind of request: a stream of bytes in both directions, kept open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError

type Handler = Callable[["Stream"], Awaitable[None]]


class Stream:
    """One request.

    Attributes:
        headers: Of the request.
    """

    def __init__(self, protocol: Http2, number: int, headers: dict[str, str]) -> None:
        self.headers = headers
        self._protocol, self._number = protocol, number
        self._data: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._window_opened = asyncio.Event()
        self._sending = asyncio.Lock()

    async def read(self) -> bytes | None:
        """Return what came, None at the end."""
        return await self._data.get()

    def answer(self, status: int, **headers: str) -> None:
        """Send the response's head."""
        head = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self._protocol.http.send_headers(self._number, head)
        self._protocol.flush()

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the body, as fast as the client makes room.

        Raises:
            ConnectionError: The client has gone.
        """
        try:
            await self._write(data, last=last)
        except ProtocolError as error:
            raise ConnectionError("the client has closed the stream") from error

    async def _write(self, data: bytes, *, last: bool) -> None:
        async with self._sending:
            http = self._protocol.http
            while data:
                self._protocol.check()
                window = min(http.local_flow_control_window(self._number), http.max_outbound_frame_size)
                if window <= 0:
                    self._window_opened.clear()
                    await self._window_opened.wait()
                    continue
                http.send_data(self._number, data[:window])
                data = data[window:]
                self._protocol.flush()
            if last:
                self._protocol.check()
                http.end_stream(self._number)
                self._protocol.flush()

    def abort(self) -> None:
        """Break the connection."""
        self._protocol.abort()

    def put_data(self, data: bytes | None) -> None:
        """Take what came."""
        self._data.put_nowait(data)
        self._window_opened.set()

    def note_window(self) -> None:
        """Note that the client takes more."""
        self._window_opened.set()


class Http2(asyncio.Protocol):
    """One connection."""

    def __init__(self, handler: Handler) -> None:
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._handler = handler
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP server
        self._transport = transport
        self.http.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all streams."""
        del exc
        self._transport = None
        for stream in self._streams.values():
            stream.put_data(None)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            events = self.http.receive_data(data)
        except ProtocolError:
            self.abort()
            return
        for event in events:
            match event:
                case RequestReceived():
                    headers = {str(name): str(value) for name, value in event.headers or []}
                    stream = self._streams[event.stream_id] = Stream(self, event.stream_id, headers)
                    task = asyncio.ensure_future(self._handle(stream))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case DataReceived():
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    self._streams[event.stream_id].put_data(event.data)
                case StreamEnded() | StreamReset():
                    if (ended := self._streams.get(event.stream_id)) is not None:
                        ended.put_data(None)
                case WindowUpdated():
                    for each in self._streams.values():
                        each.note_window()
                case ConnectionTerminated():
                    self.abort()
                case _:
                    pass
        self.flush()

    def check(self) -> None:
        """See that the client is still there.

        Raises:
            ConnectionError: It is not.
        """
        if self._transport is None:
            raise ConnectionError("the client has gone")

    def flush(self) -> None:
        """Send what is waiting."""
        if self._transport is not None and (data := self.http.data_to_send()):
            self._transport.write(data)

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def _handle(self, stream: Stream) -> None:
        with contextlib.suppress(ConnectionError):
            await self._handler(stream)
