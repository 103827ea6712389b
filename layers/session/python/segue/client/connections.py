"""Connections of a conversation: one at a time, a new one when it breaks, and one before it is ended.

── connection 1 ────────────────────────────────┐ ready on 2: closed
                              ┌── hello ─ ready ┴─ connection 2 ───── … ✕   ┌── connection 3
     lifetime, reconnect, silence                                       pause┘

── connection 1 ───────────────────────────── ✕  1012: its worker has ended, and no connection is left
                 ┌ 1013  ┌ 1013  ┌ 1013         ┌── connection 5: at once, whatever was left of the pause
        reconnect┘ at once┘ at once┘    pause of a renewal…
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from segue.client.conversation import Conversation
from segue.client.credentials import Credentials
from segue.client.errors import ConnectionLost, HandshakeRefused
from segue.client.events import EventBuffer
from segue.client.retries import Retries
from segue.client.settings import ClientSettings
from segue.client.websocket import ClientWebSocket

logger = logging.getLogger(__name__)

LARGEST_MESSAGE_BYTES: Final = 128 * 1024
"""Bytes of API Gateway's largest message; a larger one ends the connection. The protocol's own frames are smaller."""

CREDENTIALS_REFUSED: Final = frozenset({401, 403})
ADDRESS_REFUSED: Final = frozenset({400, 404, 405, 410})

REFUSALS: Final = 3
"""Refused handshakes in a row that end a client whose first was accepted. A deployment or a key that is being changed
is over by then."""


class Connections:
    """The connections of one conversation.

    Attributes:
        last_error: why the last attempt failed, or the last connection broke.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        conversation: Conversation,
        events: EventBuffer,
        settings: ClientSettings,
    ) -> None:
        """Prepare; nothing is opened yet."""
        self.last_error: Exception | None = None
        self.progress = asyncio.Event()  # set by every change that a caller may wait for
        self._url = url
        self._credentials = credentials
        self._conversation = conversation
        self._events = events
        self._settings = settings
        self._websockets: dict[asyncio.Task[None], ClientWebSocket] = {}
        self._ending = asyncio.Event()
        self._refusals = 0
        self._unanswered = 0  # handshakes in a row
        self._retries = Retries(settings)
        self._renewal_retries = Retries(settings)  # beside a connection that works: of no weight once that one ends
        self._close_code: int | None = None  # of the connection that ended last
        self._disconnected = asyncio.Event()  # set when the last connection has ended, or the client ends

    def wake(self) -> None:
        """Wake the senders: there may be something to send."""
        for websocket in self._websockets.values():
            websocket.wake()

    def end(self) -> None:
        """Say good-bye and end."""
        self._ending.set()
        self._disconnected.set()
        for websocket in self._websockets.values():
            websocket.say_goodbye()

    async def run(self) -> None:
        """Stay connected until ``end``.

        Raises:
            ClientError: Nothing more will come of it.
            Exception: The user's own functions raised, at the first connection.
        """
        try:
            await self._stay_connected()
        finally:
            for task in self._websockets:
                task.cancel()
            if self._websockets:
                await asyncio.wait(self._websockets)

    async def _stay_connected(self) -> None:
        now = asyncio.get_running_loop().time
        connected_at = now()
        while not self._ending.is_set():
            ready_before = self._conversation.last_ready
            self._close_code = None
            socket = await self._open()
            renewing = socket is not None and await self._use(socket)
            if self._conversation.last_ready is not ready_before:
                self._retries.succeeded()
                self._renewal_retries.succeeded()
            if renewing:
                continue  # it works, but needs a renewal: the next is opened beside it
            if self._conversation.failure:
                raise self._conversation.failure
            if self._conversation.greeted or self._retries.first:
                connected_at = now()
            if now() - connected_at > self._settings.give_up_after:
                raise ConnectionLost("no connection for too long; use a new client later") from self.last_error
            await self._pause()

    async def _open(self) -> ClientConnection | None:
        """One attempt to connect."""
        first = self._conversation.counter == 0
        try:
            headers, subprotocols = await self._credentials.fresh()
        except Exception as error:
            if first:
                raise
            self.last_error = error  # the service that issues tokens may be away for a moment, too
            return None
        try:
            socket = await connect(
                self._url,
                additional_headers=headers,
                subprotocols=subprotocols,
                open_timeout=self._conversation.handshake_timeout(self._unanswered),
                close_timeout=self._settings.close_timeout,
                max_size=LARGEST_MESSAGE_BYTES,
                compression=None,  # API Gateway does not speak it
            )
        except InvalidStatus as error:
            self._check_refusal(error, first=first)
            self.last_error = error
        except (OSError, WebSocketException) as error:
            self.last_error = error
            self._unanswered += isinstance(error, TimeoutError)
        else:
            self._refusals = self._unanswered = 0
            return socket
        return None

    def _check_refusal(self, error: InvalidStatus, *, first: bool) -> None:
        """Tell a refusal that lasts from a server in trouble."""
        status = error.response.status_code
        if status not in CREDENTIALS_REFUSED | ADDRESS_REFUSED:
            self._refusals = 0
            return
        self._refusals += 1
        if first or self._refusals >= REFUSALS:
            raise HandshakeRefused(status) from error

    async def _use(self, socket: ClientConnection) -> bool:
        """Use a socket until it has ended (False), or is so old, or so silent, that it needs a renewal (True)."""
        websocket = ClientWebSocket(socket, self._conversation, self._events, self._settings, self._progressed)
        task = asyncio.create_task(websocket.run(), name=f"segue-client-{self._conversation.counter}")
        self._websockets[task] = websocket
        task.add_done_callback(self._ended)
        task.add_done_callback(lambda _: websocket.next_due.set())
        if self._ending.is_set():
            websocket.say_goodbye()
        self.wake()  # an older connection need not say hello any more
        lifetime = self._settings.connection_lifetime * random.uniform(1 - self._settings.lifetime_jitter, 1)  # noqa: S311
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(lifetime):
                await websocket.next_due.wait()
        if not task.done():
            return True
        task.result()
        self._close_code = websocket.close_code
        self.last_error = websocket.error or self.last_error
        logger.info("connection %d ended: %r", self._conversation.counter, websocket.error)
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        websocket = self._websockets.pop(task)
        if not self._conversation.has_connection:
            self._close_code = websocket.close_code
            self._disconnected.set()
        if not task.cancelled():
            task.exception()  # the newest connection's is raised where it is waited for, and says the same

    def _progressed(self) -> None:
        """Wake callers that wait, and every connection, after a change."""
        self.progress.set()
        self.wake()

    async def _pause(self) -> None:
        """Wait before a new attempt; a renewal waits no longer once the connection that it was to replace has ended."""
        while not self._ending.is_set():
            self._disconnected.clear()
            retries = self._renewal_retries if self._conversation.has_connection else self._retries
            try:
                async with asyncio.timeout(retries.pause(self._close_code)):
                    await self._disconnected.wait()
            except TimeoutError:
                return
