"""Outbox of one connection: frames wait here to be posted, one POST at a time; ``put`` never waits.

    put ─▶ [ack][audio][audio][final]… ─▶ stamp ─▶ POST ─▶ 200 next
                   │                                       429 or unknown: the same message again, after a pause
                   └ too much: the oldest audio goes       410 gone: the client comes back on another connection

What waits for the same POST goes together, as an array: up to 32 KB, and up to 200 ms of audio, because what is on its
way cannot be dropped when the user speaks over it. While nothing waits each frame goes at once, the first audio of a
response above all.

A client that reads slowly loses audio and partial transcripts, which are useless when late, oldest first. Texts, final
transcripts, tools and acknowledgements are never dropped. If they pass their limit, the client does not read: all is
forgotten and the connection closed, so that the client comes back and asks for what it missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, islice
from typing import Final, Protocol

from segue.backoff import backoff
from segue.wire.claims import ClientAddress
from segue.wire.fields import decoded_bytes
from segue.wire.frames import (
    AudioOutput,
    BargeIn,
    InputAck,
    Ready,
    Received,
    Resume,
    ServerFrame,
    Transcript,
    fitting,
)
from segue.wire.memory import kept_bytes
from shared.encoding import encode_message, encode_messages
from shared.log import logger
from worker.aws.poster import PostOutcome
from worker.conversation.barge_in import SentSound
from worker.telemetry.metrics import Count, metrics

FLEETING_BYTES: Final = 4 * 1024 * 1024
"""Bytes of audio (in base64) and partial transcripts that wait at most, about a minute of 24 kHz speech; beyond them
the oldest is dropped. Providers speak faster than real time, so the queue holds what the client has still to play."""

LASTING_FRAMES: Final = 2048
"""Frames that must not be dropped and wait at most; beyond them all are forgotten, and the connection of its client,
which does not read, is closed. A conversation makes a few a turn."""

LASTING_BYTES: Final = 8 * 1024 * 1024
"""Bytes that they take at most: twice what a ``ready`` brings again (``worker.conversation.output``)."""

AUDIO_SECONDS: Final = 0.2
"""Seconds of audio in one message, unless one frame alone has more; the rest goes with the next message."""

_HAIR: Final = 1e-3
"""Seconds of audio that may exceed ``AUDIO_SECONDS``: two frames of 100 ms are 200 ms, and base64's padding."""

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
    ) -> None:
        """Keep what sending needs.

        Args:
            address: Where the client is.
            connections: What posts.
            stamp: Gives a frame its epoch and number; called once for a frame, when its sending begins.
            may_speak: Whether the session is still this worker's to speak for, asked before every POST.
            sound: Keeps account of the client's sound, over all its connections.
            numbers: Counts the session's messages (docs/rfcs/0030): of a connection, too, that has a second outbox.
        """
        self.address = address
        self.delivered_at = asyncio.get_running_loop().time()
        self._connections = connections
        self._stamp = stamp
        self._may_speak = may_speak
        self._sound = sound or SentSound()
        self._numbers = numbers or count(1)
        self._waiting: deque[ServerFrame] = deque()
        self._under_way: list[ServerFrame] = []
        self._fleeting = 0
        self._lasting = _Lasting()
        self._piled_up = False
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, frame: ServerFrame) -> None:
        """Queue a frame."""
        if self._piled_up:
            return
        if isinstance(frame, AudioOutput):  # nearly all
            self._waiting.append(frame)
        else:
            if isinstance(frame, BargeIn):
                self._sound.cut()
            self._insert(frame)
        self._fleeting += _fleeting_bytes(frame)
        while self._fleeting > FLEETING_BYTES:
            self._drop_oldest_fleeting()
        if self._lasting.is_too_much:
            self._piled_up = True
            self._forget()
        self._idle.clear()
        self._arrived.set()

    def _insert(self, frame: ServerFrame) -> None:
        self._lasting.add(frame)
        if isinstance(frame, Received):
            # Before everything: behind a long answer it would keep the client from sending what is said over that.
            self._lasting.remove(*(kept for kept in self._waiting if isinstance(kept, Received)))
            self._waiting = deque(kept for kept in self._waiting if not isinstance(kept, Received))
            # But for what makes it news: see ``Resume``.
            self._waiting.insert(int(bool(self._waiting) and isinstance(self._waiting[0], Resume)), frame)
        elif isinstance(frame, Resume):
            self._waiting.appendleft(frame)
        elif isinstance(frame, InputAck) and (place := self._place(InputAck)) is not None:
            self._lasting.remove(self._waiting[place])
            self._waiting[place] = frame  # they add up: the newer one says all that the older one says
        else:
            self._waiting.append(frame)

    def _place(self, kind: type[ServerFrame]) -> int | None:
        return next((place for place, kept in enumerate(self._waiting) if isinstance(kept, kind)), None)

    def go_on_from(self, left: Outbox, *, retold: bool = False) -> None:
        """Take what another connection of the same client was not given; call it first, and once.

        What was on its way may have arrived: it keeps its numbers, by which the client drops what it has.

        Args:
            left: Whose sender has ended, or been cancelled.
            retold: Whether the client is about to be told again what a ``ready`` brings.
        """
        self._under_way, left._under_way = left._under_way, []
        self._waiting = deque(frame for frame in left._waiting if not (retold and is_retold(frame)))
        self._fleeting = left._fleeting
        self._lasting.add(*self._waiting)
        self._piled_up = left._piled_up and not retold
        left._waiting.clear()
        left._forget()
        if self._under_way or self._waiting or self._piled_up:
            self._idle.clear()
            self._arrived.set()

    def drop_audio(self) -> None:
        """Forget the audio that waits: the user spoke over it."""
        self._sound.dropped(sum(map(_seconds, self._waiting)))
        self._waiting = deque(frame for frame in self._waiting if not isinstance(frame, AudioOutput))
        self._fleeting = sum(map(_fleeting_bytes, self._waiting))

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
                    self._under_way = [self._numbered(frame) for frame in self._next_batch()]
                if not await self._send(self._under_way):
                    return
                self._under_way = []
            self._arrived.clear()
            self._idle.set()

    def _numbered(self, frame: ServerFrame) -> ServerFrame:
        stamped = self._stamp(frame)
        if isinstance(frame, AudioOutput):
            self._sound.sent(stamped.seq or 0, _seconds(frame))
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
            await asyncio.sleep(next(pauses))
        return False

    def _next_batch(self) -> list[ServerFrame]:
        """Take what goes into the next message."""
        together = 1 if len(self._waiting) == 1 else self._going_together()
        batch = [self._waiting.popleft() for _ in range(together)]
        for frame in batch:
            if size := _fleeting_bytes(frame):
                self._fleeting -= size
            else:
                self._lasting.remove(frame)
        return batch

    def _going_together(self) -> int:
        together, audio = 0, 0.0
        for frame in islice(self._waiting, fitting(self._waiting)):  # which encodes them to know
            audio += _seconds(frame)
            if together and audio > AUDIO_SECONDS + _HAIR:
                break
            together += 1
        return together

    def _drop_oldest_fleeting(self) -> None:
        for index, frame in enumerate(self._waiting):
            if size := _fleeting_bytes(frame):
                del self._waiting[index]
                self._fleeting -= size
                if isinstance(frame, AudioOutput):
                    self._sound.dropped(_seconds(frame))
                    metrics.count(Count.DROPPED_AUDIO)
                return

    def _forget(self) -> None:
        self._sound.dropped(sum(map(_seconds, self._waiting)))
        self._waiting.clear()
        self._fleeting = 0
        self._lasting = _Lasting()


class _Lasting:
    """The count and the bytes of waiting frames that must not be dropped."""

    def __init__(self) -> None:
        self._frames = 0
        self._bytes = 0

    @property
    def is_too_much(self) -> bool:
        return self._frames > LASTING_FRAMES or self._bytes > LASTING_BYTES

    def add(self, *frames: ServerFrame, sign: int = 1) -> None:
        for frame in frames:
            if not _fleeting_bytes(frame):
                self._frames += sign
                self._bytes += sign * kept_bytes(frame)

    def remove(self, *frames: ServerFrame) -> None:
        self.add(*frames, sign=-1)


def is_retold(frame: ServerFrame) -> bool:
    """Return true if a new ``ready`` brings a frame again: journal content, and the ``ready`` itself."""
    return isinstance(frame, Ready) or getattr(frame, "record", None) is not None


def _seconds(frame: ServerFrame) -> float:
    """Return the seconds of sound in a frame."""
    if not isinstance(frame, AudioOutput):
        return 0.0
    return decoded_bytes(frame.audio) / 2 / frame.rate


def _fleeting_bytes(frame: ServerFrame) -> int:
    """The size of a frame that may be dropped, 0 for one that may not."""
    if isinstance(frame, AudioOutput):
        return max(1, len(frame.audio))
    if isinstance(frame, Transcript) and not frame.final:
        return max(1, len(frame.text))
    return 0
