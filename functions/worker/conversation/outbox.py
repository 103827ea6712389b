"""Outbox of one connection: frames wait here to be posted, one POST at a time; ``put`` never waits.

    put ─▶ waiting frames ─▶ stamp ─▶ POST ─▶ 200 next
                                              429 or unknown: the same message again, after a pause
                                              410 gone: the client comes back on another connection

What waits for the same POST goes together, as an array: up to 32 KB, and up to 200 ms of audio, because what is on its
way cannot be dropped when the user speaks over it. While nothing waits each frame goes at once, the first audio of a
response above all.

If what must not be dropped passes its limit (``worker.conversation.waiting_frames``), the client does not read: all is
forgotten and the connection closed, so that the client comes back and asks for what it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Final, Protocol

from segue.backoff import backoff
from segue.wire.claims import ClientAddress
from segue.wire.frames import AudioOutput, BargeIn, ServerFrame
from shared.encoding import encode_message, encode_messages
from shared.log import logger
from worker.aws.poster import PostOutcome
from worker.conversation.barge_in import SentSound
from worker.conversation.waiting_frames import WAITING_LIMITS, WaitingFrames, WaitingLimits, seconds_of
from worker.telemetry.metrics import Count, metrics

FIRST_PAUSE_SECONDS: Final = 0.1
"""Seconds before the second attempt after 429 or an unknown outcome; doubled each time, with jitter."""

LONGEST_PAUSE_SECONDS: Final = 2.0
"""Seconds between two attempts at most."""


class ConnectionPoster(Protocol):
    """A poster to the connections of one session's clients, see ``worker.direct.poster.SessionPoster``."""

    async def post(self, address: ClientAddress, message: bytes, number: int | None = None) -> PostOutcome:
        """Send one message. Its number is the same in each attempt, and greater than those of the messages before."""
        ...

    async def is_connected(self, address: ClientAddress) -> PostOutcome:
        """Ask whether a connection is there."""
        ...

    async def disconnect(self, address: ClientAddress) -> PostOutcome:
        """Close a connection."""
        ...


class Posters(Protocol):
    """Posters for all sessions of a process, see ``worker.direct.poster.ClientPoster``."""

    def of_session(self, session_key: str, epoch: int | None = None) -> ConnectionPoster:
        """Return what posts for one session, and for its holder of an epoch."""
        ...


class Outbox:
    """The queue and the sender of one connection."""

    def __init__(
        self,
        address: ClientAddress,
        connections: ConnectionPoster,
        stamp: Callable[[ServerFrame], ServerFrame],
        may_speak: Callable[[], Awaitable[bool]],
        sound: SentSound | None = None,
        numbers: Iterator[int] | None = None,
        *,
        limits: WaitingLimits = WAITING_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep what sending needs.

        Args:
            address: Where the client is.
            connections: What posts.
            stamp: Gives a frame its epoch and number; called once for a frame, when its sending begins.
            may_speak: Whether the session is still this worker's to speak for, asked before every POST.
            sound: Keeps account of the client's sound, over all its connections.
            numbers: Counts the session's messages (docs/rfcs/0030): of a connection, too, that has a second outbox.
            limits: Of what waits.
            sleep: Waits so many seconds before a message is sent again.
        """
        self.address = address
        self.delivered_at = asyncio.get_running_loop().time()
        self._connections = connections
        self._stamp = stamp
        self._may_speak = may_speak
        self._sound = sound or SentSound()
        self._numbers = numbers or count(1)
        self._sleep = sleep
        self._waiting = WaitingFrames(self._sound, limits)
        self._under_way: list[ServerFrame] = []
        self._piled_up = False
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, frame: ServerFrame) -> None:
        """Queue a frame."""
        if self._piled_up:
            return
        if isinstance(frame, BargeIn):
            self._sound.cut()
        self._waiting.add(frame)
        if self._waiting.is_too_much:
            self._piled_up = True
            self._waiting.drop_all()
        self._idle.clear()
        self._arrived.set()

    def go_on_from(self, left: Outbox, *, retold: bool = False) -> None:
        """Take what another connection of the same client was not given; call it first, and once.

        What was on its way may have arrived: it keeps its numbers, by which the client drops what it has.

        Args:
            left: Whose sender has ended, or been cancelled.
            retold: Whether the client is about to be told again what a ``ready`` brings.
        """
        self._under_way, left._under_way = left._under_way, []
        self._waiting.take_over(left._waiting, retold=retold)
        self._piled_up = left._piled_up and not retold
        if self._under_way or self._waiting or self._piled_up:
            self._idle.clear()
            self._arrived.set()

    def drop_audio(self) -> None:
        """Forget the audio that waits: the user spoke over it."""
        self._waiting.drop_audio()

    async def drained(self) -> None:
        """Wait until everything was posted."""
        await self._idle.wait()

    async def run(self) -> None:
        """Post what waits, until the connection is gone or the session is not ours to speak for any more."""
        while True:
            await self._arrived.wait()
            while self._under_way or self._waiting or self._piled_up:
                if self._piled_up:
                    logger.warning(
                        "a client does not read, closing its connection", connection=self.address.connection_id
                    )
                    await self._connections.disconnect(self.address)
                    return
                if not self._under_way:
                    self._under_way = [self._numbered(frame) for frame in self._waiting.next_batch()]
                if not await self._send(self._under_way):
                    return
                self._under_way = []
            self._arrived.clear()
            self._idle.set()

    def _numbered(self, frame: ServerFrame) -> ServerFrame:
        stamped = self._stamp(frame)
        if isinstance(frame, AudioOutput):
            self._sound.sent(stamped.seq or 0, seconds_of(frame))
        elif isinstance(frame, BargeIn):
            self._sound.cut_sent(stamped.seq or 0)
        return stamped

    async def _send(self, batch: list[ServerFrame]) -> bool:
        """Post frames until the outcome is known; False ends the outbox."""
        connection_id, direct = self.address.connection_id, self.address.direct
        if direct is None or not direct.binary:
            return await self._post(encode_message(batch, connection_id), len(batch))
        sent = len(batch)
        for message in encode_messages(batch, connection_id):
            if not await self._post(message, sent):
                return False
            sent = 0  # counted once
        return True

    async def _post(self, message: bytes, frames: int) -> bool:
        pauses, number = backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), next(self._numbers)
        while await self._may_speak():
            if self._piled_up:
                return True  # nothing of it is wanted any more: the connection is closed next
            match await self._connections.post(self.address, message, number):
                case PostOutcome.DELIVERED:
                    self.delivered_at = asyncio.get_running_loop().time()
                    metrics.count(Count.FRAMES_OUT, frames)
                    return True
                case PostOutcome.REFUSED:
                    return True
                case PostOutcome.GONE:
                    return False
            await self._sleep(next(pauses))
        return False
