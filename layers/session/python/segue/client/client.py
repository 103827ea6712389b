"""The client: a `Conversation` on a WebSocket that is renewed whenever it breaks."""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from segue.client.conversation import Conversation
from segue.client.errors import ClientClosed, ClientError, ConnectionLost, HandshakeRefused, NotReady
from segue.client.events import EventBuffer, EventStream
from segue.client.settings import ClientSettings
from segue.wire.frames import AudioInput, Bye, InputFrame, Modality, Ready, TextInput, encode_frame

LARGEST_MESSAGE_BYTES: Final = 128 * 1024
"""What API Gateway may send at most; the protocol's own frames are smaller."""

CREDENTIALS_REFUSED: Final = frozenset({401, 403})

PROTOCOL: Final = "segue.v1"
BEARER: Final = "bearer."

type Token = str | Callable[[], str]
type Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]


class Client:
    """A client of one session.

    Use it as an async context manager: entering connects and waits until the session is ready, leaving says good-bye.
    """

    def __init__(
        self,
        url: str,
        *,
        session: str,
        client_id: str | None = None,
        token: Token | None = None,
        headers: Headers | None = None,
        modality: Modality = "voice",
        settings: ClientSettings | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: WebSocket address (`ws://…`, `wss://…`).
            session: session id.
            client_id: identity of this client for as long as the object lives; random if left out.
            token: JSON Web Token that says who this is, or a function that gives one for each connection (tokens end).
            headers: for the handshake, or a function that makes them for each new connection (signatures expire).
            modality: what will mostly be sent.
            settings: times and limits.
        """
        self._url = url
        self._headers = headers
        self._token = token
        self._settings = settings or ClientSettings()
        self._session = session
        self._client_id = client_id or secrets.token_hex(8)
        self._conversation = Conversation(session, self._client_id, modality, self._settings)
        self._events = EventBuffer(self._settings.event_capacity)
        self._wake = asyncio.Event()  # something for the connection to do
        self._progress = asyncio.Event()  # something that `start` or `flush` may wait for
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._failure: ClientError | None = None
        self._last_error: Exception | None = None

    @property
    def session(self) -> str:
        """The session id."""
        return self._session

    @property
    def client_id(self) -> str:
        """This client's id."""
        return self._client_id

    @property
    def connection(self) -> int:
        """How many connections there have been; the first is 1."""
        return self._conversation.counter

    @property
    def epoch(self) -> int | None:
        """Epoch of the session's holder; grows when another takes over. `None` before the first `Ready`."""
        return self._conversation.epoch

    @property
    def ready(self) -> Ready | None:
        """The newest `Ready`: audio formats, history, head."""
        return self._conversation.last_ready

    @property
    def last_record(self) -> int | None:
        """The last record of the session's journal that was shown without a gap before it, -1 for none."""
        return self._conversation.last_record

    @property
    def unacknowledged(self) -> int:
        """How many inputs are not known to be durable."""
        return self._conversation.unacknowledged

    async def __aenter__(self) -> Self:
        """Connect and wait until the session is ready."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say good-bye."""
        await self.close()

    async def start(self) -> None:
        """Connect and wait until the session is ready.

        Raises:
            HandshakeRefused: the server does not let this caller in.
            SessionRefused: the session id is not one, or the client id is in use.
            NotReady: nobody said `Ready` within the ready timeout.
        """
        if self._task is not None:
            raise ClientClosed("a client can be started once: use a new one")
        self._task = asyncio.create_task(self._run(), name=f"segue-client-{self._client_id}")
        try:
            await self._until(lambda: self._conversation.greeted, self._settings.ready_timeout)
        except TimeoutError:
            await self.close()
            waited = f"session {self._session!r} was not ready within {self._settings.ready_timeout:g} s; try again"
            raise NotReady(waited) from self._last_error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Say good-bye and end. What is unacknowledged may not have taken effect: `flush` first if it must."""
        self._closing = True
        self._wake.set()
        task = self._task
        if task is not None and not task.done():
            await asyncio.wait({task}, timeout=self._settings.close_timeout)
            task.cancel()
            await asyncio.wait({task})
        self._events.end(self._failure)

    async def send_text(self, text: str) -> int:
        """Send text; it is kept and sent again until it is durable.

        Returns:
            Its number.

        Raises:
            FrameError: `oversize`.
            SenderFull: too much is unacknowledged.
            ClientError: the client has ended.
        """
        return self._send(TextInput(text=text))

    async def send_audio(self, pcm: bytes) -> int:
        """Send a piece of speech, best 100 ms at a time; it is kept and sent again until a durable turn answers it.

        Args:
            pcm: PCM16 mono, little-endian, at the input rate of `ready.audio`.

        Returns:
            Its number.

        Raises:
            FrameError: `oversize`.
            SenderFull: too much is unacknowledged.
            ClientError: the client has ended.
        """
        return self._send(AudioInput.from_pcm(pcm))

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was sent is durable.

        Audio is acknowledged with the turn that it belongs to: silence after the last word may wait long.

        Args:
            timeout: seconds; for ever if left out.

        Raises:
            TimeoutError: it took longer.
            ClientError: the client has ended.
        """
        await self._until(lambda: not self._conversation.unacknowledged, timeout)

    def events(self) -> EventStream:
        """The server's frames, in order, without repeats and without anything of an old epoch.

        There is one stream of events, however often this is called: what one loop has taken, the next does not see. It
        ends when the client is closed, and raises what ended the client otherwise.
        """
        return EventStream(self._events)

    def _send(self, frame: InputFrame) -> int:
        if self._failure:
            raise self._failure
        if self._closing or self._task is None:
            raise ClientClosed("the client is not running")
        seq = self._conversation.say(frame)
        self._wake.set()
        return seq

    async def _until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                if self._failure:
                    raise self._failure
                if self._closing or self._task is None:
                    raise ClientClosed("the client is not running")
                self._progress.clear()
                await self._progress.wait()

    async def _run(self) -> None:
        """Keep a connection until the client is closed or has failed."""
        try:
            await self._keep_connected()
        except ClientError as failure:
            self._failure = failure
        except Exception as error:  # noqa: BLE001 - whatever it is, the user's loops must hear of it
            self._failure = ConnectionLost(f"the client broke off: {error!r}")
            self._failure.__cause__ = error
        finally:
            self._events.end(self._failure)
            self._progress.set()

    async def _keep_connected(self) -> None:
        now = asyncio.get_running_loop().time
        attempt = 0
        connected_at = now()
        while not self._closing:
            ready_before = self._conversation.last_ready
            try:
                async with connect(
                    self._url,
                    subprotocols=self._subprotocols(),
                    additional_headers=self._headers() if callable(self._headers) else self._headers,
                    open_timeout=self._settings.connect_timeout,
                    close_timeout=self._settings.close_timeout,
                    max_size=LARGEST_MESSAGE_BYTES,
                    compression=None,  # API Gateway does not speak it
                ) as socket:
                    await self._converse(socket)
            except InvalidStatus as error:
                if self._conversation.counter == 0 and error.response.status_code in CREDENTIALS_REFUSED:
                    raise HandshakeRefused(error.response.status_code) from error
                self._last_error = error
            except (OSError, WebSocketException) as error:
                self._last_error = error
            if self._conversation.last_ready is not ready_before:
                attempt, connected_at = 0, now()
            self._conversation.disconnected()
            if now() - connected_at > self._settings.give_up_after:
                raise ConnectionLost("no connection for too long; use a new client later") from self._last_error
            await self._pause(attempt)
            attempt += 1

    def _subprotocols(self) -> list[Subprotocol] | None:
        """The token travels as a subprotocol, as a browser's does; the server answers the protocol's own name."""
        if self._token is None:
            return None
        token = self._token() if callable(self._token) else self._token
        return [Subprotocol(PROTOCOL), Subprotocol(BEARER + token)]

    async def _pause(self, attempt: int) -> None:
        """Wait before a new attempt, with full jitter: thousands of clients may have lost the same server."""
        longest = min(self._settings.first_backoff * 2 ** min(attempt, 16), self._settings.longest_backoff)
        try:
            async with asyncio.timeout(random.uniform(0, longest)):  # noqa: S311 - jitter, not a secret
                while not self._closing:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            pass

    async def _converse(self, socket: ClientConnection) -> None:
        """Talk until the connection breaks (raises), is of no use any more, or the client is closed."""
        self._conversation.connected(asyncio.get_running_loop().time())
        reader = asyncio.create_task(self._read(socket))
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            while not reader.done() and not self._conversation.must_reconnect:
                self._wake.clear()
                await self._write(socket)
                if self._closing:
                    await socket.send(encode_frame(Bye()))
                    return
                await self._rest()
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            broken = None if reader.cancelled() else reader.exception()
        if failure := self._conversation.failure or broken:
            raise failure

    async def _read(self, socket: ClientConnection) -> None:
        now = asyncio.get_running_loop().time
        async for message in socket:
            self._events.put(self._conversation.received(message, now()))
            if self._conversation.failure:
                return
            self._progress.set()
            self._wake.set()

    async def _write(self, socket: ClientConnection) -> None:
        now = asyncio.get_running_loop().time()
        self._events.put(self._conversation.tick(now))
        for frame in self._conversation.outgoing(now):
            await socket.send(encode_frame(frame))

    async def _rest(self) -> None:
        """Until something happens, or it is time for something."""
        try:
            async with asyncio.timeout(self._conversation.wakeup(asyncio.get_running_loop().time())):
                await self._wake.wait()
        except TimeoutError:
            pass
