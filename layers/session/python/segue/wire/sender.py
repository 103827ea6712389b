"""The client's side of the input numbering: what is not acknowledged is sent again. See ``segue.wire.receiver``.

    add ─▶ unsent ──due──▶ sent, with a number ──ack──▶ forgotten
              │                │  ▲ timeout, missing, new holder, resume
              │                ▼  │
              │               due again
              └ audio, too much of it: the oldest goes. Unsent, it never had a number; sent, its number stays, empty,
                because the other end waits for it

Where the holder says what it has received, no more than a window is on its way at a time, so that a slow path is never
filled with more than it carries; and what it has received waits there for its turn, so it is not sent to it again.

Time is an argument everywhere: seconds on the caller's own monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from segue.errors import SegueError
from segue.wire.client_frames import AnswerInput, AudioInput, ImageInput, InputFrame, TextInput
from segue.wire.rate import TokenBucket

FRAME_BYTES: Final = 200
"""Bytes of a frame beside its content, roughly; they count against the capacity."""

PATIENCE_SECONDS: Final = 1.0
"""Seconds after its sending within which a frame that the holder misses may be in flight, and is not sent again. Longer
on a slower path, and longer each time (as RFC 6298 and Karn's algorithm have it): repeats would fill a slow path."""

TOLD_SECONDS: Final = 1.0
"""Seconds that a holder may take to tell what it has received."""

ROUNDS: Final = 2.0
"""A frame is lost if it has not arrived after this many times the round trip of others."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """A sender's times, rates and bounds of what it keeps.

    Attributes:
        text_timeout: seconds without acknowledgement after which text, or an answer, is sent again; it is acknowledged
            once committed.
        image_timeout: the same for images, whose parts are acknowledged together.
        audio_timeout: the same for audio, which is acknowledged only when the turn it belongs to is committed.
        backoff: factor on the timeout for each time a frame was sent again.
        longest_timeout: seconds; where the backoff ends.
        arrived_timeout: the same for audio that has arrived; longer than a holder keeps audio without an answer. The
            lowest number has less time: a client that waits in silence must notice that the holder has died.
        rate: frames a second, first sendings and repeats together.
        burst: frames that may go at once after a pause.
        audio_bytes: unacknowledged audio (in base64) that is kept; beyond it the oldest is given up. The default is 30
            seconds at 24 kHz.
        lasting_bytes: unacknowledged text and images that are kept; beyond it nothing more is taken.
    """

    text_timeout: float = 2.0
    image_timeout: float = 10.0
    audio_timeout: float = 6.0
    backoff: float = 2.0
    longest_timeout: float = 30.0
    arrived_timeout: float = 40.0
    rate: float = 100.0
    burst: int = 25
    audio_bytes: int = 2_000_000
    lasting_bytes: int = 16_000_000


class SenderFull(SegueError):  # noqa: N818 - reads as the library's errors do
    """Raised when too much text is unacknowledged: wait until the session has a holder again, or give up."""


@dataclass(slots=True)
class _Sent:
    frame: InputFrame
    due_at: float
    sent_at: float
    first_sent_at: float
    times: int = 1  # how often since the first sending, or since everything was asked for again
    arrived: bool = False

    @property
    def on_its_way(self) -> bool:
        return self.times > 0 and not self.arrived


class Sender:
    """A client's input, numbered and kept until it is durable.

    Attributes:
        given_up: how many pieces of audio were dropped because too much was unacknowledged.
        window: how many frames may be on their way; ``None`` for any number.
    """

    def __init__(self, settings: SenderSettings | None = None) -> None:
        """Start at number 1."""
        self.given_up = 0
        self.window: int | None = None
        self._settings = settings or SenderSettings()
        self._pace = TokenBucket(self._settings.rate, self._settings.burst)
        self._next_seq = 1
        self._unsent: deque[InputFrame] = deque()
        self._sent: dict[int, _Sent] = {}  # in order of seq: they are only ever added at the end
        self._audio_bytes = 0
        self._lasting_bytes = 0
        self._delay = 0.0  # seconds that the path took lately, beyond what the holder takes to say so
        self._held_until = float("-inf")

    @property
    def unacknowledged(self) -> int:
        """The number of frames that are kept."""
        return len(self._unsent) + len(self._sent)

    @property
    def unheard_since(self) -> float | None:
        """The time of the oldest sending that the holder has not confirmed with ``Received``; ``None`` if it has all.

        Counted from the first sending, or from the first since everything was asked for again.
        """
        return min((sent.first_sent_at for sent in self._sent.values() if sent.on_its_way), default=None)

    def add(self, *frames: InputFrame) -> int:
        """Keep frames; ``due`` gives each its number and hands it out.

        Returns:
            How many older pieces of audio were given up for it.

        Raises:
            SenderFull: there is no room for this text or image; nothing was taken.
        """
        lasting = sum(_cost(frame) for frame in frames if not isinstance(frame, AudioInput))
        if lasting and self._lasting_bytes + lasting > self._settings.lasting_bytes:
            raise SenderFull(
                f"{self.unacknowledged} inputs are unacknowledged: send this one when some are acknowledged"
            )
        for frame in frames:
            self._unsent.append(frame)
            self._count(frame, 1)
        given_up = 0
        while self._audio_bytes > self._settings.audio_bytes and self._give_up_oldest():
            given_up += 1
        self.given_up += given_up
        return given_up

    def ack(self, upto: int, beyond: Iterable[int] = (), *, now: float) -> None:
        """Forget what is durable; harmless if repeated or late.

        What is still missing is waited for anew: it is on its way, behind what has just arrived. Otherwise a path that
        has become slow would be filled with repeats, and grow slower still (RFC 6298 restarts its timer likewise).
        """
        count = len(self._sent)
        for seq in [*(seq for seq in self._sent if seq <= upto), *beyond]:
            if (acknowledged := self._sent.pop(seq, None)) is not None:
                self._count(acknowledged.frame, -1)
        if len(self._sent) == count:
            return
        for sent in self._sent.values():
            if sent.times:
                sent.due_at = max(sent.due_at, now + self._timeout(sent.frame, 0))

    def arrived(self, upto: int, beyond: Collection[int] = (), *, now: float) -> None:
        """Note what the holder has received, which tells what it misses as well; harmless if repeated or late."""
        highest, here = max(beyond, default=upto), frozenset(beyond)
        for seq, sent in self._sent.items():
            if seq <= upto or seq in here:
                self._has_arrived(sent, now)
            elif seq < highest and sent.sent_at + self.grown(PATIENCE_SECONDS, sent.times - 1) <= now:
                sent.due_at = min(sent.due_at, now)
                if seq == upto + 1:  # all the others wait for it: it does not wait for room
                    sent.times = max(sent.times, 1)

    def _has_arrived(self, sent: _Sent, now: float) -> None:
        if sent.arrived:
            return
        sent.arrived = True
        if sent.times == 1:
            # The last of them counts: those before it waited for it.
            self._delay = min(max(0.0, now - sent.sent_at - TOLD_SECONDS), self._settings.longest_timeout)
        elif not sent.times:  # asked for again, but it is there
            sent.times, sent.due_at = 1, now + self._timeout(sent.frame, 0)
        if isinstance(sent.frame, AudioInput):  # kept until its turn is durable, which may take a while
            sent.due_at = now + self._settings.arrived_timeout

    def resend_all(self) -> None:
        """Make everything unacknowledged due: a new holder has none of it, but for what may still be on its way."""
        for sent in self._sent.values():
            if sent.arrived or not self._delay:
                sent.due_at, sent.times = float("-inf"), 0
            elif sent.times:
                sent.due_at, sent.times = min(sent.due_at, sent.sent_at + ROUNDS * self._delay), 1
            sent.arrived = False

    def resend_lost(self) -> None:
        """Make everything due that has not arrived: what was on its way is lost."""
        for sent in self._sent.values():
            if not sent.arrived:
                sent.due_at, sent.times = float("-inf"), 0

    def hold(self, until: float) -> None:
        """Send nothing before ``until``: the other end is busy."""
        self._held_until = max(self._held_until, until)

    def due(self, now: float) -> list[InputFrame]:
        """Frames to send now, lowest number first, no more than pace and window allow. They count as sent."""
        frames: list[InputFrame] = []
        if now < self._held_until:
            return frames
        room = self._room()
        self._probe()
        for sent in self._sent.values():
            if sent.due_at <= now and (room or sent.times):
                if not self._pace.take(now):
                    return frames
                if not sent.times:
                    room -= 1
                    sent.first_sent_at = now
                sent.sent_at, sent.due_at = now, now + self._timeout(sent.frame, sent.times)
                sent.times += 1
                frames.append(sent.frame)
        while self._unsent and room and self._pace.take(now):
            room -= 1
            frame = msgspec.structs.replace(self._unsent.popleft(), seq=self._next_seq)
            self._sent[self._next_seq] = _Sent(
                frame, due_at=now + self._timeout(frame, 0), sent_at=now, first_sent_at=now
            )
            self._next_seq += 1
            frames.append(frame)
        return frames

    def wakeup(self, now: float) -> float | None:
        """Seconds until ``due`` may have something, 0 for at once, ``None`` when nothing is kept."""
        room = self._room()
        self._probe()
        due = [sent.due_at for sent in self._sent.values() if sent.times or room]
        if self._unsent and room:
            due.append(now)
        if not due:
            return None
        return max(min(due) - now, self._pace.wait(now), self._held_until - now, 0.0)

    def _probe(self) -> None:
        """Let the lowest number be sent again in its usual time, though it has arrived."""
        lowest = next(iter(self._sent.values()), None)
        if lowest is not None and lowest.arrived:
            lowest.due_at = min(lowest.due_at, lowest.sent_at + self._timeout(lowest.frame, lowest.times - 1))

    def _room(self) -> int:
        """Return how many more frames may be in flight."""
        if self.window is None:
            return self.unacknowledged
        return max(0, self.window - sum(sent.on_its_way for sent in self._sent.values()))

    def _timeout(self, frame: InputFrame, times: int) -> float:
        match frame:
            case TextInput() | AnswerInput():
                first = self._settings.text_timeout
            case ImageInput():
                first = self._settings.image_timeout
            case AudioInput():
                first = self._settings.audio_timeout
        return self.grown(first, times)

    def grown(self, first: float, times: int) -> float:
        """Return a time that is longer on a slow path, and longer each time.

        Args:
            first: seconds, on a path that takes none, the first time.
            times: how often it has passed in vain.
        """
        # The exponent is bounded: a float overflows after some thousand attempts.
        grown = max(first, ROUNDS * self._delay) * self._settings.backoff ** min(max(times, 0), 32)
        return min(grown, self._settings.longest_timeout)

    def _give_up_oldest(self) -> bool:
        """Give up the oldest audio; false if there is none that can be."""
        for sent in self._sent.values():
            if isinstance(sent.frame, AudioInput) and sent.frame.audio:
                self._count(sent.frame, -1)
                sent.frame = msgspec.structs.replace(sent.frame, audio="")
                self._count(sent.frame, 1)
                return True
        oldest = next((index for index, frame in enumerate(self._unsent) if isinstance(frame, AudioInput)), None)
        if oldest is None:
            return False
        self._count(self._unsent[oldest], -1)
        del self._unsent[oldest]
        return True

    def _count(self, frame: InputFrame, sign: int) -> None:
        if isinstance(frame, AudioInput):
            self._audio_bytes += sign * _cost(frame)
        else:
            self._lasting_bytes += sign * _cost(frame)


def _cost(frame: InputFrame) -> int:
    match frame:
        case TextInput(text=content) | AudioInput(audio=content) | ImageInput(image=content):
            return FRAME_BYTES + len(content)
        case AnswerInput(responses=responses):
            return FRAME_BYTES + len(msgspec.json.encode(responses))
