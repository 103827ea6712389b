"""Callers over a WebSocket that cost the measuring process little: raw sockets, and frames that are made beforehand.

PlainCaller    base64 in JSON, as the plain servers take it
DirectCaller   a worker's socket: ``hello``, then numbered frames in binary messages, as ``segue.client`` sends them
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.wire.echo_agent import RATE
from segue.wire.binary import decode_binary_server, encode_binary
from segue.wire.fields import BINARY
from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Bye,
    Hello,
    Ready,
    ServerFrame,
    decode_server_message,
    encode_frame,
)

FRAME_SECONDS: Final = 0.1
PCM: Final = bytes(int(RATE * FRAME_SECONDS) * 2)
AUDIO: Final = base64.b64encode(PCM).decode()
READY_SECONDS: Final = 60.0
"""For ``ready``: many sessions are opened at once, on a machine that may be busy."""


class Caller(Protocol):
    """A client that sends frames of 100 ms and hears them again."""

    async def send(self) -> None:
        """Send the next frame."""
        ...

    async def hear(self) -> float:
        """Return the seconds of the next audio that comes back."""
        ...


def seconds_of(pcm_bytes: float) -> float:
    """Return how long so many bytes of PCM16 are."""
    return pcm_bytes / 2 / RATE


class PlainCaller:
    """Caller of a plain server, or of anything that sends its messages back."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._message = json.dumps({"type": "audio", "audio": AUDIO})

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator[Self]:
        """Connect."""
        async with connect(url, compression=None) as socket:
            yield cls(socket)

    async def send(self) -> None:
        """Send the next frame."""
        await self._socket.send(self._message)

    async def hear(self) -> float:
        """Return the seconds of the next audio that comes back."""
        return seconds_of(len(json.loads(await self._socket.recv())["audio"]) * 3 / 4)


class DirectCaller:
    """Caller at a worker's socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._seq = 1
        self._message = _message(self._seq)

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, token: str, session: str) -> AsyncIterator[Self]:
        """Connect, and wait for the session.

        Args:
            url: Of the worker's sockets.
            token: Lets the caller in.
            session: The session's id.
        """
        async with connect(f"{url}?token={token}", compression=None) as socket:
            caller = cls(socket)
            await socket.send(encode_frame(Hello(session=session, client_id="caller", connection=1, binary=True)))
            async with asyncio.timeout(READY_SECONDS):
                ready = await caller._ready()
            if BINARY not in ready.features:
                raise RuntimeError("the worker takes no binary messages")
            try:
                yield caller
            finally:
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(encode_frame(Bye()))

    async def send(self) -> None:
        """Send the next frame."""
        message, self._seq = self._message, self._seq + 1
        await self._socket.send(message)
        self._message = _message(self._seq)

    async def hear(self) -> float:
        """Return the seconds of the next audio that comes back."""
        while True:
            for frame in await self._frames():
                if isinstance(frame, AudioOutput):
                    return seconds_of(len(frame.pcm))

    async def _ready(self) -> Ready:
        while True:
            for frame in await self._frames():
                if isinstance(frame, Ready):
                    return frame

    async def _frames(self) -> list[ServerFrame]:
        """Return the frames of the next message; audio comes alone."""
        message = await self._socket.recv()
        if isinstance(message, bytes):
            frame = decode_binary_server(message)
            return [] if frame is None else [frame]
        return decode_server_message(message)


def _message(seq: int) -> bytes:
    return encode_binary(AudioInput.from_pcm(PCM, seq))
