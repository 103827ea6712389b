"""Frames that wait for one connection: ordered, taken together, and bounded.

    add ─▶ [ack][audio][audio][final]… ─▶ next_batch
                  └ too much: the oldest audio goes

A client that reads slowly loses audio and partial transcripts, which are useless when late, oldest first. Texts, final
transcripts, tools and acknowledgements are never dropped one by one: past their limit, ``is_too_much`` says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

from segue.wire.fields import decoded_bytes
from segue.wire.frames import (
    AudioOutput,
    InputAck,
    Ready,
    Received,
    Resume,
    ServerFrame,
    Transcript,
    fitting,
)
from segue.wire.memory import kept_bytes
from worker.conversation.barge_in import SentSound
from worker.telemetry.metrics import Count, metrics

AUDIO_SECONDS: Final = 0.2
"""Seconds of audio in one message, unless one frame alone has more; the rest goes with the next message."""

_ROUNDING_SECONDS: Final = 1e-3
"""Seconds of audio that may exceed ``AUDIO_SECONDS``: two frames of 100 ms are 200 ms, and base64's padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLimits:
    """Bounds of one connection's queue, of which tests give others.

    Attributes:
        fleeting_bytes: Of audio (in base64) and partial transcripts that wait at most, about a minute of 24 kHz speech;
            beyond them the oldest is dropped. Providers speak faster than real time, so the queue holds what the client
            has still to play.
        lasting_frames: That must not be dropped and wait at most; beyond them all are forgotten, and the connection of
            their client, which does not read, is closed. A conversation makes a few a turn.
        lasting_bytes: That they take at most: twice what a ``ready`` brings again (``worker.conversation.output``).
    """

    fleeting_bytes: int = 4 * 1024 * 1024
    lasting_frames: int = 2048
    lasting_bytes: int = 8 * 1024 * 1024


WAITING_LIMITS: Final = WaitingLimits()
"""The bounds of a worker's queues."""


class WaitingFrames:
    """Queue of one connection."""

    def __init__(self, sound: SentSound, limits: WaitingLimits = WAITING_LIMITS) -> None:
        """Begin empty.

        Args:
            sound: Is told of sound that is not sent any more.
            limits: Of what waits.
        """
        self._limits = limits
        self._sound = sound
        self._frames: deque[ServerFrame] = deque()
        self._fleeting_bytes = 0
        self._lasting_frames = 0
        self._lasting_bytes = 0

    def __len__(self) -> int:
        """Count the frames that wait."""
        return len(self._frames)

    @property
    def is_too_much(self) -> bool:
        """True if more waits than may, of frames that must not be dropped."""
        limits = self._limits
        return self._lasting_frames > limits.lasting_frames or self._lasting_bytes > limits.lasting_bytes

    def add(self, frame: ServerFrame) -> None:
        """Queue a frame in its place, and drop the oldest audio and partial transcripts that are too much."""
        if isinstance(frame, AudioOutput):  # nearly all
            self._frames.append(frame)
        else:
            self._insert(frame)
        self._count(frame)
        while self._fleeting_bytes > self._limits.fleeting_bytes:
            self._drop_oldest_fleeting()

    def _insert(self, frame: ServerFrame) -> None:
        if isinstance(frame, Received):
            # First in the queue: a client behind a full window sends nothing until it comes.
            self._remove_kind(Received)
            # After a ``Resume``, which it depends on.
            self._frames.insert(int(bool(self._frames) and isinstance(self._frames[0], Resume)), frame)
        elif isinstance(frame, Resume):
            self._frames.appendleft(frame)
        elif isinstance(frame, InputAck) and (place := self._place_of(InputAck)) is not None:
            self._count(self._frames[place], sign=-1)
            self._frames[place] = frame  # they add up: the newer one says all that the older one says
        else:
            self._frames.append(frame)

    def _place_of(self, kind: type[ServerFrame]) -> int | None:
        return next((place for place, kept in enumerate(self._frames) if isinstance(kept, kind)), None)

    def take_over(self, earlier: WaitingFrames, *, retold: bool) -> None:
        """Take the frames of an earlier connection of the same client, before any is added.

        Args:
            earlier: Empty after it.
            retold: Whether journal content is left out, since the client is about to be told it again.
        """
        self._frames = deque(frame for frame in earlier._frames if not (retold and is_retold(frame)))
        for frame in self._frames:
            self._count(frame)
        earlier._frames.clear()
        earlier.drop_all()

    def next_batch(self) -> list[ServerFrame]:
        """Take what goes into the next message."""
        together = 1 if len(self._frames) == 1 else self._going_together()
        batch = [self._frames.popleft() for _ in range(together)]
        for frame in batch:
            self._count(frame, sign=-1)
        return batch

    def _going_together(self) -> int:
        together, audio = 0, 0.0
        for frame in islice(self._frames, fitting(self._frames)):  # which encodes them to know
            audio += seconds_of(frame)
            if together and audio > AUDIO_SECONDS + _ROUNDING_SECONDS:
                break
            together += 1
        return together

    def drop_audio(self) -> None:
        """Forget the audio that waits: the user spoke over it."""
        self._sound.dropped(sum(map(seconds_of, self._frames)))
        self._remove_kind(AudioOutput)

    def drop_all(self) -> None:
        """Drop all that waits."""
        self._sound.dropped(sum(map(seconds_of, self._frames)))
        self._frames.clear()
        self._fleeting_bytes = self._lasting_frames = self._lasting_bytes = 0

    def _drop_oldest_fleeting(self) -> None:
        for index, frame in enumerate(self._frames):
            if _fleeting_bytes(frame):
                del self._frames[index]
                self._count(frame, sign=-1)
                if isinstance(frame, AudioOutput):
                    self._sound.dropped(seconds_of(frame))
                    metrics.count(Count.DROPPED_AUDIO)
                return

    def _remove_kind(self, kind: type[ServerFrame]) -> None:
        for frame in self._frames:
            if isinstance(frame, kind):
                self._count(frame, sign=-1)
        self._frames = deque(frame for frame in self._frames if not isinstance(frame, kind))

    def _count(self, frame: ServerFrame, sign: int = 1) -> None:
        if size := _fleeting_bytes(frame):
            self._fleeting_bytes += sign * size
        else:
            self._lasting_frames += sign
            self._lasting_bytes += sign * kept_bytes(frame)


def is_retold(frame: ServerFrame) -> bool:
    """Return true if a new ``ready`` brings a frame again: journal content, and the ``ready`` itself."""
    return isinstance(frame, Ready) or getattr(frame, "record", None) is not None


def seconds_of(frame: ServerFrame) -> float:
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
