"""One WebSocket of a conversation, from its opening to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException
from websockets.protocol import State

from segue.client.conversation import Conversation
from segue.client.events import EventBuffer
from segue.client.settings import ClientSettings
from segue.wire.frames import Bye, encode_frame


class ClientWebSocket:
    """Carrier of frames between a conversation and a socket.

    Attributes:
        error: what broke the connection, if it did.
        next_due: set when the next connection is due: beside this one, or because this one has ended.
    """

    def __init__(
        self,
        socket: ClientConnection,
        conversation: Conversation,
        events: EventBuffer,
        settings: ClientSettings,
        on_progress: Callable[[], None],
    ) -> None:
        """Join the conversation.

        Args:
            socket: just opened.
            conversation: what is said and heard.
            events: where events go.
            settings: times.
            on_progress: called when something has arrived.
        """
        self.error: Exception | None = None
        self.next_due = asyncio.Event()
        self._socket = socket
        self._conversation = conversation
        self._events = events
        self._settings = settings
        self._on_progress = on_progress
        self._wake = asyncio.Event()
        self._ending = False
        self._number = conversation.connected(asyncio.get_running_loop().time())

    @property
    def close_code(self) -> int | None:
        """WebSocket close code of the server's end; ``None`` if it broke off, or has not ended."""
        return self._socket.close_code

    def wake(self) -> None:
        """Wake the sender: there may be something to send."""
        self._wake.set()

    def say_goodbye(self) -> None:
        """Say what is due, then good-bye."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        """Send and receive until the connection breaks, is of no use any more, or ``say_goodbye`` was called."""
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            await self._write_until_end(reader)
            link = self._conversation.link(self._number)
            if link is None:  # replaced by a newer one: what is still on its way over this one is heard
                await asyncio.wait({reader}, timeout=self._settings.overlap)
            if link is None or not link.lost:
                await self._socket.close()
        except (OSError, WebSocketException) as error:
            self.error = error
        except AttributeError as error:
            if self._socket.state is not State.CLOSED:
                raise
            self.error = error  # see ``_abort``: sending and closing abort as well
        finally:
            self._abort()
            reader.cancel()
            await asyncio.wait({reader})
            self._conversation.disconnected(self._number)
        if not reader.cancelled() and (broken := reader.exception()) is not None:
            if not isinstance(broken, OSError | WebSocketException):
                raise broken
            self.error = broken

    def _abort(self) -> None:
        """Wait for a dead peer no longer; nothing happens after a clean close.

        A transport of asyncio's that was closed with data left to write does not notice its end, and still calls the
        loop that it has dropped.
        """
        with contextlib.suppress(AttributeError):
            self._socket.transport.abort()

    async def _write_until_end(self, reader: asyncio.Task[None]) -> None:
        while not reader.done() and self._is_useful():
            self._wake.clear()
            await self._write()
            if self._ending:
                await self._socket.send(encode_frame(Bye()))
                return
            await self._wait()

    def _is_useful(self) -> bool:
        link = self._conversation.link(self._number)
        return link is not None and not link.lost and not self._conversation.failure

    async def _read(self) -> None:
        now = asyncio.get_running_loop().time
        async for message in self._socket:
            self._events.put(self._conversation.received(message, now(), self._number))
            self._on_progress()

    async def _write(self) -> None:
        now = asyncio.get_running_loop().time()
        self._events.put(self._conversation.tick(now))
        if self._conversation.wants_renewal(now, self._number):
            self.next_due.set()
        for frame in self._conversation.outgoing(now, self._number):
            await self._socket.send(self._conversation.message(frame, self._number))

    async def _wait(self) -> None:
        """Wait until something happens, or it is time for something."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._conversation.wakeup(now, self._number)):
                await self._wake.wait()
        except TimeoutError:
            pass
