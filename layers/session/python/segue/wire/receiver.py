"""Input numbering, the worker's side: text, audio and images reach the session exactly once and in order.

    client                                          holder of the session
    Sender.add ── seq 1, 2, 3 … ──▶ (lost, doubled, reordered) ──▶ Receiver.offer ──▶ agent ──▶ journal
       ▲                                                                                          │
       └───────────── acknowledged once durable: every seq up to ``upto``, and ``beyond`` ────────────┘

All kinds share one number space per client id. Whatever is not acknowledged, the sender keeps and sends again:
after a timeout, and all of it when a holder says ``Ready`` in a new epoch or ``Resume``. A successor starts its
receiver from what the journal contains (``Known``), so that nothing between the two has to be durable.

``Sender`` is in ``segue.wire.sender``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from segue.lease.item import Known
from segue.wire.codes import FrameError

T = TypeVar("T")

WINDOW: Final = 256
"""Frames after the first missing number that a receiver keeps, 25 s of audio at 100 ms a frame; any beyond are
refused."""


class Receiver(Generic[T]):
    """One client's input put in order, without repeats.

    It knows what it has handed on, which is more than what is durable: acknowledge from the journal, not from here.
    """

    def __init__(
        self, known: Known | None = None, window: int = WINDOW, size: Callable[[T], int] = lambda _: 0
    ) -> None:
        """Start after what the journal contains.

        Args:
            known: this client's input in the committed records; nothing if left out.
            window: numbers from the first missing one on that are kept.
            size: what a frame takes while it waits, in bytes; for ``waiting_bytes``.
        """
        known = known or Known()
        self._expected = known.upto + 1
        self._skipped = {seq for seq in known.beyond if seq > known.upto}
        self._waiting: dict[int, T] = {}
        self._window = window
        self._size = size
        self._waiting_bytes = 0
        self._skip()

    @property
    def expected(self) -> int:
        """The lowest number that has not come yet; all below it were handed on or known before."""
        return self._expected

    @property
    def beyond(self) -> tuple[int, ...]:
        """The numbers above the lowest missing one that have come and wait for it, in order."""
        return tuple(sorted(self._waiting))

    @property
    def has_gap(self) -> bool:
        """True if a number is missing below one that has come."""
        return bool(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the frames take which wait for a missing one."""
        return self._waiting_bytes

    def is_early(self, seq: int) -> bool:
        """Tell if a frame of this number would have to wait, because one before it is missing."""
        return seq > self._expected and seq not in self._skipped and seq not in self._waiting

    def forget_early(self) -> None:
        """Drop what waits for a missing number; it is taken again if it comes again."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def offer(self, seq: int, frame: T) -> list[T]:
        """Take a frame as it arrives.

        Returns:
            The frames whose turn has come, in order; often one, none for a repeat or for one that came too early.

        Raises:
            FrameError: ``beyond_window``; nothing has changed, and the client sends it again later.
        """
        if seq == self._expected and not self._waiting and not self._skipped:  # as nearly always
            self._expected += 1
            return [frame]
        if seq < self._expected or seq in self._skipped or seq in self._waiting:
            return []
        if seq >= self._expected + self._window:
            raise FrameError("beyond_window")
        self._waiting[seq] = frame
        self._waiting_bytes += self._size(frame)
        deliverable = []
        while self._expected in self._waiting:
            deliverable.append(turn := self._waiting.pop(self._expected))
            self._waiting_bytes -= self._size(turn)
            self._expected += 1
            self._skip()
        return deliverable

    def _skip(self) -> None:
        while self._expected in self._skipped:
            self._skipped.remove(self._expected)
            self._expected += 1
