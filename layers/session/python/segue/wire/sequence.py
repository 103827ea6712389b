"""Input numbering: a client's text and audio reach the session exactly once and in order.

    client                                          holder of the session
    Sender.add ── seq 1, 2, 3 … ──▶ (lost, doubled, reordered) ──▶ Receiver.offer ──▶ agent ──▶ journal
       ▲                                                                                          │
       └───────────── acknowledged once durable: every seq up to `upto`, and `beyond` ────────────┘

Text and audio share one number space per client id. Whatever is not acknowledged, the sender keeps and sends again:
after a timeout, and all of it when a holder says `Ready` in a new epoch or `Resume`. A successor starts its receiver
from what the journal contains (`Known`), so that nothing between the two has to be durable.

Time is an argument everywhere: seconds on the caller's own monotonic clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from segue.errors import SegueError
from segue.item import Known
from segue.wire.frames import FrameError, InputFrame, TextInput

WINDOW: Final = 256
"""How far ahead of the first missing number a receiver keeps frames: 25 s of audio at 100 ms a frame."""


class Receiver[T]:
    """Puts one client's input in order and drops repeats.

    It knows what it has handed on, which is more than what is durable: acknowledge from the journal, not from here.
    """

    def __init__(self, known: Known | None = None, window: int = WINDOW) -> None:
        """Start after what the journal contains.

        Args:
            known: this client's input in the committed records; nothing if left out.
            window: numbers from the first missing one on that are kept.
        """
        known = known or Known()
        self._expected = known.upto + 1
        self._skipped = {seq for seq in known.beyond if seq > known.upto}
        self._waiting: dict[int, T] = {}
        self._window = window
        self._skip()

    @property
    def expected(self) -> int:
        """The lowest number that has not come yet; all below it were handed on or known before."""
        return self._expected

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers that frames kept here wait for."""
        if not self._waiting:
            return ()
        here = self._skipped | self._waiting.keys()
        return tuple(seq for seq in range(self._expected, max(self._waiting)) if seq not in here)

    def offer(self, seq: int, frame: T) -> list[T]:
        """Take a frame as it arrives.

        Returns:
            The frames whose turn has come, in order; often one, none for a repeat or for one that came too early.

        Raises:
            FrameError: `beyond_window`; nothing has changed, and the client sends it again later.
        """
        if seq < self._expected or seq in self._skipped or seq in self._waiting:
            return []
        if seq >= self._expected + self._window:
            raise FrameError("beyond_window")
        self._waiting[seq] = frame
        deliverable = []
        while self._expected in self._waiting:
            deliverable.append(self._waiting.pop(self._expected))
            self._expected += 1
            self._skip()
        return deliverable

    def _skip(self) -> None:
        while self._expected in self._skipped:
            self._skipped.remove(self._expected)
            self._expected += 1


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """When a sender sends again, and how fast.

    Attributes:
        text_timeout: seconds without acknowledgement after which text is sent again; it is acknowledged once committed.
        audio_timeout: the same for audio, which is acknowledged only when the turn it belongs to is committed.
        backoff: factor on the timeout for each time a frame was sent again.
        longest_timeout: seconds; where the backoff ends.
        rate: frames a second, first sendings and repeats together.
        burst: frames that may go at once after a pause.
        capacity: unacknowledged frames that are kept.
    """

    text_timeout: float = 2.0
    audio_timeout: float = 6.0
    backoff: float = 2.0
    longest_timeout: float = 30.0
    rate: float = 100.0
    burst: int = 25
    capacity: int = 4096


_WHOLE_TOKEN: Final = 1 - 1e-6
"""Refilling adds floats: one that is short by a rounding error must not make the caller wake up in vain."""


class SenderFull(SegueError):  # noqa: N818 - reads as the library's errors do
    """Too much is unacknowledged: wait until the session has a holder again, or give up."""


@dataclass(slots=True)
class _Pending:
    frame: InputFrame
    due_at: float
    sent: int = 0  # how often since the frame was added or everything was asked for again


class Sender:
    """Numbers a client's input and keeps it until it is durable."""

    def __init__(self, settings: SenderSettings | None = None) -> None:
        """Start at number 1."""
        self._settings = settings or SenderSettings()
        self._next_seq = 1
        self._pending: dict[int, _Pending] = {}  # in order of seq: they are only ever added at the end
        self._tokens = float(self._settings.burst)
        self._tokens_at: float | None = None
        self._held_until = float("-inf")

    @property
    def unacknowledged(self) -> int:
        """How many frames are kept."""
        return len(self._pending)

    def add(self, frame: InputFrame) -> InputFrame:
        """Give a frame its number and keep it; `due` hands it out.

        Raises:
            SenderFull: as many as the capacity are unacknowledged.
        """
        if len(self._pending) >= self._settings.capacity:
            raise SenderFull(f"{len(self._pending)} frames are unacknowledged")
        numbered = msgspec.structs.replace(frame, seq=self._next_seq)
        self._pending[self._next_seq] = _Pending(numbered, due_at=float("-inf"))
        self._next_seq += 1
        return numbered

    def ack(self, upto: int, beyond: Iterable[int] = ()) -> None:
        """Forget what is durable; harmless if repeated or late."""
        for seq in [seq for seq in self._pending if seq <= upto]:
            del self._pending[seq]
        for seq in beyond:
            self._pending.pop(seq, None)

    def resend_all(self) -> None:
        """Make everything unacknowledged due: a new holder has none of it."""
        for pending in self._pending.values():
            pending.due_at = float("-inf")
            pending.sent = 0

    def hold(self, until: float) -> None:
        """Send nothing before `until`: the other end is busy."""
        self._held_until = max(self._held_until, until)

    def due(self, now: float) -> list[InputFrame]:
        """Frames to send now, lowest number first, no more than the pace allows. They count as sent."""
        self._refill(now)
        frames: list[InputFrame] = []
        if now < self._held_until:
            return frames
        for pending in self._pending.values():
            if self._tokens < _WHOLE_TOKEN:
                break
            if pending.due_at <= now:
                self._tokens -= 1
                pending.due_at = now + self._timeout(pending)
                pending.sent += 1
                frames.append(pending.frame)
        return frames

    def wakeup(self, now: float) -> float | None:
        """Seconds until `due` may have something, 0 for at once, `None` when nothing is kept."""
        if not self._pending:
            return None
        self._refill(now)
        earliest = min(pending.due_at for pending in self._pending.values())
        paced = now if self._tokens >= _WHOLE_TOKEN else now + (1 - self._tokens) / self._settings.rate
        return max(earliest, paced, self._held_until, now) - now

    def _timeout(self, pending: _Pending) -> float:
        settings = self._settings
        first = settings.text_timeout if isinstance(pending.frame, TextInput) else settings.audio_timeout
        # The exponent is bounded: a float overflows after some thousand attempts.
        return min(first * settings.backoff ** min(pending.sent, 32), settings.longest_timeout)

    def _refill(self, now: float) -> None:
        if self._tokens_at is not None:
            elapsed = max(0.0, now - self._tokens_at)
            self._tokens = min(float(self._settings.burst), self._tokens + elapsed * self._settings.rate)
        self._tokens_at = now
