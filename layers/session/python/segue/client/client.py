"""The client: a ``Conversation`` on WebSockets that are renewed before they end and whenever they break."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from segue.client.approvals import answer_to
from segue.client.client_run import ClientRun
from segue.client.connections import Connections
from segue.client.conversation import Conversation
from segue.client.credentials import Credentials, Supply
from segue.client.errors import NotOffered
from segue.client.events import EventBuffer, EventStream
from segue.client.microphone import MARKER, Microphone
from segue.client.settings import ClientSettings
from segue.wire.fields import HISTORY, SILENCE
from segue.wire.frames import (
    MAX_NUMBER,
    Approval,
    AudioInput,
    AudioOutput,
    HistoryOutput,
    ImageInput,
    InputFrame,
    MediaType,
    Modality,
    Ready,
    TextInput,
)


class Client:
    """A client of one session.

    Use it as an async context manager: entering connects and waits until the session is ready, leaving says good-bye.
    """

    def __init__(  # noqa: PLR0913 - options, most of them seldom given
        self,
        url: str,
        *,
        session: str,
        client_id: str | None = None,
        token: Supply[str] | None = None,
        headers: Supply[Mapping[str, str]] | None = None,
        modality: Modality = "voice",
        approvals: bool = False,
        history: bool = False,
        silence: Literal["send", "mark"] = "send",
        trace: Callable[[], str | None] | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: WebSocket address (``ws://…``, ``wss://…``).
            session: session id.
            client_id: identity of this client for as long as the object lives; random if left out.
            token: a bearer token, or a function, async or not, that gets one for each new connection (they expire).
            headers: for the handshake, or a function, async or not, that makes them for each new connection.
            modality: what will mostly be sent.
            approvals: whether this program answers an ``Approval``; if not, what asks for one is denied.
            history: whether to tell the conversation so far, and what other clients type, as ``HistoryOutput`` events.
            silence: "mark" for an open microphone: ``send_audio`` sends a marker every two seconds in place of its
                silence, where the session's holder knows it.
            trace: returns the W3C traceparent that inputs carry from now on, ``None`` for none.
            settings: times and limits.

        Raises:
            ValueError: ``session`` or ``client_id`` is not one.
        """
        self._settings = settings or ClientSettings()
        self._session = session
        self._client_id = client_id or secrets.token_hex(8)
        self._trace = trace or (lambda: None)
        credentials = Credentials(token, headers)
        self._conversation = Conversation(
            session,
            self._client_id,
            modality,
            self._settings,
            renewable=credentials.renewable,
            approvals=approvals,
            history=history,
            binary=True,
        )
        self._microphone = Microphone() if silence == "mark" else None
        self._events = EventBuffer(
            self._settings.event_capacity, self._settings.lasting_capacity, self._settings.event_bytes
        )
        self._connections = Connections(url, credentials, self._conversation, self._events, self._settings)
        self._run = ClientRun(self._connections, self._conversation, self._events, self._settings)

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
        """The number of connections so far; the first is 1."""
        return self._conversation.counter

    @property
    def epoch(self) -> int | None:
        """Epoch of the session's holder; grows when another takes over. ``None`` before the first ``Ready``."""
        return self._conversation.epoch

    @property
    def ready(self) -> Ready | None:
        """The newest ``Ready``: audio formats, history, head."""
        return self._conversation.last_ready

    @property
    def last_record(self) -> int | None:
        """The last record of the session's journal that was shown without a gap before it, -1 for none."""
        return self._conversation.last_record

    @property
    def approval(self) -> Approval | None:
        """The open request of an agent that waits, an ``Approval`` of status ``asked``, as far as this client knows."""
        return self._conversation.approval

    @property
    def unacknowledged(self) -> int:
        """The number of inputs that are not known to be durable."""
        return self._conversation.unacknowledged

    @property
    def audio_given_up(self) -> int:
        """The number of pieces of audio that were dropped, the oldest first, because too much was unacknowledged."""
        return self._conversation.given_up

    @property
    def events_dropped(self) -> int:
        """The number of events, audio and partial transcripts only, dropped since ``events()`` was read too slowly."""
        return self._events.dropped

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
            HandshakeRefused: the server does not let this caller in, or the address is wrong.
            SessionRefused: the credentials are not accepted, or the client id is in use.
            ConnectionLost: what gets the token or makes the headers has failed.
            NotReady: no holder said ``Ready`` within the ready timeout.
        """
        await self._run.start(self._session, self._client_id)

    async def close(self) -> None:
        """Say good-bye and end. What is unacknowledged may not have taken effect: ``flush`` first if it must."""
        await self._run.close()

    async def send_text(self, text: str) -> None:
        """Send text; it is kept and sent again until it is durable.

        Raises:
            FrameError: ``oversize``, or ``bad_frame`` if there is none.
            SenderFull: too much is unacknowledged; nothing was taken. ``flush``, then try again.
            ClientError: the client has ended.
        """
        self._send(TextInput(text=text, trace=self._trace()))

    async def send_audio(self, pcm: bytes) -> int:
        """Send a piece of speech, best 100 ms at a time; it is kept and sent again until a durable turn answers it.

        Args:
            pcm: PCM16 mono, little-endian, at the input rate of ``ready.audio``; 20 to 250 ms, the last one of an
                utterance may be shorter.

        Of an open microphone (``silence="mark"``) what is silent for longer than a second is not sent.

        Returns:
            How many older pieces were given up for it, because more is unacknowledged than is kept: 0 unless the
            session has no holder for long.

        Raises:
            ValueError: it is no whole samples, or more than fits into a frame (``FrameError``).
            ClientError: the client has ended.
        """
        trace = self._trace()
        piece = msgspec.structs.replace(AudioInput.from_pcm(pcm), trace=trace)
        if self._microphone is None or self.ready is None or self.ready.audio is None:
            return self._send(piece)
        marks = self._conversation.offers(SILENCE)
        pieces = self._microphone.cut_pieces(piece.pcm, self.ready.audio.input.rate, marks=marks)
        return self._send(*(_audio(one, trace) for one in pieces))

    async def played(self, frame: AudioOutput | None, milliseconds: float) -> None:
        """Say how far this program's player has come; after a ``BargeIn``, once it has stopped.

        The holder then shortens the answer that was interrupted to what was heard. It may be called while playing, too.

        Args:
            frame: the last ``AudioOutput`` of which anything was played; ``None`` if there is none.
            milliseconds: how much of that frame.

        Raises:
            ClientError: the client has ended.
        """
        self._run.check()
        self._conversation.played(frame, milliseconds, asyncio.get_running_loop().time())
        self._connections.wake()

    async def history(self, before: int | None = None, timeout: float | None = None) -> HistoryOutput:
        """Return a page of the conversation so far, without the lines that were shown as they came.

        Args:
            before: the smallest place of the page after it; the newest page if left out.
            timeout: seconds; for ever if left out.

        Raises:
            NotOffered: the holder tells no history.
            TimeoutError: it took longer.
            ClientError: the client has ended.
        """
        self._run.check()
        pages = self._conversation.pages
        pages.ask(before, asyncio.get_running_loop().time())
        self._connections.wake()
        try:
            await self._run.until(lambda: before in pages.come or not self._conversation.offers(HISTORY), timeout)
            if before not in pages.come:
                raise NotOffered("the session's holder offers no pages of the history: do without them")
            return pages.come[before]
        finally:
            pages.drop_page(before)

    async def send_image(self, image: bytes, media_type: MediaType) -> None:
        """Send an image, in as many frames as it takes; it is kept and sent again until it is durable.

        Args:
            image: the file's bytes, 4.3 MB at most.
            media_type: what they are.

        Raises:
            ValueError: it is too large, or empty.
            SenderFull: too much is unacknowledged; nothing was taken. ``flush``, then try again.
            ClientError: the client has ended.
        """
        trace = self._trace()
        self._send(*(msgspec.structs.replace(part, trace=trace) for part in ImageInput.split(image, media_type)))

    async def answer(self, approval: Approval, responses: Mapping[str, Any]) -> None:
        """Answer an approval, all its requests together; it is kept and sent again until it is durable.

        Args:
            approval: the event that asks, with status ``asked``.
            responses: for the id of each of its requests any JSON value but ``None``. What it means is up to the agent:
                Strands' own handlers take ``True``, "y" and "yes" for consent, and everything else for a refusal.

        Raises:
            ValueError: a request has no response, or a response no request.
            FrameError: ``oversize``, or ``bad_frame`` for what JSON does not have; nothing was taken.
            SenderFull: too much is unacknowledged; nothing was taken. ``flush``, then try again.
            ClientError: the client has ended.
        """
        self._send(answer_to(approval, responses, self._trace()))

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was sent is durable.

        Audio is acknowledged with the turn that it belongs to: silence after the last word may wait long.

        Args:
            timeout: seconds; for ever if left out.

        Raises:
            TimeoutError: it took longer.
            ClientError: the client has ended.
        """
        await self._run.until(lambda: not self._conversation.unacknowledged, timeout)

    def events(self) -> EventStream:
        """The server's frames, in order, without repeats and without anything of an old epoch.

        There is one stream of events, however often this is called: what one loop has taken, the next does not see. It
        ends when the client is closed, and raises what ended the client otherwise.
        """
        return EventStream(self._events)

    def _send(self, *frames: InputFrame) -> int:
        self._run.check()
        given_up = self._conversation.say(*frames)
        self._connections.wake()
        return given_up


def _audio(piece: bytes, trace: str | None) -> AudioInput:
    if piece == MARKER:
        return AudioInput(audio="", seq=MAX_NUMBER, silence=True, trace=trace)  # it gets its number when it is sent
    return msgspec.structs.replace(AudioInput.from_pcm(piece), trace=trace)
